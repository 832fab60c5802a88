// Bugs planted to prove that the simulator notices. Each breaks one decision on which safety hangs.
import type { ConfAt } from '../core/config.ts'
import type { Rules } from '../core/rules.ts'
import type { Entry } from '../core/types.ts'

/**
 * `skip-flush`: flushes of the log do nothing. `vote-twice`: votes are given to everyone who asks.
 * `commit-old-term`: entries of earlier terms are counted (Raft paper figure 8). `ignore-conf`: a configuration
 * holds only once it is committed. `apply-out-of-order`: the last two of a batch are applied in the wrong order.
 * `forget-truncation`: a follower keeps entries that conflict with its leader's.
 */
export const plantedBugs = [
  'skip-flush',
  'vote-twice',
  'commit-old-term',
  'ignore-conf',
  'apply-out-of-order',
  'forget-truncation',
] as const

/** One of them. */
export type PlantedBug = (typeof plantedBugs)[number]

/** The rules of the core that a bug breaks; skipped flushes are the disk's. */
export function brokenRules(bug: PlantedBug): Partial<Rules> {
  switch (bug) {
    case 'skip-flush':
      return {}
    case 'vote-twice':
      return { mayVote: () => true }
    case 'commit-old-term':
      return { mayCount: () => true }
    case 'ignore-conf':
      return { inUse: newestCommitted }
    case 'apply-out-of-order':
      return { inOrder: lastTwoSwapped }
    case 'forget-truncation':
      return { holds: (ownTerm) => ownTerm !== undefined }
  }
}

function newestCommitted(confs: readonly ConfAt[], commit: number): ConfAt | undefined {
  return confs.findLast(({ index }) => index <= commit) ?? confs[0]
}

function lastTwoSwapped(entries: readonly Entry[]): readonly Entry[] {
  const [last, beforeLast] = [entries.at(-1), entries.at(-2)]
  if (last === undefined || beforeLast === undefined) return entries
  return [...entries.slice(0, -2), last, beforeLast]
}
