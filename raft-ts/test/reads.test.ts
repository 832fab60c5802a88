// Linearizable reads by ReadIndex, thesis 6.4.
import type { Message } from 'raft-ts'
import t from 'tap'
import { Cluster, type Peer } from './support/cluster.ts'

const abc = ['a', 'b', 'c']

function heartbeats(messages: readonly Message[]): readonly Message[] {
  return messages.filter((message) => message.kind === 'heartbeat')
}

function latestHeartbeat(cluster: Cluster): { readonly round: number } {
  const rounds = heartbeats(cluster.sent).map((message) =>
    message.kind === 'heartbeat' ? message.round : 0,
  )
  return { round: Math.max(0, ...rounds) }
}

t.test('6.4: a leader answers after a quorum confirmed it, with its commit index', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  a.propose('x')
  cluster.settle()
  t.same(a.node.readIndex(1n), { kind: 'pending' })
  const sent = a.pump()
  t.equal(heartbeats(sent).length, 2)
  t.same(a.reads, [])
  for (const message of sent) cluster.deliver(message)
  cluster.settle()
  t.same(a.reads, [{ index: 3, context: 1n }])
})

t.test('6.4: a deposed leader answers nothing', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.isolate('a')
  cluster.tick(['b', 'c'], 30)
  a.node.readIndex(1n)
  cluster.settle()
  t.equal(a.role, 'leader', 'it does not know yet')
  t.same(a.reads, [])
  cluster.tick(['a'], 20)
  t.same(a.reads, [])
  t.same(a.aborted, [1n])
})

t.test('6.4: reads wait until an entry of the own term is committed', async (t) => {
  const cluster = new Cluster(abc)
  cluster.loses = (message) => message.kind === 'append'
  const a = cluster.elect('a')
  a.node.readIndex(1n)
  cluster.tick(undefined, 4)
  t.same(a.reads, [])
  cluster.heal()
  cluster.tick(undefined, 4)
  t.same(a.reads, [{ index: 2, context: 1n }])
})

t.test(
  '6.4: also on a resumed leader, whose heartbeats prove its leadership meanwhile',
  async (t) => {
    const cluster = new Cluster(abc)
    cluster.elect('b').propose('x')
    cluster.loses = (message) =>
      message.to === 'a' && message.kind === 'append' && message.commit > 2
    cluster.settle()
    cluster.loses = (message) => message.kind === 'append' && message.from === 'a'
    const a = cluster.get('a')
    a.node.step({ kind: 'timeout-now', from: 'b', to: 'a', term: 2 })
    cluster.settle()
    t.match(a.node.status(), { role: 'leader', commit: 2 })
    a.node.readIndex(1n)
    a.node.resumed()
    cluster.settle()
    t.same(a.reads, [], 'x was acknowledged at index 3, which a does not know to be committed')
    cluster.heal()
    cluster.tick(undefined, 4)
    t.same(a.reads, [{ index: 4, context: 1n }])
  },
)

t.test('6.4: reads share a round', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  for (let i = 1n; i <= 50n; i++) a.node.readIndex(i)
  const sent = a.pump()
  t.equal(heartbeats(sent).length, 2)
  for (const message of sent) cluster.deliver(message)
  cluster.settle()
  t.equal(a.reads.length, 50)
})

t.test('6.4: a follower asks the leader', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  const b = cluster.get('b')
  a.propose('x')
  cluster.settle()
  t.same(b.node.readIndex(5n), { kind: 'pending' })
  cluster.settle()
  t.same(b.reads, [{ index: 3, context: 5n }])
  t.same(a.reads, [])
})

t.test('6.4: a learner asks the leader too, and the voters confirm', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  const l = cluster.add('l')
  a.node.proposeConfChange({ steps: [{ kind: 'add-learner', id: 'l' }] })
  a.propose('x')
  cluster.tick(undefined, 4)
  t.same(l.node.readIndex(5n), { kind: 'pending' })
  cluster.settle()
  t.same(l.reads, [{ index: a.commit, context: 5n }])
  t.same(l.texts, ['x'])
  cluster.isolate('b', 'c')
  l.node.readIndex(6n)
  cluster.tick(undefined, 4)
  t.equal(l.reads.length, 1, 'leader and learner are no majority')
})

t.test('6.4: forwarded reads share a round with others', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  const { round: before } = latestHeartbeat(cluster)
  for (const id of ['b', 'c']) for (let i = 1n; i <= 20n; i++) cluster.get(id).node.readIndex(i)
  const asked = ['b', 'c'].flatMap((id) => cluster.get(id).pump())
  t.equal(asked.length, 40)
  for (const message of asked) cluster.deliver(message)
  a.node.readIndex(1n)
  cluster.settle()
  t.equal(latestHeartbeat(cluster).round, before + 1)
  for (const id of ['b', 'c']) t.equal(cluster.get(id).reads.length, 20)
  t.equal(a.reads.length, 1)
})

t.test('6.4: what a follower forwards to one that no longer leads is given up', async (t) => {
  const cluster = new Cluster(abc)
  cluster.elect('a')
  const b = cluster.get('b')
  b.node.readIndex(5n)
  const asked = b.pump()
  cluster.get('a').node.transferLeadership('c')
  cluster.settle()
  for (const message of asked) cluster.deliver(message)
  cluster.settle()
  t.same(b.aborted, [5n])
  t.same(b.reads, [])
})

t.test('6.4: followers with equal contexts are told apart', async (t) => {
  const cluster = new Cluster(abc)
  cluster.elect('a')
  for (const peer of cluster.peers.values()) peer.node.readIndex(7n)
  cluster.settle()
  for (const peer of cluster.peers.values()) t.same(peer.reads, [{ index: 2, context: 7n }])
})

t.test('without a leader there is nobody to ask', async (t) => {
  const a = new Cluster(abc).get('a')
  t.same(a.node.readIndex(1n), { kind: 'no-leader' })
  t.throws(() => a.node.readIndex(-1n), /not negative/)
})

t.test('a lost answer is given up after at most two election time-outs', async (t) => {
  const cluster = new Cluster(abc)
  cluster.elect('a')
  const b = cluster.get('b')
  cluster.loses = (message) => message.kind === 'read-index-response'
  b.node.readIndex(5n)
  cluster.tick(undefined, 20)
  t.same(b.aborted, [5n])
  t.same(b.reads, [])
})

t.test('a change of leader gives up what was asked of the old one', async (t) => {
  const cluster = new Cluster(abc)
  cluster.elect('a')
  const b = cluster.get('b')
  cluster.isolate('a')
  b.node.readIndex(5n)
  cluster.settle()
  cluster.get('c').node.step({ kind: 'timeout-now', from: 'a', to: 'c', term: 2 })
  cluster.settle()
  t.equal(cluster.get('c').role, 'leader')
  t.same(b.aborted, [5n])
})

t.test('a lost round is repeated by the next heartbeat', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.loses = (message) => message.kind === 'heartbeat'
  a.node.readIndex(1n)
  cluster.settle()
  cluster.heal()
  cluster.tick(undefined, 2)
  t.same(a.reads, [{ index: 2, context: 1n }])
})

t.test('a single voter answers itself', async (t) => {
  const cluster = new Cluster(['a'])
  const a = cluster.elect('a')
  a.node.readIndex(1n)
  cluster.settle()
  t.same(a.reads, [{ index: 2, context: 1n }])
})

t.test('learners do not confirm a leader', async (t) => {
  const cluster = new Cluster(['a', 'b'])
  const a = cluster.elect('a')
  cluster.add('l')
  a.node.proposeConfChange({ steps: [{ kind: 'add-learner', id: 'l' }] })
  cluster.settle()
  cluster.isolate('b')
  a.node.readIndex(1n)
  cluster.settle()
  t.same(a.reads, [])
})

t.test('too many reads are refused on leader and follower', async (t) => {
  const cluster = new Cluster(abc, { tuning: { pendingReadsMax: 2 } })
  const a = cluster.elect('a')
  const b: Peer = cluster.get('b')
  for (const peer of [a, b]) {
    t.equal(peer.node.readIndex(1n).kind, 'pending')
    t.equal(peer.node.readIndex(2n).kind, 'pending')
    t.equal(peer.node.readIndex(3n).kind, 'busy')
  }
  cluster.settle()
  t.equal(a.reads.length, 2)
})
