// The manager as the daemon sees it, so that the daemon's parts do not depend on how a manager is composed.
import type { Reconnected } from '../../manager/membership/reconnect.ts'
import type { Recovered } from '../../manager/membership/recover-cluster.ts'
import type { RaftPeer } from '../../manager/raft/raft-handle.ts'
import type { AdapterDeps, HandlerTable } from '../../manager/rpc/adapter.ts'
import type { Standing } from './recovery.ts'
import type { SwarmState } from './swarm-state.ts'

export interface ManagerPart {
  /** Handlers of the Control service by method name. */
  readonly control: HandlerTable
  /** Runs what belongs on the leader there. */
  readonly onLeader: NonNullable<AdapterDeps['onLeader']>
  readonly onLeaderStream: NonNullable<AdapterDeps['onLeaderStream']>
  /** Resolves when this manager is a voting member. Errors: DEADLINE_EXCEEDED; UNSUPPORTED when the cluster is too new. */
  untilVoter(signal: AbortSignal): Promise<void>
  /** The node that leads as far as this manager knows, without asking anyone; undefined while there is none. */
  leaderNodeId(): string | undefined
  /** Asks the leader to take this manager out of Raft. */
  leaveRaft(signal: AbortSignal): Promise<void>
  /** Members of Raft as the store names them. */
  peers(): readonly RaftPeer[]
  /** Where it stands among the managers. Takes 3 s when they cannot be reached. */
  standing(): Promise<Standing>
  /** What the recovery did that it was started with. */
  readonly recovered: Recovered | undefined
  /** It is reached at what the state says from now on, and listens where it did. */
  readdress(state: SwarmState): void
  /** Asks managers at these addresses where all of them are. */
  reconnect(addresses: readonly string[], signal: AbortSignal): AsyncIterable<Reconnected>
  /** host:port of the leader, once there is one that knows where this manager is. */
  isConnected(): string | undefined
  /** What is wrong with its part of the bus, and what to do; undefined: nothing. */
  busProblem(): string | undefined
  /** Hands leadership over when it can, then ends; its data stays. */
  stop(): Promise<void>
  /** Rejects when the manager ended by itself: the daemon must then end. */
  readonly closed: Promise<void>
}
