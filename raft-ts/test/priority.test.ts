// Priority of voters: who campaigns first, and when a leader hands over to one that should rather lead.
import type { NodeId } from 'raft-ts'
import t from 'tap'
import { HandOvers } from '../build/core/hand-overs.js'
import { Cluster, foundedDisk, Peer } from './support/cluster.ts'

const abc = ['a', 'b', 'c']
const T = 10

function prioritized(priorities: Readonly<Record<NodeId, number>>): Cluster {
  return new Cluster(abc, { priorityOf: (id) => priorities[id] ?? 0 })
}

function leaders(cluster: Cluster): readonly NodeId[] {
  return [...cluster.peers.values()].filter((peer) => peer.role === 'leader').map(({ id }) => id)
}

/** Ticks until it campaigns, with everyone else silent; random() as given. */
function patienceOf(id: NodeId, priorities: Readonly<Record<NodeId, number>>, random = 0): number {
  const peer = new Peer(id, {
    disk: foundedDisk([...abc, 'd']),
    priorityOf: (of) => priorities[of] ?? 0,
    random: () => random,
  })
  for (let ticks = 1; ticks <= 100; ticks++) {
    peer.node.tick()
    peer.pump()
    if (peer.role !== 'follower') return ticks
  }
  throw new Error('it never campaigns')
}

t.test('without priorities all are equally patient', async (t) => {
  for (const id of abc) t.equal(patienceOf(id, {}), T)
  for (const id of abc) t.equal(patienceOf(id, { a: 7, b: 7, c: 7, d: 7 }), T)
})

t.test('each priority above the own one costs an election time-out, two at most', async (t) => {
  const priorities = { a: 3, b: 2, c: 1, d: 0 }
  t.equal(patienceOf('a', priorities), T)
  t.equal(patienceOf('b', priorities), 2 * T)
  t.equal(patienceOf('c', priorities), 3 * T)
  t.equal(patienceOf('d', priorities), 3 * T, 'priority 0 campaigns in the end')
  t.equal(patienceOf('b', { a: 2, c: 2, d: 2 }), 2 * T, 'equals count once')
  t.ok(
    patienceOf('a', priorities, 0.99) < patienceOf('b', priorities, 0),
    'never in the same moment',
  )
})

t.test('the preferred voter is elected, whoever is the quickest', async (t) => {
  // a has the shortest time-out of its own.
  const cluster = prioritized({ c: 1 })
  cluster.tick(undefined, 2 * T)
  t.same(leaders(cluster), ['c'])
})

t.test('without the preferred voter another one leads', async (t) => {
  const cluster = prioritized({ c: 1 })
  cluster.isolate('c')
  cluster.tick(undefined, 3 * T)
  t.same(leaders(cluster), ['a'])
})

t.test('the leader that fell silent is not waited for', async (t) => {
  const cluster = prioritized({ c: 2, b: 1 })
  cluster.elect('c')
  cluster.tick(undefined, 2)
  cluster.isolate('c')
  cluster.tick(['a', 'b'], 2 * T)
  t.same(leaders(cluster).includes('b'), true)
  t.equal(cluster.get('a').soft.leader, 'b', 'and of those left the preferred one is first')
})

t.test('a leader hands over to a voter of higher priority, after some steady time', async (t) => {
  const cluster = prioritized({ c: 2, b: 1 })
  const a = cluster.elect('a')
  cluster.tick(undefined, 4 * T - 2)
  t.same(leaders(cluster), ['a'])
  cluster.tick(undefined, 6)
  t.same(leaders(cluster), ['c'], 'of two the higher one')
  t.ok(a.notes.includes('hand-over'))
  cluster.tick(undefined, 100 * T)
  t.same(leaders(cluster), ['c'], 'and there it stays')
  t.equal(cluster.get('c').node.status().term, 3)
})

t.test('not to an equal one', async (t) => {
  const cluster = prioritized({ a: 1, b: 1, c: 1 })
  cluster.elect('a')
  cluster.tick(undefined, 20 * T)
  t.same(leaders(cluster), ['a'])
})

t.test('not to a learner, however preferred', async (t) => {
  const cluster = prioritized({ d: 9 })
  const a = cluster.elect('a')
  cluster.add('d')
  a.node.proposeConfChange({ steps: [{ kind: 'add-learner', id: 'd' }] })
  cluster.tick(undefined, 10 * T)
  t.same(leaders(cluster), ['a'])
  t.notOk(a.notes.includes('hand-over'))
  a.node.proposeConfChange({ steps: [{ kind: 'add-voter', id: 'd' }] })
  cluster.tick(undefined, 5 * T)
  t.same(leaders(cluster), ['d'], 'as a voter it is')
})

t.test('not to a voter that is silent, or behind', async (t) => {
  const cluster = prioritized({ c: 1 })
  const a = cluster.elect('a')
  cluster.tick(undefined, 2)
  cluster.isolate('c')
  cluster.tick(undefined, 20 * T)
  t.notOk(a.notes.includes('hand-over'), 'silent')
  cluster.heal()
  // Heartbeats go through, entries do not.
  cluster.loses = (message) => message.to === 'c' && message.kind === 'append'
  a.propose('x')
  cluster.tick(undefined, 20 * T)
  t.notOk(a.notes.includes('hand-over'), 'behind')
  cluster.heal()
  cluster.tick(undefined, 5 * T)
  t.same(leaders(cluster), ['c'])
  t.same(cluster.get('c').texts, ['x'])
})

t.test('under load too: what is under way does not count as behind', async (t) => {
  const cluster = prioritized({ c: 1 })
  const a = cluster.elect('a')
  for (let i = 0; i < 5 * T && a.role === 'leader'; i++) {
    // Taken by everyone in the next tick.
    for (const id of abc) cluster.get(id).node.tick()
    a.propose(`${i}`)
    for (const message of [...cluster.peers.values()].flatMap((peer) => peer.pump())) {
      cluster.deliver(message)
    }
  }
  cluster.settle()
  t.same(leaders(cluster), ['c'])
})

t.test('not while a membership change is under way, nor soon after one', async (t) => {
  const cluster = prioritized({ c: 1 })
  const a = cluster.elect('a')
  cluster.tick(undefined, 4 * T - 4)
  for (const id of ['d', 'e']) cluster.add(id)
  // It cannot be committed: d and e answer, but get no entries, and b hears nothing.
  cluster.isolate('b')
  const losesBefore = cluster.loses
  cluster.loses = (message) =>
    losesBefore(message) || (message.kind === 'append' && ['d', 'e'].includes(message.to))
  a.node.proposeConfChange({
    steps: [
      { kind: 'add-voter', id: 'd' },
      { kind: 'add-voter', id: 'e' },
    ],
  })
  cluster.tick(undefined, 10 * T)
  t.match(a.node.status(), { role: 'leader', conf: { outgoing: abc } }, 'the change is under way')
  t.notOk(a.notes.includes('hand-over'))
  cluster.heal()
  cluster.tick(undefined, 2 * T)
  t.match(a.node.status(), { role: 'leader', conf: { outgoing: [] } })
  cluster.tick(undefined, 3 * T)
  t.same(leaders(cluster), ['c'])
})

t.test('a transfer that was asked for goes first', async (t) => {
  const cluster = prioritized({ c: 1 })
  const a = cluster.elect('a')
  cluster.tick(undefined, 4 * T - 4)
  cluster.loses = (message) => message.kind === 'timeout-now' && message.to === 'b'
  a.node.transferLeadership('b')
  cluster.tick(undefined, T - 2)
  t.equal(a.node.status().transferringTo, 'b')
  cluster.tick(undefined, 3 * T)
  t.same(leaders(cluster), ['a'], 'the steady time began anew')
  cluster.tick(undefined, 2 * T)
  t.same(leaders(cluster), ['c'])
})

t.test('a hand-over that fails is tried ever less often', async (t) => {
  const cluster = prioritized({ c: 1 })
  const a = cluster.elect('a')
  cluster.loses = (message) => message.kind === 'timeout-now'
  const at: number[] = []
  for (let tick = 0; tick < 300 * T; tick++) {
    const before = a.notes.length
    cluster.tick()
    if (a.notes.slice(before).includes('hand-over')) at.push(tick / T)
  }
  t.same(leaders(cluster), ['a'])
  const pauses = at.slice(1).map((one, i) => one - (at[i] ?? 0))
  t.ok(pauses.length >= 5, `${pauses.join()}`)
  t.ok(
    pauses.every((pause, i) => pause >= (pauses[i - 1] ?? 0) && pause <= 65),
    `${pauses.join()}`,
  )
  t.ok((pauses[0] ?? 0) >= 8)
  t.ok((pauses.at(-1) ?? 0) >= 63)
  cluster.heal()
  cluster.tick(undefined, 70 * T)
  t.same(leaders(cluster), ['c'], 'but never given up')
})

t.test('nodes that disagree about priorities do not play ping-pong', async (t) => {
  const cluster = new Cluster([])
  for (const id of abc) {
    const priorityOf = (of: NodeId): number => (of === id ? 0 : 1)
    cluster.put(new Peer(id, { disk: foundedDisk(abc), priorityOf }))
  }
  cluster.elect('a')
  cluster.tick(undefined, 300 * T)
  t.equal(leaders(cluster).length, 1)
  t.ok((cluster.get('a').node.status().term ?? 0) < 40, 'some, ever less often')
})

t.test('attempts long ago are forgotten', async (t) => {
  const handOvers = new HandOvers()
  const pass = (elections: number): void => {
    for (let i = 0; i < elections * T; i++) handOvers.tick()
  }
  t.ok(handOvers.isDue(T))
  for (let i = 0; i < 9; i++) handOvers.attempted(T)
  pass(63)
  t.notOk(handOvers.isDue(T))
  pass(1)
  t.ok(handOvers.isDue(T))
  pass(64)
  handOvers.attempted(T)
  pass(8)
  t.ok(handOvers.isDue(T), 'as after the first')
})

t.test('priorities may change while running', async (t) => {
  const priorities: Record<NodeId, number> = { a: 1 }
  const cluster = prioritized(priorities)
  cluster.elect('a')
  cluster.tick(undefined, 20 * T)
  t.same(leaders(cluster), ['a'])
  priorities.b = 2
  cluster.tick(undefined, 5 * T)
  t.same(leaders(cluster), ['b'])
})

t.test('who steps down prefers, of equal logs, the priority', async (t) => {
  const cluster = prioritized({ a: 9, c: 1 })
  const a = cluster.elect('a')
  cluster.tick(undefined, 2)
  a.node.stepDown()
  cluster.settle()
  t.same(leaders(cluster), ['c'])
})

t.test('who steps down prefers the longest log to the priority', async (t) => {
  const cluster = prioritized({ a: 9, c: 1 })
  const a = cluster.elect('a')
  cluster.loses = (message) => message.to === 'c' && message.kind === 'append'
  a.propose('x')
  cluster.settle()
  cluster.heal()
  a.node.stepDown()
  cluster.settle()
  t.same(leaders(cluster), ['b'])
})

t.test('a hand-over can be put off, for as long as it is', async (t) => {
  const cluster = prioritized({ c: 1 })
  const a = cluster.elect('a')
  for (let i = 0; i < 10 * T; i++) {
    cluster.tick()
    a.node.postponeHandOver()
  }
  t.same(leaders(cluster), ['a'])
  cluster.tick(undefined, 5 * T)
  t.same(leaders(cluster), ['c'])
})
