// Membership changes, thesis chapter 4. Each test names its section.
import type { ConfChangeStep, Message, NodeId } from 'raft-ts'
import t from 'tap'
import { bytesOf, Cluster, foundedDisk, Peer, plainConf } from './support/cluster.ts'

const abc = ['a', 'b', 'c']

function change(peer: Peer, ...steps: readonly ConfChangeStep[]): ReturnType<Peer['propose']> {
  return peer.node.proposeConfChange({ steps })
}

function voters(peer: Peer): readonly NodeId[] {
  return peer.node.status().conf.voters
}

function leaders(cluster: Cluster): readonly Peer[] {
  return [...cluster.peers.values()].filter((peer) => peer.role === 'leader')
}

t.test('4.1: a configuration holds from its append', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  t.match(change(a, { kind: 'add-learner', id: 'd' }), { kind: 'accepted', index: 3, term: 2 })
  t.match(a.node.status(), { confIndex: 3, conf: plainConf(abc, ['d']), commit: 2 })
  const sent = a.pump().filter((message) => message.to === 'd')
  t.match(sent, [{ kind: 'append' }])
})

t.test('4.1: a configuration is rolled back with its entry', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.isolate('a')
  change(a, { kind: 'add-voter', id: 'd' })
  cluster.settle()
  t.same(a.node.status().conf.outgoing, abc)
  cluster.get('b').node.campaign()
  cluster.tick(['a', 'b', 'c'], 30)
  cluster.heal()
  cluster.tick(undefined, 6)
  t.same(a.node.status().conf, plainConf(abc))
  t.ok(a.notes.includes('configuration-rolled-back'))
})

t.test('4.1: one change at a time', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  change(a, { kind: 'add-learner', id: 'd' })
  t.same(change(a, { kind: 'add-learner', id: 'e' }), {
    kind: 'refused',
    reason: 'a membership change is under way',
  })
  cluster.settle()
  t.match(change(a, { kind: 'add-learner', id: 'e' }), { kind: 'accepted' })
})

t.test('4.1: no change before an entry of the own term is committed', async (t) => {
  const cluster = new Cluster(abc)
  cluster.loses = (message) => message.kind === 'append'
  const a = cluster.elect('a')
  t.same(change(a, { kind: 'add-learner', id: 'd' }), { kind: 'busy' })
  cluster.heal()
  cluster.tick(undefined, 4)
  t.match(change(a, { kind: 'add-learner', id: 'd' }), { kind: 'accepted' })
})

t.test('4.1: only the leader changes members, and not while it hands over', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  t.same(change(cluster.get('b'), { kind: 'remove', id: 'c' }), { kind: 'not-leader', leader: 'a' })
  cluster.isolate('b')
  a.node.transferLeadership('b')
  t.same(change(a, { kind: 'remove', id: 'c' }), { kind: 'transferring' })
})

t.test('4.2.1: a learner receives the log without a voice, then becomes a voter', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  a.propose('x')
  const d = cluster.add('d')
  change(a, { kind: 'add-learner', id: 'd' })
  cluster.settle()
  t.same(d.texts, ['x'])
  cluster.isolate('b', 'c')
  a.propose('y')
  cluster.settle()
  t.same(a.texts, ['x'], 'a and the learner are no majority')
  cluster.heal()
  cluster.tick(undefined, 4)
  change(a, { kind: 'add-voter', id: 'd' })
  cluster.settle()
  for (const peer of cluster.peers.values()) {
    t.same([...voters(peer)].sort(), ['a', 'b', 'c', 'd'])
    t.same(peer.node.status().conf.outgoing, [])
  }
})

t.test('4.3: a joint configuration needs both majorities to commit', async (t) => {
  for (const missing of [
    ['b', 'c'],
    ['d', 'e'],
  ]) {
    const cluster = new Cluster(abc)
    const a = cluster.elect('a')
    for (const id of ['d', 'e']) cluster.add(id)
    change(a, { kind: 'add-learner', id: 'd' }, { kind: 'add-learner', id: 'e' })
    cluster.settle()
    cluster.isolate(...missing)
    change(
      a,
      { kind: 'add-voter', id: 'd' },
      { kind: 'add-voter', id: 'e' },
      { kind: 'remove', id: 'b' },
      { kind: 'remove', id: 'c' },
    )
    const { confIndex } = a.node.status()
    cluster.tick(undefined, 4)
    t.ok(a.commit < confIndex, `without ${missing.join()}`)
    cluster.heal()
    cluster.tick(undefined, 4)
    t.match(a.node.status().conf, { voters: ['a', 'd', 'e'], outgoing: [] })
    t.ok(a.commit > confIndex)
  }
})

t.test('4.3: a joint configuration needs both majorities to elect', async (t) => {
  const joint = { voters: ['a', 'd', 'e'], outgoing: abc, learners: [], learnersNext: [] }
  const disk = foundedDisk(abc)
  disk.write({ entries: [{ kind: 'conf', term: 1, index: 2, conf: joint }] })
  const a = new Peer('a', { disk, tuning: { preVote: false } })
  a.node.campaign()
  const asked = a.pump().map((message) => message.to)
  t.same(asked.sort(), ['b', 'c', 'd', 'e'])
  const grant = (from: NodeId): void =>
    a.node.step({ kind: 'vote-response', from, to: 'a', term: 2, granted: true })
  grant('d')
  grant('e')
  t.equal(a.role, 'candidate', 'the new majority alone')
  grant('b')
  t.equal(a.role, 'leader')
})

t.test(
  '4.3: a new leader leaves the joint configuration that its predecessor entered',
  async (t) => {
    const cluster = new Cluster(abc)
    const a = cluster.elect('a')
    cluster.add('d')
    change(a, { kind: 'add-learner', id: 'd' })
    cluster.settle()
    // The leave entry of a never gets out.
    cluster.loses = (message) =>
      message.kind === 'append' &&
      message.entries.some((entry) => entry.kind === 'conf' && entry.conf.voters.includes('d')) &&
      message.entries.some((entry) => entry.kind === 'conf' && entry.conf.outgoing.length === 0)
    change(a, { kind: 'add-voter', id: 'd' })
    cluster.settle()
    t.same(cluster.get('b').node.status().conf.outgoing, abc)
    cluster.isolate('a')
    cluster.tick(['b', 'c', 'd'], 30)
    cluster.heal()
    cluster.tick(undefined, 30)
    for (const peer of cluster.peers.values()) {
      t.match(peer.node.status().conf, { voters: ['a', 'b', 'c', 'd'], outgoing: [] })
    }
  },
)

t.test(
  '4.2.2: a removed leader leads until the change is committed, then hands over',
  async (t) => {
    const cluster = new Cluster(abc)
    const a = cluster.elect('a')
    change(a, { kind: 'remove', id: 'a' })
    cluster.settle()
    t.equal(a.role, 'follower')
    t.ok(a.notes.includes('stepped-down'))
    t.equal(leaders(cluster).length, 1, 'at once, without a time-out')
    const [leader] = leaders(cluster)
    t.same(leader === undefined ? [] : voters(leader), ['b', 'c'])
    cluster.tick(undefined, 100)
    t.equal(a.role, 'follower', 'it never campaigns again')
  },
)

t.test('4.2.2: a removed leader does not count itself', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  change(a, { kind: 'remove', id: 'a' })
  // The joint step commits; then b alone holds the final one.
  let final = 0
  cluster.loses = (message) => {
    if (message.kind !== 'append') return false
    const leaves = message.entries.some(
      (entry) =>
        entry.kind === 'conf' &&
        !entry.conf.voters.includes('a') &&
        entry.conf.outgoing.length === 0,
    )
    if (leaves) final = message.entries.at(-1)?.index ?? 0
    return leaves && message.to === 'c'
  }
  cluster.settle()
  t.ok(final > 0)
  t.equal(a.role, 'leader')
  t.ok(a.commit < final, 'a and b are no majority of b and c')
})

t.test('4.2.2: a removed voter campaigns while its removal may not be committed', async (t) => {
  // Only a holds the final configuration, in which it is a learner; b holds the joint one. b's log is too short
  // for a's vote, which it needs: only a can be elected, by b alone.
  const cluster = new Cluster(['a', 'b'])
  const a = cluster.elect('a')
  cluster.loses = (message) =>
    message.kind === 'append' &&
    message.entries.some((entry) => entry.kind === 'conf' && entry.conf.learners.includes('a'))
  change(a, { kind: 'add-learner', id: 'a' })
  cluster.settle()
  t.match(a.node.status().conf, plainConf(['b'], ['a']))
  t.match(cluster.get('b').node.status().conf, { outgoing: ['a', 'b'] })
  cluster.restart('a')
  cluster.restart('b')
  cluster.heal()
  cluster.tick(undefined, 60)
  t.equal(cluster.get('b').role, 'leader')
  t.same(cluster.get('b').node.status().conf, plainConf(['b'], ['a']))
})

t.test('4.2.2: a leader demoted to learner steps down too', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  change(a, { kind: 'add-learner', id: 'a' })
  cluster.settle()
  t.equal(a.role, 'follower')
  cluster.tick(undefined, 20)
  t.same(a.node.status().conf, plainConf(['b', 'c'], ['a']))
  leaders(cluster)[0]?.propose('x')
  cluster.settle()
  t.same(a.texts, ['x'], 'and goes on to receive the log')
})

t.test('4.2.3: a removed server that was not told does not disturb', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.isolate('c')
  change(a, { kind: 'remove', id: 'c' })
  cluster.settle()
  t.same(voters(a), ['a', 'b'])
  cluster.heal()
  const { term } = a.node.status()
  cluster.tick(undefined, 100)
  t.match(a.node.status(), { role: 'leader', term })
})

t.test('4.2.2: a leader removes itself and others at once', async (t) => {
  const cluster = new Cluster(['a', 'b', 'c', 'd', 'e'])
  const a = cluster.elect('a')
  a.propose('x')
  change(a, { kind: 'remove', id: 'a' }, { kind: 'remove', id: 'b' })
  cluster.settle()
  t.match(leaders(cluster), [{}], 'one leads at once')
  const [leader] = leaders(cluster)
  t.same(leader === undefined ? [] : [...voters(leader)].sort(), ['c', 'd', 'e'])
  leader?.propose('y')
  cluster.tick(undefined, 200)
  t.same(leaders(cluster), [leader])
  for (const id of ['c', 'd', 'e']) t.same(cluster.get(id).texts, ['x', 'y'])
  t.same(cluster.get('a').texts, ['x'])
})

t.test('4.2.2: a removed leader whose successor is lost too does not lead again', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.loses = (message) => message.kind === 'timeout-now'
  change(a, { kind: 'remove', id: 'a' })
  cluster.settle()
  t.equal(a.role, 'follower')
  t.equal(leaders(cluster).length, 0)
  cluster.tick(undefined, 60)
  t.match(leaders(cluster), [{}], 'by a time-out')
  t.not(leaders(cluster)[0], a)
})

t.test('4.2.3: a removed server that restarts from its disk does not disturb', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.isolate('c')
  change(a, { kind: 'remove', id: 'c' })
  cluster.settle()
  cluster.heal()
  cluster.restart('c')
  const { term } = a.node.status()
  cluster.tick(undefined, 100)
  t.match(a.node.status(), { role: 'leader', term })
  a.propose('x')
  cluster.settle()
  t.same(cluster.get('c').texts, [])
})

t.test('4.2.3: a removed server cannot make its old peers elect it', async (t) => {
  // All leaders are gone for a while: only the length of its log keeps c from being elected.
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.isolate('c')
  change(a, { kind: 'remove', id: 'c' })
  cluster.settle()
  cluster.heal()
  const c = cluster.get('c')
  cluster.tick(['b', 'c'], 40)
  c.node.campaign()
  cluster.settle()
  t.not(c.role, 'leader')
  cluster.tick(undefined, 40)
  t.match(leaders(cluster), [{}])
  t.not(leaders(cluster)[0], c)
})

t.test('4.2.1: the last voter cannot be removed', async (t) => {
  const cluster = new Cluster(['a'])
  const a = cluster.elect('a')
  t.same(change(a, { kind: 'remove', id: 'a' }), {
    kind: 'refused',
    reason: 'the change would leave no voter',
  })
})

t.test('4.4: a cluster grows from one to three and shrinks back', async (t) => {
  const cluster = new Cluster(['a'])
  const a = cluster.elect('a')
  for (const id of ['b', 'c']) {
    cluster.add(id)
    change(a, { kind: 'add-learner', id })
    cluster.settle()
    change(a, { kind: 'add-voter', id })
    cluster.settle()
  }
  a.propose('x')
  cluster.settle()
  for (const id of ['c', 'b']) {
    t.match(change(a, { kind: 'remove', id }), { kind: 'accepted' })
    cluster.settle()
  }
  t.same(a.node.status().conf, plainConf(['a']))
  t.equal(a.propose('y').kind, 'accepted')
  cluster.settle()
  t.same(a.texts, ['x', 'y'])
  t.same(a.node.status().peers, [])
})

t.test('4.1: configurations survive a restart, also uncommitted ones', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.isolate('a')
  change(a, { kind: 'add-voter', id: 'd' })
  cluster.settle()
  const again = cluster.restart('a')
  t.match(again.node.status(), { confIndex: 3, conf: { outgoing: abc } })
  t.match(again.node.confAt(2), { index: 1, conf: plainConf(abc) })
})

t.test('3.10: leadership is transferred to a voter, even without pre-vote and lease', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  a.node.transferLeadership('c')
  t.equal(a.node.status().transferringTo, 'c')
  cluster.settle()
  t.equal(cluster.get('c').role, 'leader')
  t.same(a.soft, { role: 'follower', leader: 'c' })
})

t.test('3.10: the target is brought up to date first, proposals wait', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.isolate('c')
  for (const text of ['x', 'y']) a.propose(text)
  cluster.settle()
  cluster.heal()
  a.node.transferLeadership('c')
  t.equal(a.propose('z').kind, 'transferring')
  cluster.tick(undefined, 4)
  t.equal(cluster.get('c').role, 'leader')
  t.same(cluster.get('c').texts, ['x', 'y'])
})

t.test('3.10: a transfer that fails is given up after an election time-out', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.isolate('c')
  a.node.transferLeadership('c')
  cluster.tick(undefined, 10)
  t.match(a.node.status(), { role: 'leader', transferringTo: undefined })
  t.equal(a.propose('x').kind, 'accepted')
})

t.test('3.10: no transfer to a learner, a stranger or itself', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.add('d')
  change(a, { kind: 'add-learner', id: 'd' })
  cluster.settle()
  for (const id of ['d', 'z', 'a']) a.node.transferLeadership(id)
  cluster.get('b').node.transferLeadership('c')
  cluster.settle()
  t.match(a.node.status(), { role: 'leader', transferringTo: undefined })
})

t.test('a leader steps down when asked and the best voter takes over', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.loses = (message) => message.to === 'b' && message.kind === 'append'
  a.propose('x')
  cluster.settle()
  cluster.heal()
  a.node.stepDown()
  cluster.settle()
  t.equal(a.role, 'follower')
  t.equal(cluster.get('c').role, 'leader', 'b has the shorter log')
  cluster.get('b').node.stepDown()
  t.equal(cluster.get('b').role, 'follower')
})

t.test('a stray timeout-now does not make a learner campaign', async (t) => {
  const l = new Peer('l', { disk: foundedDisk(['a'], ['l']) })
  const message: Message = { kind: 'timeout-now', from: 'a', to: 'l', term: 1 }
  l.node.step(message)
  l.pump()
  t.match(l.node.status(), { role: 'follower', term: 1 })
})

t.test('proposals during a joint configuration are committed by both majorities', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.add('d')
  change(a, { kind: 'add-learner', id: 'd' })
  cluster.settle()
  change(a, { kind: 'add-voter', id: 'd' }, { kind: 'remove', id: 'b' })
  a.node.propose(bytesOf('x'))
  cluster.settle()
  for (const id of ['a', 'c', 'd']) t.same(cluster.get(id).texts, ['x'])
})
