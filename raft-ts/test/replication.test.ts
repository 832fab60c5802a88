// Log replication, commitment and the pipeline. Each test names its section.
import { defaultRaftTuning, type Message, type NodeId, RaftNode } from 'raft-ts'
import t from 'tap'
import {
  bytesOf,
  Cluster,
  diskWithTerms,
  foundedDisk,
  Peer,
  type PeerOptions,
} from './support/cluster.ts'

const abc = ['a', 'b', 'c']

type Append = Extract<Message, { kind: 'append' }>

function appends(messages: readonly Message[], to?: NodeId): readonly Append[] {
  return messages.filter(
    (message): message is Append =>
      message.kind === 'append' && (to === undefined || message.to === to),
  )
}

function follower(terms: readonly number[], options: PeerOptions = {}): Peer {
  const peer = new Peer('a', { ...options, disk: diskWithTerms(abc, terms) })
  peer.pump()
  return peer
}

function append(overrides: Partial<Append>): Message {
  return {
    kind: 'append',
    from: 'b',
    to: 'a',
    term: 9,
    prevIndex: 0,
    prevTerm: 0,
    commit: 0,
    entries: [],
    ...overrides,
  }
}

function entriesOf(from: number, ...terms: readonly number[]): Append['entries'] {
  return terms.map((term, i) => ({
    kind: 'data',
    term,
    index: from + i,
    data: bytesOf(`${term}.${from + i}`),
  }))
}

/** A leader whose peers accepted everything, its window open. */
function leaderOf(cluster: Cluster, id = 'a'): Peer {
  const leader = cluster.elect(id)
  cluster.tick(undefined, 2)
  return leader
}

t.test('figure 2, AppendEntries 1: an older leader is refused and told the term', async (t) => {
  const a = follower([3])
  a.node.step(append({ term: 2, prevIndex: 2, prevTerm: 3, entries: entriesOf(3, 2) }))
  t.match(a.pump(), [{ kind: 'append-response', to: 'b', term: 3 }])
  t.equal(a.node.status().lastIndex, 2)
})

t.test('figure 2, AppendEntries 2: refused without a matching previous entry', async (t) => {
  const a = follower([1, 1])
  a.node.step(append({ prevIndex: 5, prevTerm: 2 }))
  t.match(a.pump(), [{ kind: 'append-response', index: 5, reject: { hintIndex: 3, hintTerm: 1 } }])
  a.node.step(append({ prevIndex: 3, prevTerm: 2 }))
  t.match(a.pump(), [{ index: 3, reject: { hintIndex: 3, hintTerm: 1 } }])
})

t.test('figure 2, AppendEntries 3 and 4: a conflicting suffix is replaced', async (t) => {
  const a = follower([1, 2, 2])
  a.node.step(append({ prevIndex: 2, prevTerm: 1, entries: entriesOf(3, 3, 3) }))
  t.match(a.pump(), [{ kind: 'append-response', index: 4, reject: undefined }])
  t.same(
    [1, 2, 3, 4].map((index) => a.disk.term(index)),
    [1, 1, 3, 3],
  )
})

t.test(
  'figure 2, AppendEntries 3: an old message does not truncate what followed it',
  async (t) => {
    const a = follower([])
    a.node.step(append({ prevIndex: 1, prevTerm: 1, entries: entriesOf(2, 9, 9, 9) }))
    a.pump()
    a.node.step(append({ prevIndex: 1, prevTerm: 1, entries: entriesOf(2, 9) }))
    t.match(a.pump(), [{ kind: 'append-response', index: 2 }])
    t.equal(a.node.status().lastIndex, 4)
  },
)

t.test('figure 2, AppendEntries 5: commits up to the last entry known to match', async (t) => {
  const a = follower([1, 1, 1])
  a.node.step(append({ prevIndex: 2, prevTerm: 1, entries: entriesOf(3, 9), commit: 9 }))
  a.pump()
  t.equal(a.commit, 3)
  a.node.step(append({ prevIndex: 3, prevTerm: 9, commit: 2 }))
  t.equal(a.commit, 3, 'never back')
})

t.test('5.3: what lies below the commit index is answered with it', async (t) => {
  const a = follower([1, 1, 1])
  a.node.step(append({ prevIndex: 4, prevTerm: 1, commit: 4 }))
  a.pump()
  a.node.step(append({ prevIndex: 2, prevTerm: 1, entries: entriesOf(3, 1) }))
  t.match(a.pump(), [{ kind: 'append-response', index: 4, reject: undefined }])
})

t.test('5.3: entries are applied in order, each once, on every server', async (t) => {
  const cluster = new Cluster(abc)
  const a = leaderOf(cluster)
  for (const text of ['x', 'y', 'z']) a.propose(text)
  cluster.settle()
  for (const peer of cluster.peers.values()) {
    t.same(peer.texts, ['x', 'y', 'z'])
    t.same(
      peer.applied.map((entry) => entry.index),
      [1, 2, 3, 4, 5],
    )
  }
})

t.test('5.3: only a leader takes proposals, a follower names it', async (t) => {
  const cluster = new Cluster(abc)
  t.same(cluster.get('b').propose('x'), { kind: 'not-leader', leader: undefined })
  cluster.elect('a')
  t.same(cluster.get('b').propose('x'), { kind: 'not-leader', leader: 'a' })
  t.match(cluster.get('a').propose('x'), { kind: 'accepted', index: 3, term: 2 })
  t.throws(() => cluster.get('a').node.propose(new Uint8Array(0)), /not empty/)
})

t.test('5.3: an entry is committed once a majority has it durably', async (t) => {
  const cluster = new Cluster(['a', 'b', 'c', 'd', 'e'])
  const a = leaderOf(cluster)
  cluster.isolate('a', 'b')
  a.propose('x')
  cluster.settle()
  t.equal(a.commit, 2)
  cluster.heal()
  cluster.isolate('d', 'e')
  cluster.tick(undefined, 3)
  t.equal(a.commit, 3)
})

t.test('5.3: the leader brings every log to its own (figure 7)', async (t) => {
  const leaderTerms = [1, 1, 4, 4, 5, 5, 6, 6, 6]
  const others: readonly (readonly number[])[] = [
    [1, 1, 4, 4, 5, 5, 6, 6],
    [1, 1, 4],
    [1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    [1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    [1, 1, 4, 4, 4, 4],
    [1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
  ]
  for (const terms of others) {
    const cluster = new Cluster([])
    cluster.add('a', diskWithTerms(abc, leaderTerms, 7))
    cluster.add('b', diskWithTerms(abc, terms, 7))
    cluster.add('c', diskWithTerms(abc, [], 7))
    const a = cluster.elect('a')
    a.propose('x')
    cluster.tick(undefined, 4)
    const logs = [...cluster.peers.values()].map((peer) => {
      const { lastIndex } = peer.node.status()
      return Array.from({ length: lastIndex }, (_, i) => peer.disk.term(i + 1)).join()
    })
    t.equal(new Set(logs).size, 1, `${terms.join()} against ${logs[0]}`)
    t.same(cluster.get('b').texts, a.texts)
  }
})

t.test('5.3: whole terms are skipped when logs differ', async (t) => {
  const cluster = new Cluster([])
  const long = Array.from({ length: 300 }, () => 1)
  cluster.add('a', diskWithTerms(abc, [...long, 5, 5]))
  cluster.add(
    'b',
    diskWithTerms(abc, [...long.slice(0, 10), ...Array.from({ length: 200 }, () => 3)]),
  )
  cluster.add('c', diskWithTerms(abc, [...long, 5, 5]))
  cluster.elect('a')
  cluster.tick(undefined, 4)
  const refusals = cluster.sent.filter(
    (message) => message.kind === 'append-response' && message.reject !== undefined,
  )
  t.equal(cluster.get('b').commit, cluster.get('a').commit)
  t.ok(refusals.length <= 3, `${refusals.length} refusals`)
})

t.test('5.4.2: entries of earlier terms are not committed by counting (figure 8)', async (t) => {
  const cluster = new Cluster([], { tuning: { preVote: false, checkQuorum: false } })
  const five = ['a', 'b', 'c', 'd', 'e']
  cluster.add('a', diskWithTerms(five, [2, 4]))
  for (const id of ['b', 'c']) cluster.add(id, diskWithTerms(five, [2]))
  for (const id of ['d', 'e']) cluster.add(id, diskWithTerms(five, []))
  // Entry 2 of term 2 is on a majority, the leader's own entry is not.
  let own = 0
  cluster.loses = (message) => {
    if (message.kind !== 'append') return false
    own = message.term
    return message.entries.some((entry) => entry.term === message.term)
  }
  const a = cluster.elect('a')
  a.node.step({ kind: 'append-response', from: 'b', to: 'a', term: own, index: 2 })
  a.node.step({ kind: 'append-response', from: 'c', to: 'a', term: own, index: 2 })
  t.equal(a.commit, 1, 'on a majority, and still not committed')
  cluster.heal()
  cluster.tick(undefined, 3)
  t.equal(a.commit, 4, 'the own entry commits all before it')
})

t.test('8: a new leader appends an empty entry', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  t.match(a.applied.at(-1), { kind: 'data', term: 2, index: 2 })
  t.same(a.texts, [])
})

t.test(
  '10.2.1: appends leave before the leader’s own flush, which counts only when done',
  async (t) => {
    const cluster = new Cluster(abc)
    const a = leaderOf(cluster)
    a.isFlushHeld = true
    a.propose('x')
    const sent = a.pump()
    t.equal(appends(sent).length, 2)
    cluster.get('b').node.step(appends(sent, 'b')[0] as Message)
    for (const message of cluster.get('b').pump()) a.node.step(message)
    t.equal(a.commit, 2, 'b has it, the leader not yet')
    a.isFlushHeld = false
    a.pump()
    t.equal(a.commit, 3)
  },
)

t.test(
  '10.2.1: followers alone may commit; the leader applies once it is durable there too',
  async (t) => {
    const cluster = new Cluster(abc)
    const a = leaderOf(cluster)
    a.isFlushHeld = true
    a.propose('x')
    cluster.settle()
    t.equal(a.commit, 3)
    t.same(a.texts, [])
    t.same(cluster.get('b').texts, ['x'])
    a.isFlushHeld = false
    cluster.settle()
    t.same(a.texts, ['x'])
  },
)

t.test('acknowledgements wait for the flush; heartbeats are answered meanwhile', async (t) => {
  const a = follower([])
  a.isFlushHeld = true
  a.node.step(append({ prevIndex: 1, prevTerm: 1, entries: entriesOf(2, 9) }))
  t.same(a.pump(), [])
  a.node.step({ kind: 'heartbeat', from: 'b', to: 'a', term: 9, commit: 1, round: 4 })
  t.match(a.pump(), [{ kind: 'heartbeat-response', round: 4 }])
  a.isFlushHeld = false
  t.match(a.pump(), [{ kind: 'append-response', index: 2 }])
})

t.test('a slow disk never stops the leader’s heartbeats', async (t) => {
  const cluster = new Cluster(abc)
  const a = leaderOf(cluster)
  a.isFlushHeld = true
  a.propose('x')
  cluster.tick(undefined, 60)
  t.match(a.node.status(), { role: 'leader', term: 2 })
})

t.test('proposals made together share one message', async (t) => {
  const cluster = new Cluster(abc)
  const a = leaderOf(cluster)
  for (let i = 0; i < 10; i++) a.propose(`${i}`)
  const ready = a.node.ready()
  t.equal(ready.entries.length, 10)
  t.same(
    appends(ready.messages).map((message) => message.entries.length),
    [10, 10],
  )
})

t.test('messages are bounded in bytes, the pipeline in messages', async (t) => {
  const cluster = new Cluster(abc, {
    tuning: { messageBytesMax: 200, inflightMessagesMax: 3 },
  })
  const a = leaderOf(cluster)
  for (let i = 0; i < 40; i++) a.propose('0123456789')
  const sent = appends(a.node.ready().messages, 'b')
  t.same(
    sent.map((message) => message.entries.length),
    [4, 4, 4],
  )
  t.equal(a.node.status().peers[0]?.inflightMessages, 3)
})

t.test('a proposer is told to wait when too much is pending, and may go on later', async (t) => {
  const cluster = new Cluster(abc, { tuning: { pendingBytesMax: 100 } })
  const a = leaderOf(cluster)
  t.equal(a.propose('x'.repeat(500)).kind, 'accepted', 'one may always be pending')
  t.equal(a.propose('y').kind, 'busy')
  cluster.settle()
  t.equal(a.propose('y').kind, 'accepted')
})

t.test('lost, repeated and reordered messages are made good', async (t) => {
  const cluster = new Cluster(abc)
  const a = leaderOf(cluster)
  let count = 0
  cluster.loses = (message) => message.kind === 'append' && count++ % 3 !== 0
  for (let i = 0; i < 20; i++) {
    a.propose(`${i}`)
    cluster.settle()
  }
  cluster.loses = () => false
  const before = [...cluster.sent]
  cluster.tick(undefined, 6)
  for (const message of before.reverse()) cluster.get(message.to).node.step(message)
  cluster.tick(undefined, 6)
  for (const peer of cluster.peers.values()) t.equal(peer.texts.length, 20)
})

t.test('an unreachable peer is probed, then caught up', async (t) => {
  const cluster = new Cluster(abc)
  const a = leaderOf(cluster)
  cluster.isolate('b')
  for (let i = 0; i < 5; i++) a.propose(`${i}`)
  a.node.reportUnreachable('b')
  cluster.settle()
  t.match(a.node.status().peers[0], { id: 'b', state: 'probe', next: 3 })
  cluster.heal()
  cluster.tick(undefined, 4)
  t.match(a.node.status().peers[0], { id: 'b', state: 'replicate', match: 7 })
})

t.test('an impossible answer is dropped with a note', async (t) => {
  const cluster = new Cluster(abc)
  const a = leaderOf(cluster)
  a.node.step({ kind: 'append-response', from: 'b', to: 'a', term: 2, index: 99 })
  a.pump()
  t.ok(a.notes.includes('impossible-answer'))
  t.equal(a.commit, 2)
})

t.test('a restarted cluster has what was committed', async (t) => {
  const cluster = new Cluster(abc)
  const a = leaderOf(cluster)
  for (const text of ['x', 'y']) a.propose(text)
  cluster.settle()
  for (const id of abc) cluster.restart(id)
  cluster.tick(undefined, 40)
  for (const peer of cluster.peers.values()) t.same(peer.texts, ['x', 'y'])
})

t.test('a resumed leader takes no proposals before a quorum answered again', async (t) => {
  const cluster = new Cluster(abc)
  const a = leaderOf(cluster)
  a.node.resumed()
  t.equal(a.propose('x').kind, 'busy')
  cluster.settle()
  t.equal(a.propose('x').kind, 'accepted')
  cluster.isolate('a')
  a.node.resumed()
  cluster.tick(['a'], 4)
  t.equal(a.role, 'follower', 'within two heartbeats')
})

t.test('a resumed follower gives its leader a whole time-out', async (t) => {
  const a = follower([])
  for (let i = 0; i < 9; i++) a.node.tick()
  a.node.resumed()
  for (let i = 0; i < 9; i++) a.node.tick()
  t.equal(a.role, 'follower')
})

t.test('a node needs an id, and heartbeats more often than elections', async (t) => {
  const disk = foundedDisk(['a'])
  const base = { ...defaultRaftTuning, log: disk, restored: disk.restored(), random: () => 0 }
  t.throws(() => new RaftNode({ ...base, id: '' }), /has an id/)
  t.throws(() => new RaftNode({ ...base, id: 'a', heartbeatTicks: 10 }), /more frequent/)
})

t.test('a log that lost committed entries is refused at start', async (t) => {
  const disk = foundedDisk(['a'])
  disk.hardState = { term: 3, vote: undefined, commit: 7 }
  t.throws(() => new Peer('a', { disk }), /committed entries are in the log/)
})
