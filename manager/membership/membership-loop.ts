// Leader-only: carries out promotions, demotions, joins and departures, one step at a time, through planMembership.
import { hasCode } from '../../proto/errors.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import type { NamedLoop } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import { featureLevel, networksLevel } from '../../proto/objects/feature-level.ts'
import type { NodeId } from '../../proto/objects/index.ts'
import { createIngress } from '../overlay/ingress.ts'
import type { RaftHandle } from '../raft/raft-handle.ts'
import type { Store } from '../store/store.ts'
import { type MembershipStep, planMembership } from './plan-membership.ts'

const busyMs = 50
const idleMs = 500

export interface MembershipDeps {
  readonly store: Store
  readonly raft: RaftHandle
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/** Runs while this manager leads. */
export function membershipLoop(deps: MembershipDeps): NamedLoop {
  return {
    name: 'membership',
    run: async (signal) => {
      while (!signal.aborted) {
        const step = await nextStep(deps)
        const acted = await carryOut(deps, step)
        await wait(deps.clock, acted || step.kind === 'wait' ? busyMs : idleMs, signal)
      }
    },
  }
}

async function nextStep({ store, raft }: MembershipDeps): Promise<MembershipStep> {
  const status = await raft.status()
  if (status.leadership.role !== 'leader') return { kind: 'wait', why: 'not the leader' }
  const [cluster] = store.view((tx) => [...tx.all('cluster')])
  return planMembership({
    nodes: store.view((tx) => [...tx.all('nodes')]),
    selfRaftId: raft.id,
    members: status.members,
    peers: status.peers,
    commitIndex: status.commitIndex,
    clusterLevel: cluster?.featureLevel,
    ownLevel: featureLevel,
  })
}

/** Whether something was done. */
async function carryOut(deps: MembershipDeps, step: MembershipStep): Promise<boolean> {
  switch (step.kind) {
    case 'done':
    case 'wait':
      return false
    case 'set-role':
      return await setRole(deps, step.nodeId, step.role)
    case 'raise-level':
      return await raiseLevel(deps, step.level)
    case 'transfer': {
      const outcome = await deps.raft.transferLeadership()
      deps.log.info({ outcome: outcome.kind }, 'leadership handed over: this manager is to go')
      return true
    }
    case 'add-learner':
    case 'add-voter':
    case 'remove': {
      const outcome = await deps.raft.changeMembers([{ kind: step.kind, id: step.raftId }])
      deps.log.info(
        { step: step.kind, raftId: step.raftId, outcome: outcome.kind },
        'Raft membership changed',
      )
      return true
    }
  }
}

async function setRole(
  { store, log }: MembershipDeps,
  id: NodeId,
  role: 'manager' | 'worker',
): Promise<boolean> {
  await attempt(async () => {
    await store.update((tx) => {
      const node = tx.get('nodes', id)
      if (node === undefined || node.spec.role !== role) return
      const manager = role === 'manager' ? node.manager : undefined
      tx.update('nodes', { ...node, role, manager })
    })
    log.info({ nodeId: id, role }, 'node role set')
  })
  return true
}

async function raiseLevel({ store, random, log }: MembershipDeps, level: number): Promise<boolean> {
  const ingressId = newId(random)
  await attempt(async () => {
    await store.update((tx) => {
      for (const cluster of tx.all('cluster')) {
        if (cluster.featureLevel >= level) continue
        const raised = tx.update('cluster', { ...cluster, featureLevel: level })
        const isNew = cluster.featureLevel < networksLevel && level >= networksLevel
        if (isNew) createIngress(tx, raised, ingressId)
      }
    })
    log.info({ level }, 'the cluster moved to a higher feature level')
  })
  return true
}

/** What the end of leadership or another's change made fail is looked at again. */
async function attempt(fn: () => Promise<void>): Promise<void> {
  try {
    await fn()
  } catch (err) {
    if (!hasCode(err, 'NOT_LEADER', 'OUTCOME_UNKNOWN', 'OUT_OF_SEQUENCE')) throw err
  }
}
