// When a node counts as down, as pure arithmetic. Times are those of a StallMeter, in ms.
import type { NodeId } from '../../proto/objects/index.ts'

/**
 * Beyond its heartbeat period a node may be silent this long: a stall of 2 s, the managers' reports every 250 ms, and
 * 50 ms for the network. With the default period of 500 ms that makes 2.8 s.
 */
export const silenceMs = 2_300
/** A manager that reported nothing for this long may be gone; its agents are on their way to another one then. */
export const managerSilentMs = 1_000
/** Time for an agent to notice that its manager is gone (keepalive: 3 s) and to come back elsewhere. */
export const reconnectMs = 3_200

export interface Heard {
  readonly nodeId: NodeId
  /** The manager that holds or held its session. */
  readonly managerId: NodeId | undefined
  /** Last heartbeat, or the start of the term when there was none in it. */
  readonly beatAtMs: number
  /** The period the node was told. */
  readonly heartbeatMs: number
  /** Last report of its manager in this term; undefined: none. */
  readonly managerAtMs: number | undefined
}

/** From when on the node counts as down, unless it is heard of. */
export function downAtMs(heard: Heard, nowMs: number): number {
  const atMs = heard.beatAtMs + heard.heartbeatMs + silenceMs
  // A node whose session is with its own manager cannot have lost the one without the other.
  if (heard.managerId === undefined || heard.managerId === heard.nodeId) return atMs
  const isSilent = heard.managerAtMs === undefined || nowMs - heard.managerAtMs > managerSilentMs
  return isSilent ? atMs + reconnectMs : atMs
}

/**
 * A heartbeat costs the manager that receives it 0.06 to 0.08 ms of CPU (measured, over gRPC with TLS), and all of them
 * may take a tenth of a core: so much longer is the period for each session.
 */
const msPerSession = 0.7
/** Few steps, for each of them is told to everybody. */
const stepFactor = 1.25

/** The period that agents of a manager with that many sessions are told. `currentMs`: what they were told last. */
export function heartbeatPeriodMs(sessions: number, wishMs: number, currentMs: number): number {
  const neededMs = sessions * msPerSession
  if (neededMs <= 0.8 * wishMs) return wishMs
  const leastMs = Math.max(wishMs, neededMs)
  if (currentMs >= leastMs && currentMs <= 1.5 * leastMs) return currentMs
  const steps = Math.ceil(Math.log(leastMs / wishMs) / Math.log(stepFactor) - 1e-9)
  return Math.ceil(wishMs * stepFactor ** steps)
}
