// `swarm init --force-new-cluster`: when a manager may go on as the only one, and what is told of it. Not for how Raft and the
// store are made to (manager/membership/recover-cluster.ts).
import type { Recovered, StoreCount } from '../../manager/membership/recover-cluster.ts'
import { SwarmError } from '../../proto/errors.ts'
import type { SwarmRecovery } from '../../proto/gen/tsswarm/v1/daemon.ts'

/** Where this manager stands among the managers. */
export interface Standing {
  /** False: it was never told of the cluster, so nothing could be recovered from it. */
  readonly hasState: boolean
  /** More than half of the managers can be reached. */
  readonly hasQuorum: boolean
  /** Neither Raft nor the store knows any other manager. */
  readonly isAlone: boolean
  /** Raft ids of all other managers. */
  readonly others: readonly string[]
  readonly epoch: number
  readonly count: StoreCount
}

/** Why this manager must not be made the only one; undefined: it may. */
export function recoveryRefusal(standing: Standing, isForced: boolean): SwarmError | undefined {
  if (!standing.hasState) {
    return new SwarmError(
      'FAILED_PRECONDITION',
      'this manager has never received the state of the swarm: nothing could be recovered from it. ' +
        'Run this on another manager',
    )
  }
  if (!standing.hasQuorum || isForced) return undefined
  return new SwarmError(
    'FAILED_PRECONDITION',
    'more than half of the managers can be reached, so nothing needs to be recovered: remove a lost manager with ' +
      '`tsswarm node demote NODE` and `tsswarm node rm NODE`. To make a swarm of this manager alone and leave the others ' +
      'behind all the same, add --force',
  )
}

/** `done`: undefined when there was nothing to do. */
export function recoveryReport(standing: Standing, done: Recovered | undefined): SwarmRecovery {
  const { services, tasks, nodes, newestAtMs } = standing.count
  return {
    epoch: done?.epoch ?? standing.epoch,
    wasAlone: done === undefined,
    services,
    tasks,
    nodes,
    newestAtMs,
    lost: (done?.lost ?? []).map((one) => ({ ...one })),
  }
}
