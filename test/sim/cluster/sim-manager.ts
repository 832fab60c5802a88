// The real manager of a simulated host: Raft, store, dispatcher, control API and the leader's loops, over simulated disk, clock and links.
import type { PeerMessage } from 'raft-ts'
import type { SimProcess, SimRandom, VirtualDisk } from 'raft-ts/testing'
import { createClusterDirectory } from '../../../manager/cluster-directory.ts'
import { type ControlApi, createControlApi } from '../../../manager/controlapi/control-api.ts'
import { createDispatcher, type Dispatcher } from '../../../manager/dispatcher/dispatcher.ts'
import {
  createLeaderSessions,
  type LeaderSessions,
} from '../../../manager/dispatcher/leader-sessions.ts'
import { leaderLoops } from '../../../manager/leader-loops.ts'
import { LeadershipRunner } from '../../../manager/leadership-runner.ts'
import { LogHub } from '../../../manager/logbroker/log-hub.ts'
import { AckTable } from '../../../manager/overlay/ack-table.ts'
import { startInProcessRaft } from '../../../manager/raft/in-process-raft.ts'
import type { RaftHandle } from '../../../manager/raft/raft-handle.ts'
import { RaftProposer, storeStateMachine } from '../../../manager/raft/store-bridge.ts'
import { ReplicatedStore } from '../../../manager/store/replicated-store.ts'
import type { SessionReport, SessionReportAck } from '../../../proto/gen/tsswarm/v1/membership.ts'
import { type Clock, wait } from '../../../proto/lib/clock.ts'
import { childController, type NamedLoop, runAll } from '../../../proto/lib/lifecycle.ts'
import { type Node, nodeId, raftId } from '../../../proto/objects/index.ts'
import { aCluster, aNode, aPayload } from '../../support/objects.ts'
import { losingStore } from './losing-store.ts'
import { meddlingLoops } from './meddling.ts'
import type { Place } from './place.ts'
import { cuttable } from './sim-agent.ts'
import type { Surroundings } from './sim-host.ts'
import { simSecret, simSecretData } from './sim-secret.ts'
import type { StreamEnds } from './sim-stream.ts'

/** What the parts of one daemon's life share. */
export interface SimPart extends Surroundings {
  readonly host: string
  readonly process: SimProcess
  readonly clock: Clock
  readonly random: SimRandom
  readonly onFailed: (err: unknown) => void
}

export interface SimManager {
  readonly place: Place
  readonly store: ReplicatedStore
  readonly raft: RaftHandle
  readonly dispatcher: Dispatcher
  readonly sessions: LeaderSessions
  readonly logs: LogHub
  readonly api: ControlApi
  leaderNodeId(): string | undefined
  /** A message of a peer. */
  receive(message: PeerMessage): void
  /** What a connection that arrives here meets. */
  serves<In, Out>(
    handle: (manager: SimManager, far: StreamEnds<In, Out>) => Promise<void>,
  ): { readonly place: Place; serve(far: StreamEnds<In, Out>): void }
}

const snapshotLogBytes = 48 * 1024
const timing = { tickMs: 50, heartbeatTicks: 2, electionTicks: 10 }

export const raftIdOf = (host: string): string => `raft-${host}`

export async function startSimManager(part: SimPart, disk: VirtualDisk): Promise<SimManager> {
  const { host, process, clock, random, log, links, find, oracle, managers, onFailed } = part
  const basics = { clock, random, log }
  const proposer = new RaftProposer()
  const breathe = (): Promise<void> => wait(clock, 0)
  const store = new ReplicatedStore({ proposer, clock, random, breathe })
  oracle.observe(host, process, store)
  const leadership = new LeadershipRunner({ store, clock, log })
  const { handle: raft, driver } = await startInProcessRaft({
    id: raftIdOf(host),
    disk,
    group: 'simulation',
    clock,
    random,
    transport: {
      send: (_lane, message) => {
        const to = message.to.slice(raftIdOf('').length)
        links.datagram(host, to, () => {
          const manager = find(to)?.manager
          manager?.place.process.run(() => manager.receive(message))
        })
        return true
      },
    },
    voters: managers.map(raftIdOf),
    timing,
    snapshotLogBytes,
    stateMachine: storeStateMachine(store),
    onLeadership: (now) => {
      oracle.leadership(host, now)
      leadership.follow(now)
    },
  })
  proposer.open(raft)
  const directory = createClusterDirectory({
    ...basics,
    store,
    raft,
    selfNodeId: nodeId(host),
    clusterId: 'cluster-1',
  })
  const acks = new AckTable(clock)
  const sessions = createLeaderSessions({ ...basics, store, acks })
  const dispatcher = createDispatcher({
    ...basics,
    store,
    cluster: directory,
    openReports: (leader, signal) =>
      cuttable(
        links.connect<SessionReport, SessionReportAck>({ host, process }, leader, () =>
          find(leader)?.manager?.serves((there, far) =>
            there.sessions.handleReports(
              { kind: 'node', nodeId: nodeId(host), role: 'manager' },
              far.incoming,
              far.send,
              far.signal,
            ),
          ),
        ),
        signal,
      ),
  })
  const api = createControlApi({
    ...basics,
    store:
      part.bug === 'lose-writes'
        ? losingStore(store, () => part.world.nowMs > part.faultsMs)
        : store,
    cluster: directory,
    newJoinToken: () => 'token',
  })
  const manager: SimManager = {
    place: { host, process },
    store,
    raft,
    dispatcher,
    sessions,
    logs: new LogHub(random),
    api,
    leaderNodeId: () => directory.leaderNodeId(),
    receive: (message) => driver.receive(message),
    serves: (handle) => ({
      place: { host, process },
      serve: (far) => serve(handle(manager, far), far),
    }),
  }
  leadership.lead([
    foundingLoop(part, store),
    ...meddlingLoops(part.bug, clock, store),
    // There are no networks here.
    ...leaderLoops({ ...basics, store, raft, sessions, acks, changedIndex: () => 0 }),
  ])
  const { controller } = childController()
  const running = runAll(controller.signal, [
    { name: 'directory', run: directory.refresh },
    { name: 'dispatcher', run: dispatcher.run },
  ])
  Promise.race([running, leadership.failed, raft.closed]).catch(onFailed)
  return manager
}

function serve<In, Out>(handling: Promise<void>, far: StreamEnds<In, Out>): void {
  handling.then(
    () => far.close(),
    (err: unknown) => far.close(err instanceof Error ? err : new Error(String(err))),
  )
}

/** As its first certificate makes it known. */
export function aWorker(name: string): Node {
  return { ...aNode({ id: name, hostname: name }), state: 'unknown' }
}

/** The first leader writes the cluster and its first nodes. */
function foundingLoop(
  { managers, workers, isRebalanced }: SimPart,
  store: ReplicatedStore,
): NamedLoop {
  return {
    name: 'founding',
    run: async () => {
      if (store.view((tx) => tx.count('cluster')) > 0) return
      await store
        .update((tx) => {
          if (tx.count('cluster') > 0) return
          const mode = isRebalanced ? 'gradual' : 'off'
          tx.create('cluster', aCluster({ rebalance: { mode } }))
          tx.create('secrets', aPayload({ id: simSecret, data: simSecretData }))
          for (const name of managers) {
            const manager = { raftId: raftId(raftIdOf(name)), address: name, raftAddress: name }
            const node = aNode({ id: name, hostname: name, role: 'manager' })
            tx.create('nodes', { ...node, state: 'unknown', manager })
          }
          for (const name of workers) tx.create('nodes', aWorker(name))
        })
        .catch(() => {
          // Leadership was lost: the next leader does it.
        })
    },
  }
}
