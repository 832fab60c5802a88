// Snapshots and compaction (Raft paper 7), restart, repair of a damaged log, recovery from a lost quorum.
import { forceNewCluster, type Message, newCluster } from 'raft-ts'
import t from 'tap'
import { bytesOf, Cluster, diskWithTerms, foundedDisk, Peer, plainConf } from './support/cluster.ts'
import { MemoryLog } from './support/memory-log.ts'

const abc = ['a', 'b', 'c']

/** Snapshots what is applied and compacts all of it. */
function compactAll(peer: Peer): void {
  const { applied } = peer.node.status()
  const meta = peer.node.snapshotMeta(applied)
  peer.node.snapshotSaved(meta)
  peer.disk.snapshot = meta
  peer.node.compact(applied)
  peer.disk.compact(applied)
}

/** A leader a with 10 entries and c without them, compacted. */
function lagging(): Cluster {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.isolate('c')
  for (let i = 0; i < 10; i++) a.propose(`${i}`)
  cluster.tick(['a', 'b'], 20)
  compactAll(a)
  return cluster
}

t.test('7: a follower behind the compacted log gets a snapshot, then entries', async (t) => {
  const cluster = lagging()
  const a = cluster.get('a')
  cluster.heal()
  cluster.tick(undefined, 4)
  const c = cluster.get('c')
  t.ok(cluster.sent.some((message) => message.kind === 'snapshot'))
  t.match(c.disk.snapshot, { index: 12, term: 2, conf: plainConf(abc) })
  t.match(c.node.status(), { commit: 12, applied: 12, firstIndex: 13 })
  a.propose('after')
  cluster.settle()
  t.same(c.texts, ['after'])
})

t.test('7: no snapshot is sent to a peer that does not answer', async (t) => {
  const cluster = lagging()
  cluster.tick(['a', 'b'], 30)
  cluster.get('a').node.reportUnreachable('c')
  const before = cluster.sent.filter((message) => message.kind === 'snapshot').length
  cluster.tick(['a', 'b'], 10)
  const after = cluster.sent.filter((message) => message.kind === 'snapshot').length
  t.equal(after, before)
})

t.test('7: a failed snapshot is sent again', async (t) => {
  const cluster = lagging()
  let failures = 0
  cluster.loses = (message) => message.kind === 'snapshot' && ++failures <= 2
  cluster.tick(undefined, 10)
  t.equal(failures, 3)
  t.equal(cluster.get('c').commit, 12)
})

t.test('7: nothing is sent to a peer while its snapshot is under way', async (t) => {
  const cluster = lagging()
  const a = cluster.get('a')
  cluster.heal()
  cluster.loses = (message) => message.kind === 'snapshot'
  a.node.step({ kind: 'heartbeat-response', from: 'c', to: 'a', term: 2, round: 0 })
  const sent = a.pump()
  // Probing finds the gap first.
  for (const message of sent) {
    cluster.get(message.to).node.step(message)
    for (const answer of cluster.get(message.to).pump()) a.node.step(answer)
  }
  const held = a.pump().find((message) => message.kind === 'snapshot')
  t.ok(held)
  a.propose('x')
  t.notOk(a.pump().some((message) => message.to === 'c'))
  t.match(a.node.status().peers[1], { id: 'c', state: 'snapshot' })
})

t.test('7: a snapshot of what is there already only commits', async (t) => {
  const b = new Peer('b', { disk: diskWithTerms(abc, [1, 1, 1]) })
  b.pump()
  const meta = { index: 3, term: 1, conf: plainConf(abc) }
  b.node.step({ kind: 'snapshot', from: 'a', to: 'b', term: 1, meta })
  t.match(b.pump(), [{ kind: 'append-response', index: 3 }])
  t.match(b.node.status(), { commit: 3, lastIndex: 4, firstIndex: 1 })
  b.node.step({ kind: 'snapshot', from: 'a', to: 'b', term: 1, meta: { ...meta, index: 2 } })
  t.match(b.pump(), [{ kind: 'append-response', index: 3 }])
})

t.test(
  '7: a snapshot is acknowledged only when it is durable, later entries wait for it',
  async (t) => {
    const b = new Peer('b', { disk: diskWithTerms(abc, [1]) })
    b.pump()
    b.isFlushHeld = true
    const meta = { index: 9, term: 2, conf: plainConf(['a', 'b']) }
    b.node.step({ kind: 'snapshot', from: 'a', to: 'b', term: 2, meta })
    const entry = { kind: 'data', term: 2, index: 10, data: bytesOf('x') } as const
    const append = {
      kind: 'append',
      from: 'a',
      to: 'b',
      term: 2,
      prevIndex: 9,
      prevTerm: 2,
    } as const
    b.node.step({ ...append, commit: 10, entries: [entry] })
    t.same(b.pump(), [])
    t.same(b.texts, [])
    t.same(b.node.status().conf, plainConf(['a', 'b']))
    b.isFlushHeld = false
    t.match(b.pump(), [{ index: 9 }, { index: 10 }])
    t.same(b.texts, ['x'])
  },
)

t.test(
  '7: the snapshot carries the configuration of its index, a restart begins there',
  async (t) => {
    const cluster = new Cluster(abc)
    const a = cluster.elect('a')
    a.node.proposeConfChange({ steps: [{ kind: 'add-learner', id: 'd' }] })
    cluster.settle()
    t.match(a.node.snapshotMeta(2), { index: 2, term: 2, conf: plainConf(abc) })
    t.match(a.node.snapshotMeta(3), { index: 3, term: 2, conf: plainConf(abc, ['d']) })
    compactAll(a)
    const again = cluster.restart('a')
    t.match(again.node.status(), {
      conf: plainConf(abc, ['d']),
      confIndex: 3,
      applied: 3,
      lastIndex: 3,
      firstIndex: 4,
    })
  },
)

t.test('7: entries kept behind a snapshot serve slow followers', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  cluster.isolate('c')
  for (let i = 0; i < 5; i++) a.propose(`${i}`)
  cluster.settle()
  const meta = a.node.snapshotMeta(7)
  a.node.snapshotSaved(meta)
  a.disk.snapshot = meta
  a.node.compact(2)
  a.disk.compact(2)
  cluster.heal()
  cluster.tick(undefined, 4)
  t.notOk(cluster.sent.some((message) => message.kind === 'snapshot'))
  t.equal(cluster.get('c').texts.length, 5)
  const again = cluster.restart('a')
  t.match(again.node.status(), { firstIndex: 3, lastIndex: 7, applied: 7 })
})

t.test('7: only what was applied is snapshotted', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  t.throws(
    () => a.node.snapshotSaved({ index: 9, term: 2, conf: plainConf(abc) }),
    /only what was applied/,
  )
  t.throws(() => a.node.snapshotMeta(9), /in the log/)
})

t.test(
  'a new member starts from an empty log and never campaigns before it is told of',
  async (t) => {
    const d = new Peer('d')
    for (let i = 0; i < 100; i++) d.node.tick()
    t.match(d.node.status(), { role: 'follower', term: 0, conf: plainConf([]) })
  },
)

t.test('founding members start from equal logs', async (t) => {
  t.same(newCluster(abc), {
    hardState: { term: 1, vote: undefined, commit: 1 },
    entries: [{ kind: 'conf', term: 1, index: 1, conf: plainConf(abc) }],
  })
})

t.test('forceNewCluster: one survivor goes on alone with all it has', async (t) => {
  const cluster = new Cluster(abc)
  const a = cluster.elect('a')
  a.propose('committed')
  cluster.settle()
  cluster.isolate('a')
  a.propose('not committed')
  cluster.settle()
  const { disk } = a
  disk.write(forceNewCluster('a', disk.hardState, disk.lastIndex))
  const survivor = new Peer('a', { disk })
  t.same(survivor.node.status().conf, plainConf(['a']))
  survivor.node.campaign()
  survivor.pump()
  t.match(survivor.node.status(), { role: 'leader', term: 4 })
  t.same(survivor.texts, ['committed', 'not committed'])
})

/** a lost the end of its log after it had acknowledged it. */
function damaged(): { cluster: Cluster; a: Peer } {
  const cluster = new Cluster(abc)
  const b = cluster.elect('b')
  for (const text of ['x', 'y', 'z']) b.propose(text)
  cluster.settle()
  const disk = new MemoryLog()
  disk.write(newCluster(abc))
  disk.hardState = cluster.get('a').disk.hardState
  const a = cluster.put(new Peer('a', { disk, repairing: true }))
  return { cluster, a }
}

t.test(
  'repair: a damaged member gets back what it acknowledged, then takes part again',
  async (t) => {
    const { cluster, a } = damaged()
    t.equal(a.node.status().repairing, true)
    cluster.tick(undefined, 8)
    t.match(a.node.status(), { repairing: false, lastIndex: 5, commit: 5 })
    t.same(a.texts, ['x', 'y', 'z'])
    t.ok(cluster.get('b').notes.includes('peer-lost-entries'))
    cluster.isolate('b')
    cluster.tick(undefined, 40)
    t.ok([a, cluster.get('c')].some((peer) => peer.role === 'leader'))
  },
)

t.test('repair: meanwhile it neither votes nor campaigns', async (t) => {
  const { cluster, a } = damaged()
  cluster.isolate('b')
  for (let i = 0; i < 100; i++) a.node.tick()
  t.equal(a.role, 'follower')
  const ask = { from: 'c', to: 'a', term: 9, lastIndex: 9, lastTerm: 8, force: false } as const
  a.node.step({ kind: 'pre-vote', ...ask })
  a.node.step({ kind: 'vote', ...ask })
  t.match(a.pump(), [
    { kind: 'pre-vote-response', granted: false },
    { kind: 'vote-response', granted: false },
  ])
})

t.test('repair: it is not over while the leader cannot confirm what is committed', async (t) => {
  const { cluster, a } = damaged()
  cluster.loses = (message) => message.kind === 'read-index-response'
  cluster.tick(undefined, 30)
  t.match(a.node.status(), { repairing: true, lastIndex: 5 })
  a.node.step({ kind: 'read-index-response', from: 'b', to: 'a', term: 2, index: 1, context: -2n })
  t.equal(a.node.status().repairing, true, 'an answer to an earlier life')
  cluster.heal()
  cluster.tick(undefined, 4)
  t.equal(a.node.status().repairing, false)
})

/** a acknowledged x, which its leader has not heard yet, and lost it; c is away. */
function damagedUnheard(): { cluster: Cluster; a: Peer; ack: Message } {
  const cluster = new Cluster(abc)
  const b = cluster.elect('b')
  cluster.settle()
  cluster.isolate('c')
  let ack: Message | undefined
  const isAway = cluster.loses
  cluster.loses = (message) => {
    if (message.kind === 'append-response' && message.from === 'a') ack = message
    return isAway(message) || message.from === 'a'
  }
  b.propose('x')
  cluster.settle()
  const disk = new MemoryLog()
  disk.write(newCluster(abc))
  const empty = { kind: 'data', term: 2, index: 2, data: new Uint8Array(0) } as const
  disk.write({ entries: [empty], hardState: cluster.get('a').disk.hardState })
  const a = cluster.put(new Peer('a', { disk, repairing: true }))
  cluster.loses = isAway
  if (ack === undefined) throw new Error('nothing was acknowledged')
  return { cluster, a, ack }
}

t.test('repair: what an earlier life acknowledged may be heard late, and counts', async (t) => {
  const { cluster, a, ack } = damagedUnheard()
  const b = cluster.get('b')
  const isAway = cluster.loses
  t.equal(ack.kind === 'append-response' && ack.index, 3)
  // x does not reach a once more.
  cluster.loses = (message) =>
    isAway(message) ||
    (message.kind === 'append' &&
      message.to === 'a' &&
      message.entries.some(({ index }) => index === 3))
  cluster.tick(undefined, 12)
  t.match(a.node.status(), { lastIndex: 2, commit: 2, repairing: true }, 'x may be committed yet')
  b.node.step(ack)
  cluster.settle()
  t.same(b.texts, ['x'], 'as it is now')
  cluster.heal()
  cluster.isolate('b')
  cluster.tick(undefined, 60)
  t.notOk(
    [a, cluster.get('c')].some(({ role }) => role === 'leader'),
    'without x nobody leads',
  )
  cluster.heal()
  cluster.tick(undefined, 60)
  t.equal(a.node.status().repairing, false)
  t.same(a.texts, ['x'])
})

t.test('repair: it ends also when the next leader has less than the one before', async (t) => {
  const five = ['a', 'b', 'c', 'd', 'e']
  const cluster = new Cluster(five)
  const b = cluster.elect('b')
  cluster.settle()
  cluster.loses = (message) => message.kind === 'append' && message.entries.length > 0
  for (const text of ['x', 'y', 'z']) b.propose(text)
  const a = cluster.put(new Peer('a', { disk: foundedDisk(five), repairing: true }))
  cluster.tick(undefined, 8)
  t.match(
    cluster.sent.findLast(({ kind }) => kind === 'read-index-response'),
    { index: 5 },
  )
  cluster.heal()
  cluster.isolate('b')
  cluster.tick(['a', 'c', 'd', 'e'], 60)
  const next = [...cluster.peers.values()].find((peer) => peer !== b && peer.role === 'leader')
  t.equal(next?.node.status().lastIndex, 3)
  t.match(a.node.status(), { repairing: false, lastIndex: 3 })
})

t.test('repair: an intact but short log is not taken for a repair', async (t) => {
  const cluster = new Cluster(abc)
  const b = cluster.elect('b')
  b.propose('x')
  cluster.settle()
  cluster.put(new Peer('a', { disk: foundedDisk(abc) }))
  cluster.tick(undefined, 30)
  t.equal(cluster.get('a').commit, 1, 'it lied about its log: nothing is built on it')
  t.match(b.node.status().peers[0], { id: 'a', match: 3 })
})

t.test('repair: it asks however often heartbeats come', async (t) => {
  const { a } = damaged()
  const sent: string[] = []
  for (let i = 0; i < 4; i++) {
    a.node.step({ kind: 'heartbeat', from: 'b', to: 'a', term: 2, commit: 1, round: 0 })
    a.node.tick()
    sent.push(...a.pump().map((message) => message.kind))
  }
  t.ok(sent.includes('read-index'))
  t.ok(sent.includes('append-response'), 'and tells where its log ends')
})

t.test('repair: a heartbeat commits nothing that was not found to match', async (t) => {
  const { cluster } = damaged()
  // An entry of an old leader, which was overwritten later: the damage took the later one.
  const stale = [{ kind: 'data', term: 1, index: 2, data: bytesOf('stale') } as const]
  const disk = new MemoryLog()
  disk.write(newCluster(abc))
  disk.write({ entries: stale, hardState: { term: 2, vote: 'b', commit: 1 } })
  const again = cluster.put(new Peer('a', { disk, repairing: true }))
  again.node.step({ kind: 'heartbeat', from: 'b', to: 'a', term: 2, commit: 5, round: 0 })
  again.pump()
  t.equal(again.commit, 1)
  t.same(again.texts, [])
  cluster.tick(undefined, 12)
  t.match(again.node.status(), { repairing: false, lastIndex: 5, commit: 5 })
  t.same(again.texts, ['x', 'y', 'z'])
})

t.test('repair: an old append does not touch what is committed', async (t) => {
  const disk = diskWithTerms(abc, [1, 1, 1])
  disk.hardState = { term: 1, vote: undefined, commit: 4 }
  const meta = { index: 3, term: 1, conf: plainConf(abc) }
  disk.snapshot = meta
  disk.compact(3)
  const a = new Peer('a', { disk, repairing: true })
  a.pump()
  const entries = [{ kind: 'data', term: 1, index: 2, data: bytesOf('old') } as const]
  const append = { from: 'b', to: 'a', term: 1, prevIndex: 1, prevTerm: 1, commit: 1 } as const
  a.node.step({ kind: 'append', ...append, entries })
  t.match(a.pump(), [{ kind: 'append-response', index: 4 }])
})
