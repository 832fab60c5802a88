// What is checked of every node after every step: a node that breaks its word must be noticed.
import type { ConfState, NodeView, Role } from 'raft-ts'
import t from 'tap'
import type { CoverageName } from '../build/testing/coverage.js'
import { NodeWatch } from '../build/testing/node-watch.js'
import { Oracle } from '../build/testing/oracle.js'
import { bytesOf, plainConf } from './support/cluster.ts'

/** A node whose state the test sets. */
class FakeNode implements NodeView {
  role: Role = 'follower'
  leader = undefined
  term = 1
  vote = undefined
  commit = 0
  firstIndex = 1
  conf: ConfState = plainConf(['a', 'b', 'c'])
  confIndex = 0
  isRepairing = false
  /** Terms of the log, from index 1 on. */
  terms: number[] = []

  get lastIndex(): number {
    return this.terms.length
  }

  termAt(index: number): number | undefined {
    return index < this.firstIndex ? undefined : this.terms[index - 1]
  }
}

interface Watched {
  readonly node: FakeNode
  readonly watch: NodeWatch
  readonly oracle: Oracle
  readonly counted: CoverageName[]
}

function watched(isDurable = true): Watched {
  const node = new FakeNode()
  const oracle = new Oracle()
  const counted: CoverageName[] = []
  const watch = new NodeWatch({
    id: 'a',
    life: 1,
    view: node,
    oracle,
    count: (name) => counted.push(name),
    isDurableAt: () => isDurable,
  })
  return { node, watch, oracle, counted }
}

t.test('the commit index never falls in a life, nor does the term', async (t) => {
  const { node, watch } = watched()
  Object.assign(node, { terms: [1, 1, 1], commit: 3, term: 2 })
  watch.look()
  node.commit = 2
  t.throws(() => watch.look(), /a commit index never falls/)
  node.commit = 3
  node.term = 1
  t.throws(() => watch.look(), /a term never falls/)
})

t.test(
  'a committed entry is never truncated by who knew the term it was committed in',
  async (t) => {
    const { node, watch, counted } = watched()
    Object.assign(node, { terms: [1, 1, 2], commit: 2, term: 2 })
    watch.look()
    node.terms = [1, 1]
    watch.look()
    t.same(counted, ['truncations'], 'what is not committed may go')
    node.terms = [1, 3]
    t.throws(() => watch.look(), /a committed entry is never truncated/)
  },
)

t.test('an entry that was committed elsewhere, in a later term, may be truncated', async (t) => {
  const { node, watch, oracle } = watched()
  Object.assign(node, { terms: [1, 1], term: 2 })
  watch.look()
  oracle.committedTo({ id: 'b', life: 1, term: 3, firstIndex: 1, termAt: () => 1 }, 2)
  watch.look()
  node.terms = [1]
  watch.look()
  node.terms = [1, 1]
  node.term = 3
  watch.look()
  node.terms = [1]
  t.throws(() => watch.look(), /never truncated/, 'and not once its term is known')
})

t.test('a leader commits only what a quorum has on disk', async (t) => {
  for (const isDurable of [true, false]) {
    const { node, watch, counted } = watched(isDurable)
    Object.assign(node, { terms: [1, 2], term: 2, role: 'leader' })
    watch.look()
    t.same(counted, ['electionsWon'])
    node.commit = 2
    if (isDurable) watch.look()
    else t.throws(() => watch.look(), /what a quorum has on disk/)
    t.ok(counted.includes('commitsOfEarlierTerms'))
  }
})

t.test('a node uses the newest configuration in its log', async (t) => {
  const { node, watch, oracle } = watched()
  const ab = plainConf(['a', 'b'])
  oracle.sent(
    {
      kind: 'append',
      from: 'b',
      to: 'a',
      term: 1,
      prevIndex: 1,
      prevTerm: 1,
      commit: 0,
      entries: [
        { kind: 'data', term: 1, index: 2, data: bytesOf('x') },
        { kind: 'conf', term: 1, index: 3, conf: ab },
      ],
    },
    1,
  )
  Object.assign(node, { terms: [1, 1] })
  watch.look()
  node.terms = [1, 1, 1]
  t.throws(() => watch.look(), /uses the newest configuration/, 'it is in the log')
  Object.assign(node, { confIndex: 3, conf: plainConf(['a']) })
  t.throws(() => watch.look(), /uses the newest configuration/, 'it is another one')
  node.conf = ab
  watch.look()
})

t.test('changes of role are told apart', async (t) => {
  const { node, watch, counted } = watched()
  const roles: readonly Role[] = [
    'pre-candidate',
    'follower',
    'candidate',
    'follower',
    'leader',
    'follower',
  ]
  for (const role of roles) {
    node.role = role
    watch.look()
  }
  t.same(counted, ['preVotesLost', 'electionsLost', 'electionsWon', 'stepDowns'])
})
