// The simulator's judge: every broken promise must be noticed.
import type { Entry, Message } from 'raft-ts'
import t from 'tap'
import { Oracle, quorumsOverlap, Violation, type WatchedNode } from '../build/testing/oracle.js'
import { bytesOf, plainConf } from './support/cluster.ts'

function data(index: number, term: number, text = 'x'): Entry {
  return { kind: 'data', term, index, data: bytesOf(text) }
}

function append(prevTerm: number, ...entries: readonly Entry[]): Message {
  const prevIndex = (entries[0]?.index ?? 1) - 1
  return {
    kind: 'append',
    from: 'a',
    to: 'b',
    term: 9,
    prevIndex,
    prevTerm,
    commit: 0,
    entries,
  }
}

function leader(overrides: Partial<WatchedNode>): WatchedNode {
  return { id: 'a', life: 1, term: 2, firstIndex: 1, termAt: () => undefined, ...overrides }
}

function acknowledgement(index: number, term: number): Parameters<Oracle['acknowledged']>[0] {
  return { index, term, before: 0 }
}

const node = { id: 'a', term: 2 }

t.test('one leader a term, and one life of it', async (t) => {
  const oracle = new Oracle()
  oracle.leads(leader({}))
  oracle.leads(leader({}))
  oracle.leads(leader({ id: 'b', term: 3 }))
  t.throws(() => oracle.leads(leader({ id: 'b' })), /a term has one leader/)
  t.throws(() => oracle.leads(leader({ life: 2 })), Violation)
  t.equal(oracle.terms, 2)
})

t.test('one vote a term', async (t) => {
  const oracle = new Oracle()
  const vote = { kind: 'vote-response', from: 'a', to: 'b', term: 3, granted: true } as const
  oracle.sent(vote)
  oracle.sent(vote)
  oracle.sent({ ...vote, to: 'c', granted: false })
  oracle.sent({ ...vote, to: 'c', term: 4 })
  t.throws(() => oracle.sent({ ...vote, to: 'c' }), /votes once a term/)
})

t.test('log matching: index and term determine content and what is before', async (t) => {
  const oracle = new Oracle()
  oracle.sent(append(1, data(2, 2), data(3, 2)))
  oracle.sent(append(2, data(3, 2)))
  oracle.sent(append(1, data(2, 3, 'y')))
  t.throws(() => oracle.sent(append(1, data(2, 2, 'y'))), /index and term determine/)
  t.throws(() => oracle.sent(append(1, data(3, 2))), /index and term determine/)
})

t.test('applied prefixes are equal and without gaps', async (t) => {
  const oracle = new Oracle()
  const first = oracle.applied(node, data(1, 1), 0)
  const second = oracle.applied(node, data(2, 1), first)
  t.equal(oracle.applied({ id: 'b', term: 2 }, data(1, 1), 0), first)
  t.throws(() => oracle.applied(node, data(2, 1, 'y'), first), /apply the same/)
  t.throws(() => oracle.applied(node, data(2, 2), first), /apply the same/)
  t.throws(() => oracle.applied(node, data(2, 1), second), /apply the same/)
  t.throws(() => oracle.applied(node, data(4, 1), second), /without gaps/)
  t.equal(oracle.lastCommitted, 2)
})

t.test('snapshots are committed states', async (t) => {
  const oracle = new Oracle()
  const digest = oracle.applied(node, data(1, 1), 0)
  const meta = { index: 1, term: 1, conf: plainConf(['a']) }
  oracle.restored('b', meta, digest)
  t.throws(() => oracle.restored('b', meta, digest + 1), /committed state/)
  t.throws(() => oracle.restored('b', { ...meta, index: 2 }, digest), /committed state/)
})

t.test('leader completeness: for what was committed in earlier terms', async (t) => {
  const oracle = new Oracle()
  const digest = oracle.applied(node, data(1, 1), 0)
  oracle.applied({ id: 'a', term: 3 }, data(2, 2), digest)
  oracle.leads(leader({ id: 'c', term: 3, termAt: (index) => (index === 1 ? 1 : undefined) }))
  oracle.leads(leader({ id: 'd', term: 5, firstIndex: 9 }))
  oracle.leads(leader({ id: 'e', term: 6, termAt: (index) => index }))
  t.throws(() => oracle.leads(leader({ term: 4, termAt: () => 1 })), /holds all committed/)
})

t.test('acknowledged means committed, and reads see it', async (t) => {
  const oracle = new Oracle()
  t.throws(() => oracle.acknowledged(acknowledgement(1, 1)), /acknowledged is committed/)
  oracle.applied(node, data(1, 1), 0)
  t.throws(() => oracle.acknowledged(acknowledgement(1, 2)), /acknowledged is committed/)
  t.throws(
    () => oracle.acknowledged({ ...acknowledgement(1, 1), before: 1 }),
    /proposed later is applied later/,
  )
  oracle.acknowledged(acknowledgement(1, 1))
  t.same([oracle.lastAcknowledged, oracle.acknowledgements], [1, 1])
  oracle.read(1, 1)
  t.throws(() => oracle.read(1, 0), /sees all that was acknowledged/)
})

t.test('successive configurations overlap', async (t) => {
  const oracle = new Oracle()
  const conf = (
    index: number,
    voters: readonly string[],
    outgoing: readonly string[] = [],
  ): Entry => ({
    kind: 'conf',
    term: 1,
    index,
    conf: { ...plainConf(voters), outgoing },
  })
  let digest = oracle.applied(node, conf(1, ['a', 'b', 'c']), 0)
  digest = oracle.applied(node, conf(2, ['d', 'e', 'c'], ['a', 'b', 'c']), digest)
  digest = oracle.applied(node, conf(3, ['d', 'e', 'c']), digest)
  t.throws(() => oracle.applied(node, conf(4, ['a', 'b', 'c']), digest), /configurations overlap/)
})

t.test('overlap: one voter more or less is safe, two are not', async (t) => {
  const abc = plainConf(['a', 'b', 'c'])
  t.ok(quorumsOverlap(abc, plainConf(['a', 'b', 'c', 'd'])))
  t.ok(quorumsOverlap(abc, plainConf(['a', 'b'])))
  t.notOk(quorumsOverlap(abc, plainConf(['a', 'b', 'c', 'd', 'e'])))
  t.notOk(quorumsOverlap(abc, plainConf(['a'])))
  t.notOk(quorumsOverlap(abc, plainConf(['d', 'e', 'f'])))
})
