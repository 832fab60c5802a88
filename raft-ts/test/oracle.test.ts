// The simulator's judge: every broken promise must be noticed.
import type { Entry, Message } from 'raft-ts'
import t from 'tap'
import { extendDigest } from '../build/testing/digest.js'
import { Oracle, Violation, type WatchedNode } from '../build/testing/oracle.js'
import { quorumsOverlap } from '../build/testing/overlap.js'
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

/** A node whose log holds these terms, from index 1 on. */
function holding(id: string, term: number, ...terms: readonly number[]): WatchedNode {
  return leader({ id, term, termAt: (index) => terms[index - 1] })
}

function acknowledgement(index: number, term: number): Parameters<Oracle['acknowledged']>[0] {
  return { index, term, before: 0, data: bytesOf('x') }
}

const node = { id: 'a', term: 2 }
const nothing = { index: 0, digest: 0 }

/** An oracle that knows entries of these terms as committed in a term, and has seen them applied. */
function withApplied(knownIn: number, ...terms: readonly number[]): Oracle {
  const oracle = new Oracle()
  oracle.committedTo(holding('a', knownIn, ...terms), terms.length)
  let before = nothing
  for (const [i, term] of terms.entries()) {
    const index = i + 1
    before = { index, digest: oracle.applied(node, data(index, term), before) }
  }
  return oracle
}

t.test('one leader a term, and one life of it', async (t) => {
  const oracle = new Oracle()
  oracle.leads(leader({}))
  oracle.leads(leader({}))
  oracle.leads(leader({ id: 'b', term: 3 }))
  t.throws(() => oracle.leads(leader({ id: 'b' })), /a term has one leader/)
  t.throws(() => oracle.leads(leader({ life: 2 })), Violation)
  t.equal(oracle.terms, 2)
})

t.test('one leader a term: whoever sends as a leader is one', async (t) => {
  const oracle = new Oracle()
  const beat = { kind: 'heartbeat', from: 'a', to: 'b', term: 2, commit: 0, round: 0 } as const
  oracle.sent(beat, 1)
  oracle.leads(leader({}))
  t.throws(() => oracle.sent({ ...beat, from: 'b' }, 1), /a term has one leader/)
  t.throws(
    () => oracle.sent({ ...append(1, data(2, 2)), from: 'c', term: 2 }, 1),
    /a term has one leader/,
  )
})

t.test('one vote a term', async (t) => {
  const oracle = new Oracle()
  const vote = { kind: 'vote-response', from: 'a', to: 'b', term: 3, granted: true } as const
  oracle.sent(vote, 1)
  oracle.sent(vote, 1)
  oracle.sent({ ...vote, to: 'c', granted: false }, 1)
  oracle.sent({ ...vote, to: 'c', term: 4 }, 1)
  t.throws(() => oracle.sent({ ...vote, to: 'c' }, 1), /votes once a term/)
})

t.test('one vote a term: a candidate has given its own to itself', async (t) => {
  const oracle = new Oracle()
  const asked = { from: 'a', to: 'b', term: 3, lastIndex: 1, lastTerm: 1, force: false } as const
  oracle.sent({ kind: 'pre-vote', ...asked }, 1)
  oracle.sent({ kind: 'vote-response', from: 'a', to: 'c', term: 2, granted: true }, 1)
  oracle.sent({ kind: 'vote', ...asked }, 1)
  t.throws(
    () => oracle.sent({ kind: 'vote-response', from: 'a', to: 'c', term: 3, granted: true }, 1),
    /votes once a term/,
  )
})

t.test('log matching: index and term determine content and what is before', async (t) => {
  const oracle = new Oracle()
  oracle.sent(append(1, data(2, 2), data(3, 2)), 1)
  oracle.sent(append(2, data(3, 2)), 1)
  oracle.sent({ ...append(1, data(2, 3, 'y')), term: 10 }, 1)
  t.throws(() => oracle.sent(append(1, data(2, 2, 'y')), 1), /index and term determine/)
  t.throws(() => oracle.sent(append(1, data(3, 2)), 1), /index and term determine/)
})

t.test('applied prefixes are equal and without gaps', async (t) => {
  const oracle = new Oracle()
  oracle.committedTo(holding('a', 2, 1, 1), 2)
  const first = { index: 1, digest: oracle.applied(node, data(1, 1), nothing) }
  const second = { index: 2, digest: oracle.applied(node, data(2, 1), first) }
  t.equal(oracle.applied({ id: 'b', term: 2 }, data(1, 1), nothing), first.digest)
  t.throws(() => oracle.applied(node, data(2, 1, 'y'), first), /apply the same/)
  t.throws(() => oracle.applied(node, data(2, 2), first), /apply the same/)
  t.throws(() => oracle.applied(node, data(2, 1), second), /in order/)
  t.throws(() => oracle.applied(node, data(1, 1), second), /in order/)
  t.throws(() => oracle.applied(node, data(2, 1), nothing), /in order/)
  t.throws(() => oracle.applied(node, data(3, 1), second), /only committed entries/)
  t.equal(oracle.lastApplied, 2)
})

t.test('nodes commit the same entries', async (t) => {
  const oracle = new Oracle()
  oracle.committedTo(holding('a', 2, 1, 2), 2)
  oracle.committedTo(holding('b', 3, 1, 2, 3), 3)
  oracle.committedTo(leader({ firstIndex: 9 }), 2)
  t.equal(oracle.lastCommitted, 3)
  t.same(oracle.committedAt(3), { term: 3, knownIn: 3 })
  t.throws(() => oracle.committedTo(holding('c', 4, 1, 1), 2), /commit the same entries/)
})

t.test('snapshots are committed states', async (t) => {
  const oracle = new Oracle()
  oracle.committedTo(holding('a', 2, 1), 1)
  const digest = oracle.applied(node, data(1, 1), nothing)
  const meta = { index: 1, term: 1, conf: plainConf(['a']) }
  oracle.restored('b', meta, digest)
  t.throws(() => oracle.restored('b', meta, digest + 1), /committed state/)
  t.throws(() => oracle.restored('b', { ...meta, index: 2 }, digest), /committed state/)
})

t.test('leader completeness: for what was committed in earlier terms', async (t) => {
  const oracle = new Oracle()
  oracle.committedTo(holding('a', 2, 1), 1)
  oracle.committedTo(holding('a', 3, 1, 2), 2)
  oracle.leads(leader({ id: 'c', term: 3, termAt: (index) => (index === 1 ? 1 : undefined) }))
  oracle.leads(leader({ id: 'd', term: 5, firstIndex: 9 }))
  oracle.leads(leader({ id: 'e', term: 6, termAt: (index) => index }))
  t.throws(() => oracle.leads(leader({ term: 4, termAt: () => 1 })), /holds all committed/)
})

t.test('acknowledged means committed, and reads see it', async (t) => {
  const oracle = withApplied(2, 1)
  t.throws(() => oracle.acknowledged(acknowledgement(2, 1)), /acknowledged is committed/)
  t.throws(() => oracle.acknowledged(acknowledgement(1, 2)), /acknowledged is committed/)
  t.throws(
    () => oracle.acknowledged({ ...acknowledgement(1, 1), data: bytesOf('y') }),
    /acknowledged is committed/,
    'with other content',
  )
  t.throws(
    () => oracle.acknowledged({ ...acknowledgement(1, 1), before: 1 }),
    /proposed later is applied later/,
  )
  oracle.acknowledged(acknowledgement(1, 1))
  t.same([oracle.lastAcknowledged, oracle.acknowledgements], [1, 1])
  oracle.read(1, 1)
  t.throws(() => oracle.read(1, 0), /sees all that was acknowledged/)
})

function conf(index: number, voters: readonly string[], outgoing: readonly string[] = []): Entry {
  return { kind: 'conf', term: 1, index, conf: { ...plainConf(voters), outgoing } }
}

/** Applies these entries one after another. */
function applyAll(oracle: Oracle, entries: readonly Entry[]): void {
  oracle.committedTo(holding('a', 2, ...entries.map(({ term }) => term)), entries.length)
  let digest = 0
  for (const entry of entries) {
    digest = oracle.applied(node, entry, { index: entry.index - 1, digest })
  }
}

t.test('a voter that was added votes, by a configuration that holds alone', async (t) => {
  const abc = ['a', 'b', 'c']
  const oracle = new Oracle()
  const entries = [conf(1, ['a', 'b']), conf(2, abc, ['a', 'b']), conf(3, abc), data(4, 1)]
  applyAll(oracle, entries)
  oracle.voterAdded('c', 3)
  oracle.voterAdded('c', 4)
  t.throws(() => oracle.voterAdded('c', 2), /a voter that was added votes/)
  t.throws(() => oracle.voterAdded('d', 4), /a voter that was added votes/)
  // Committed and sent, but not applied anywhere.
  oracle.sent(append(1, conf(5, ['a', 'b', 'c', 'd'])), 1)
  t.throws(() => oracle.voterAdded('d', 5), /a voter that was added votes/, 'nor committed')
  oracle.committedTo(holding('a', 2, 1, 1, 1, 1, 1), 5)
  oracle.voterAdded('d', 5)
})

t.test('successive configurations overlap', async (t) => {
  const counted: string[] = []
  const oracle = new Oracle((name) => counted.push(name))
  const abc = ['a', 'b', 'c']
  const dec = ['d', 'e', 'c']
  const entries = [conf(1, abc), conf(2, dec, abc), { ...conf(3, dec), term: 2 }, conf(4, abc)]
  t.throws(() => applyAll(oracle, entries), /configurations overlap/)
  t.ok(counted.includes('jointsLeftByAnotherLeader'))
  t.ok(oracle.wasMember('d') && !oracle.wasMember('f'))
})

t.test(
  'a cluster forced new keeps what its survivor holds, and nothing else is promised',
  async (t) => {
    const oracle = new Oracle()
    applyAll(oracle, [conf(1, ['a', 'b', 'c']), data(2, 1), data(3, 1)])
    oracle.acknowledged(acknowledgement(3, 1))
    oracle.leads(holding('b', 3, 1, 1, 1))
    const survivor = holding('a', 3, 1, 1, 3)
    oracle.forcedNew(survivor, 2)
    t.same([oracle.lastCommitted, oracle.lastApplied, oracle.lastAcknowledged], [2, 2, 2])
    oracle.leads(survivor)
    oracle.committedTo(survivor, 3)
    const alone: Entry = { kind: 'conf', term: 3, index: 3, conf: plainConf(['a']) }
    const before = {
      index: 2,
      digest: oracle.applied(node, data(2, 1), digestOf(conf(1, ['a', 'b', 'c']))),
    }
    oracle.applied(node, alone, before)
    t.same(oracle.conf?.voters, ['a'])
  },
)

function digestOf(entry: Entry): { readonly index: number; readonly digest: number } {
  return { index: entry.index, digest: extendDigest(0, entry) }
}

t.test('overlap: one voter more or less is safe, two are not', async (t) => {
  const abc = plainConf(['a', 'b', 'c'])
  t.ok(quorumsOverlap(abc, plainConf(['a', 'b', 'c', 'd'])))
  t.ok(quorumsOverlap(abc, plainConf(['a', 'b'])))
  t.notOk(quorumsOverlap(abc, plainConf(['a', 'b', 'c', 'd', 'e'])))
  t.notOk(quorumsOverlap(abc, plainConf(['a'])))
  t.notOk(quorumsOverlap(abc, plainConf(['d', 'e', 'f'])))
})
