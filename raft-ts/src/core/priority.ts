// Which voters should rather lead: they campaign sooner, and who leads in their stead hands over to them.
// Votes, commits and reads know nothing of it, so that it touches neither safety nor whether a leader is found.
import type { Progress } from './progress.ts'
import { isJoint } from './quorum.ts'
import { leadingOf } from './replication.ts'
import type { NodeState } from './state.ts'
import type { NodeId } from './types.ts'

/** A voter waits one more election time-out for each priority above its own, but never more than this. */
const ranksMax = 2
/** Election time-outs for which a voter must be ready to take over before it is asked to. */
const steadyElections = 4

/** Ticks by which this voter waits longer than others before it campaigns. The leader that fell silent is not waited for. */
export function extraPatience(node: NodeState): number {
  const own = node.priorityOf(node.id)
  const higher = new Set<number>()
  for (const id of node.conf.voters) {
    if (id === node.id || id === node.lastLeader) continue
    const priority = node.priorityOf(id)
    if (priority > own) higher.add(priority)
  }
  return Math.min(higher.size, ranksMax) * node.electionTicks
}

/** Looks, once a heartbeat, whether leadership is due to be handed over; names the voter to take it. */
export function dueHandOver(node: NodeState): NodeId | undefined {
  const leading = leadingOf(node)
  const best = isQuiet(node) ? preferredVoter(node) : undefined
  leading.commitSeen = node.log.commit
  if (best === undefined || best !== leading.preferred) {
    leading.preferred = best
    leading.preferredTicks = 0
    return undefined
  }
  leading.preferredTicks += node.config.heartbeatTicks
  if (leading.preferredTicks < steadyElections * node.electionTicks) return undefined
  if (!node.handOvers.isDue(node.electionTicks)) return undefined
  node.handOvers.attempted(node.electionTicks)
  leading.preferred = undefined
  return best
}

/** Nothing is under way that a change of leader would interrupt. */
function isQuiet(node: NodeState): boolean {
  const leading = leadingOf(node)
  return (
    leading.transferee === undefined &&
    leading.unprovenRound === 0 &&
    node.log.commit >= leading.firstIndex &&
    node.confs.latest.index <= node.log.commit &&
    !isJoint(node.conf)
  )
}

/** The ready voter of highest priority above the own one. Of equals the one that was preferred before. */
function preferredVoter(node: NodeState): NodeId | undefined {
  const leading = leadingOf(node)
  let best: NodeId | undefined
  let highest = node.priorityOf(node.id)
  for (const progress of leading.progress.values()) {
    const priority = node.priorityOf(progress.id)
    const isBetter =
      priority > highest ||
      (best !== undefined && priority === highest && progress.id === leading.preferred)
    if (!isBetter || !isReady(node, progress)) continue
    best = progress.id
    highest = priority
  }
  return best
}

/** A voter that answers and holds what was committed a heartbeat ago: the rest is under way to it. */
function isReady(node: NodeState, progress: Progress): boolean {
  return (
    node.conf.voters.includes(progress.id) &&
    progress.state === 'replicate' &&
    progress.silentTicks < node.electionTicks &&
    progress.match >= leadingOf(node).commitSeen
  )
}
