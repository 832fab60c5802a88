// Everything that runs on the leader only, as a table.
import type { Clock } from '../proto/lib/clock.ts'
import type { NamedLoop } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'
import type { Random } from '../proto/lib/random.ts'
import type { NetworkId } from '../proto/objects/index.ts'
import type { LeaderSessions } from './dispatcher/leader-sessions.ts'
import { allocatorLoop } from './loops/allocator-loop.ts'
import { drainLoop } from './loops/drain-loop.ts'
import { nodeTasksLoop } from './loops/node-tasks-loop.ts'
import { payloadReaperLoop } from './loops/payload-reaper-loop.ts'
import { rebalanceLoop } from './loops/rebalance-loop.ts'
import { removedNodeReaperLoop } from './loops/removed-node-reaper-loop.ts'
import { schedulerLoop } from './loops/scheduler-loop.ts'
import { servicesLoop } from './loops/services-loop.ts'
import { specReaperLoop } from './loops/spec-reaper-loop.ts'
import { taskReaperLoop } from './loops/task-reaper-loop.ts'
import { membershipLoop } from './membership/membership-loop.ts'
import type { AckTable } from './overlay/ack-table.ts'
import type { RaftHandle } from './raft/raft-handle.ts'
import type { Store } from './store/store.ts'

export interface LeaderLoopsDeps {
  readonly store: Store
  readonly raft: RaftHandle
  readonly sessions: LeaderSessions
  readonly acks: AckTable
  /** As in AllocatorLoopDeps. */
  readonly changedIndex: (id: NetworkId) => number
  /** Tells the bus of overlay networks; undefined without a bus. */
  readonly publisher?: NamedLoop | undefined
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export function leaderLoops(deps: LeaderLoopsDeps): readonly NamedLoop[] {
  const { sessions, publisher, log } = deps
  const part = (name: string): LeaderLoopsDeps => ({ ...deps, log: log.child({ part: name }) })
  return [
    sessions.loop,
    membershipLoop(part('membership')),
    servicesLoop(part('services')),
    nodeTasksLoop(part('node-tasks')),
    rebalanceLoop(part('rebalance')),
    drainLoop(part('drain')),
    allocatorLoop(part('allocator')),
    schedulerLoop(part('scheduler')),
    taskReaperLoop(part('task-reaper')),
    specReaperLoop(part('spec-reaper')),
    payloadReaperLoop(part('payload-reaper')),
    removedNodeReaperLoop(part('removed-node-reaper')),
    ...(publisher === undefined ? [] : [publisher]),
  ]
}
