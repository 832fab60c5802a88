// Whether two configurations can never decide without one another. By trying all sets of voters: for few nodes only.
import { membersOf, voteResult } from '../core/quorum.ts'
import type { ConfState, NodeId } from '../core/types.ts'

/** True when no quorum of one avoids all quorums of the other. */
export function quorumsOverlap(one: ConfState, other: ConfState): boolean {
  const ids = [...new Set([...membersOf(one), ...membersOf(other)])]
  for (let bits = 0; bits < 2 ** ids.length; bits++) {
    const votes = new Map<NodeId, boolean>()
    const rest = new Map<NodeId, boolean>()
    for (const [i, id] of ids.entries()) (bits & (1 << i) ? votes : rest).set(id, true)
    if (voteResult(one, votes) === 'won' && voteResult(other, rest) === 'won') return false
  }
  return true
}

/** Remembers answers: the same pairs come again and again. */
export class Overlaps {
  readonly #known = new Map<string, boolean>()

  has(one: ConfState, other: ConfState): boolean {
    const key = [one, other]
      .map((conf) => `${conf.voters.join()}/${conf.outgoing.join()}`)
      .join(' ')
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const result = quorumsOverlap(one, other)
    this.#known.set(key, result)
    return result
  }
}
