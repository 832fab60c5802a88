import fc from 'fast-check'
import type { ConfState, NodeId } from 'raft-ts'
import t from 'tap'
import { isVoter, membersOf, quorumReached, voteResult } from '../build/core/quorum.js'

const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
const someIds = fc.uniqueArray(fc.constantFrom(...ids), { maxLength: 7 })
const someConf: fc.Arbitrary<ConfState> = fc.record({
  voters: fc.uniqueArray(fc.constantFrom(...ids), { minLength: 1, maxLength: 7 }),
  outgoing: someIds,
  learners: someIds,
  learnersNext: someIds,
})
const seed = Date.now() & 0xffffff
const property = { seed, numRuns: 2000 }
t.comment(`property seed ${seed}`)

function subsets(of: readonly NodeId[]): readonly (readonly NodeId[])[] {
  return Array.from({ length: 2 ** of.length }, (_, bits) => of.filter((_id, i) => bits & (1 << i)))
}

/** By definition: the highest value for which some majority has it or more. */
function naiveReached(voters: readonly NodeId[], values: ReadonlyMap<NodeId, number>): number {
  let best = 0
  for (const subset of subsets(voters)) {
    if (subset.length * 2 <= voters.length) continue
    best = Math.max(best, Math.min(...subset.map((id) => values.get(id) ?? 0)))
  }
  return best
}

/** By definition: what can still happen, trying all ways in which the open votes may fall. */
function naiveVote(conf: ConfState, votes: ReadonlyMap<NodeId, boolean>): string {
  const wins = (granting: ReadonlySet<NodeId>): boolean =>
    [conf.voters, conf.outgoing].every(
      (half) => half.length === 0 || half.filter((id) => granting.has(id)).length * 2 > half.length,
    )
  const granted = ids.filter((id) => votes.get(id) === true)
  const open = ids.filter((id) => !votes.has(id))
  const outcomes = subsets(open).map((more) => wins(new Set([...granted, ...more])))
  if (outcomes.every((won) => won)) return 'won'
  return outcomes.some((won) => won) ? 'pending' : 'lost'
}

t.test('a majority of one, three and five voters (Raft paper 5.3)', async (t) => {
  const reached = (voters: NodeId[], values: number[]): number =>
    quorumReached({ voters, outgoing: [], learners: [], learnersNext: [] }, (id) => {
      return values[voters.indexOf(id)] ?? 0
    })
  t.equal(reached(['a'], [7]), 7)
  t.equal(reached(['a', 'b'], [7, 3]), 3)
  t.equal(reached(['a', 'b', 'c'], [7, 3, 5]), 5)
  t.equal(reached(['a', 'b', 'c', 'd', 'e'], [9, 1, 8, 2, 5]), 5)
  t.equal(reached([], []), 0)
})

t.test('what a quorum has reached is what the definition says, joint or not', async () => {
  const values = fc.array(fc.nat(9), { minLength: 7, maxLength: 7 })
  fc.assert(
    fc.property(someConf, values, (conf, numbers) => {
      const byId = new Map(ids.map((id, i) => [id, numbers[i] ?? 0]))
      const halves = [conf.voters, conf.outgoing].filter((half) => half.length > 0)
      const naive = Math.min(...halves.map((half) => naiveReached(half, byId)))
      return quorumReached(conf, (id) => byId.get(id) ?? 0) === naive
    }),
    property,
  )
})

t.test('an election is decided exactly when no open vote can change it', async () => {
  const votes = fc.array(fc.constantFrom(true, false, undefined), { minLength: 7, maxLength: 7 })
  fc.assert(
    fc.property(someConf, votes, (conf, given) => {
      const byId = new Map<NodeId, boolean>()
      for (const [i, id] of ids.entries()) {
        const vote = given[i]
        if (vote !== undefined) byId.set(id, vote)
      }
      return voteResult(conf, byId) === naiveVote(conf, byId)
    }),
    property,
  )
})

t.test('two quorums of one configuration always share a voter (thesis 4.3)', async () => {
  fc.assert(
    fc.property(someConf, someIds, someIds, (conf, one, other) => {
      const wins = (set: readonly NodeId[]): boolean =>
        voteResult(conf, new Map(set.map((id) => [id, true]))) === 'won'
      return !wins(one) || !wins(other) || one.some((id) => other.includes(id))
    }),
    property,
  )
})

t.test('members are named once, voters of either half are voters', async (t) => {
  const conf = { voters: ['a', 'b'], outgoing: ['b', 'c'], learners: ['d'], learnersNext: ['c'] }
  t.same(membersOf(conf), ['a', 'b', 'c', 'd'])
  t.ok(isVoter(conf, 'c'))
  t.notOk(isVoter(conf, 'd'))
})
