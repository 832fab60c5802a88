// Every queue has a bound: what happens when disk, state machine or peers do not keep up.
import {
  type ChangeOutcome,
  defaultRaftTuning,
  type Entry,
  type Message,
  type ReadOutcome,
  type Ready,
} from 'raft-ts'
import t from 'tap'
import { ReadRounds } from '../build/core/read-index.js'
import { FlushQueue } from '../build/driver/flush-queue.js'
import { Pace } from '../build/driver/pace.js'
import { PendingProposals, PendingReads } from '../build/driver/pending.js'
import { RoundTrips } from '../build/driver/round-trips.js'
import { Cluster, foundedDisk, Peer, plainConf } from './support/cluster.ts'
import { DriverCluster } from './support/driver-cluster.ts'
import { MemoryDisk } from './support/memory-disk.ts'
import { open } from './support/storage.ts'

const abc = ['a', 'b', 'c']
const text = (length: number): string => 'x'.repeat(length)

function cut(cluster: Cluster, room: number): { readonly a: Peer; readonly c: Peer } {
  // c flushes only when told, and takes at most `room` bytes meanwhile.
  const tuning = { pendingBytesMax: room }
  const c = cluster.put(new Peer('c', { disk: foundedDisk(abc), tuning, random: () => 0.9 }))
  const a = cluster.elect('a')
  cluster.tick(undefined, 2)
  c.isFlushHeld = true
  return { a, c }
}

function unflushed(peer: Peer): number {
  const { lastIndex, stable } = peer.node.status()
  return lastIndex - stable
}

t.test('a follower whose disk is stuck takes no more than the bound', async (t) => {
  const cluster = new Cluster(abc)
  const { a, c } = cut(cluster, 10_000)
  for (let i = 0; i < 200; i++) {
    t.equal(a.propose(text(1000)).kind, 'accepted')
    cluster.tick()
  }
  t.equal(a.texts.length, 200, 'the others go on')
  t.ok(unflushed(c) <= 10, `${unflushed(c)} entries`)
  t.ok(unflushed(c) >= 8)
  t.equal(c.role, 'follower')
  t.equal(c.soft.leader, 'a', 'and it is no reason to campaign')
  t.equal(c.notes.filter((note) => note === 'append-dropped').length, 1, 'told once')
  c.isFlushHeld = false
  cluster.tick(undefined, 60)
  t.same(c.texts.length, 200, 'it catches up when the disk does')
  t.notOk(cluster.sent.some((message) => message.kind === 'snapshot'))
})

t.test('one entry larger than the bound is taken when nothing else waits', async (t) => {
  const cluster = new Cluster(abc)
  const { a, c } = cut(cluster, 100)
  a.propose(text(1000))
  a.propose(text(1000))
  cluster.tick(undefined, 20)
  t.ok(unflushed(c) >= 1)
  c.isFlushHeld = false
  cluster.tick(undefined, 20)
  t.equal(c.texts.length, 2)
})

t.test('what a follower has already is answered, however full it is', async (t) => {
  const disk = foundedDisk(abc)
  const c = new Peer('c', { disk, tuning: { pendingBytesMax: 10 } })
  const entries: readonly Entry[] = [2, 3].map((index) => ({
    ...{ kind: 'data', term: 2, index, data: new Uint8Array(5) },
  }))
  const append: Message = {
    ...{ kind: 'append', from: 'a', to: 'c', term: 2, prevIndex: 1, prevTerm: 1, commit: 1 },
    entries,
  }
  c.isFlushHeld = true
  c.node.step(append)
  c.node.step(append)
  c.pump()
  c.isFlushHeld = false
  const answers = c.pump().filter((message) => message.kind === 'append-response')
  t.match(answers, [{ index: 3 }, { index: 3 }])
})

t.test('uncommitted entries that are durable do not fill a follower', async (t) => {
  // Else a leader that must first commit an entry of its own term could never do so.
  const c = new Peer('c', { disk: foundedDisk(abc), tuning: { pendingBytesMax: 100 } })
  for (let index = 2; index <= 20; index++) {
    c.node.step({
      ...{ kind: 'append', from: 'a', to: 'c', term: 2, commit: 1 },
      ...{ prevIndex: index - 1, prevTerm: index === 2 ? 1 : 2 },
      entries: [{ kind: 'data', term: 2, index, data: new Uint8Array(60) }],
    })
    c.pump()
  }
  t.match(c.node.status(), { lastIndex: 20, stable: 20, commit: 1 })
})

t.test('proofs of leadership do not pile up', async (t) => {
  const rounds = new ReadRounds(10)
  for (let i = 0; i < 100; i++) rounds.startProof()
  t.equal(rounds.reached(99).length, 0, 'earlier ones are void')
  t.equal(rounds.reached(100).length, 1)
})

const aReady = (ready: Partial<Ready>): Ready => ({
  sequence: 1,
  mustFlush: false,
  entries: [],
  messages: [],
  messagesAfterPersist: [],
  committedEntries: [],
  readStates: [],
  abortedReads: [],
  notes: [],
  ...ready,
})

t.test('messages that wait for a flush are bounded, and go out in order after it', async (t) => {
  const disk = new MemoryDisk()
  const sent: Message[] = []
  const queue = new FlushQueue({
    log: open(disk).log,
    nowMs: () => 0,
    onFlushed: () => {},
    publish: (_meta, done) => done(),
    onDurable: () => {},
    send: (messages) => sent.push(...messages),
    onFailed: (err) => t.fail(err.message),
  })
  const answer = (index: number): Message => ({
    ...{ kind: 'append-response', from: 'a', to: 'b', term: 1, index },
  })
  const entry: Entry = { kind: 'data', term: 1, index: 1, data: new Uint8Array(1) }
  queue.take(aReady({ mustFlush: true, entries: [entry], messagesAfterPersist: [answer(0)] }))
  for (let i = 1; i <= 5000; i++) queue.take(aReady({ messagesAfterPersist: [answer(i)] }))
  t.same(sent, [])
  disk.run()
  t.equal(sent.length, 1025)
  t.match(sent.at(-1), { index: 1024 })
  queue.take(aReady({ messagesAfterPersist: [answer(9)] }))
  t.equal(sent.length, 1026, 'there is room again')
})

t.test('reads that wait for the state machine are bounded', async (t) => {
  const reads = new PendingReads(new Uint8Array(6), 2)
  const outcomes: ReadOutcome[] = []
  const ask = (): void => reads.ask((outcome) => outcomes.push(outcome))
  const asked: bigint[] = []
  const forward = (): boolean =>
    reads.forward({
      readIndex: (context) => {
        asked.push(context)
        return { kind: 'pending' }
      },
    })
  for (let i = 0; i < 2; i++) {
    ask()
    t.ok(forward())
    reads.confirmed(asked[i] ?? 0n, 10, 5)
  }
  ask()
  t.same(outcomes, [{ kind: 'busy' }])
  reads.applied(10)
  t.equal(outcomes.length, 3)
  ask()
  t.ok(forward(), 'there is room again')
})

t.test('proposals that wait for the state machine are bounded', async (t) => {
  const proposals = new PendingProposals(2)
  for (const index of [1, 2]) {
    t.notOk(proposals.isFull)
    proposals.add({ index, term: 1 }, () => {})
  }
  t.ok(proposals.isFull)
  proposals.applied([{ kind: 'data', term: 1, index: 1, data: new Uint8Array(1) }])
  t.notOk(proposals.isFull)
  t.notOk(new PendingProposals().isFull)
})

t.test('a change is answered though the next one was begun before it was applied', async (t) => {
  const proposals = new PendingProposals()
  const outcomes: [string, ChangeOutcome][] = []
  const add = (name: string, index: number): void =>
    proposals.addChange({ index, term: 1 }, (outcome) => outcomes.push([name, outcome]))
  const conf = (index: number, isJoint = false): Entry => ({
    ...{ kind: 'conf', term: 1, index },
    conf: { ...plainConf(['a']), outgoing: isJoint ? ['a', 'b'] : [] },
  })
  add('first', 5)
  add('second', 7)
  proposals.applied([conf(5, true)])
  t.same(outcomes, [])
  proposals.applied([conf(6), conf(7, true)])
  t.same(outcomes, [['first', { kind: 'committed', index: 6, term: 1 }]])
  add('third', 9)
  proposals.lose()
  t.same(outcomes.slice(1), [
    ['second', { kind: 'lost' }],
    ['third', { kind: 'lost' }],
  ])
})

t.test('heartbeats of members that left are forgotten', async (t) => {
  const pace = new Pace({ electionTicks: 10, tickMs: 50 })
  const trips = new RoundTrips(pace)
  const send = (to: string): void =>
    trips.sent({ kind: 'heartbeat', from: 'a', to, term: 1, commit: 0, round: 0 }, 0)
  send('first')
  trips.received({ kind: 'heartbeat-response', from: 'first', to: 'a', term: 1, round: 0 }, 1, 400)
  send('first')
  for (let i = 0; i < 256; i++) send(`left ${i}`)
  trips.received({ kind: 'heartbeat-response', from: 'first', to: 'a', term: 1, round: 0 }, 1, 800)
  t.equal(pace.electionTicks(), 10, 'the first one too')
})

t.test('a stuck state machine holds back proposers and readers of its own member', async (t) => {
  const cluster = new DriverCluster(abc)
  cluster.startAll({
    pendingProposalsMax: 10,
    tuning: { ...defaultRaftTuning, pendingReadsMax: 5 },
  })
  const leader = cluster.leader()
  cluster.commit('first')
  leader.machine.isHeld = true
  const results = Array.from({ length: 12 }, (_, i) => leader.propose(`${i}`))
  cluster.time.pass(200)
  t.same(
    results.map((result) => result.outcome?.kind),
    [...Array.from({ length: 10 }, () => undefined), 'busy', 'busy'],
  )
  const changes: string[] = []
  leader.driver?.change({ steps: [{ kind: 'add-learner', id: 'd' }] }, ({ kind }) =>
    changes.push(kind),
  )
  t.same(changes, ['busy'])
  const reads: string[] = []
  for (let i = 0; i < 7; i++) {
    leader.driver?.readIndex(({ kind }) => reads.push(kind))
    cluster.time.pass(50)
  }
  t.same(reads, ['busy', 'busy'], 'five are confirmed and wait')
  leader.machine.release()
  cluster.time.pass(100)
  t.ok(results.slice(0, 10).every((result) => result.outcome?.kind === 'committed'))
  t.same(
    reads.slice(2),
    Array.from({ length: 5 }, () => 'ready'),
  )
  cluster.commit('there is room again')
})

t.test('a leader whose peers acknowledge nothing takes no more than the bound', async (t) => {
  const cluster = new DriverCluster(abc)
  cluster.startAll({ tuning: { pendingBytesMax: 10_000 } })
  const leader = cluster.leader()
  cluster.commit('first')
  cluster.filter = (_, message) => message.kind !== 'append-response'
  const kinds: (string | undefined)[] = []
  for (let i = 0; i < 30; i++) {
    const result = leader.propose(text(1000))
    cluster.time.pass(5)
    kinds.push(result.outcome?.kind)
  }
  t.equal(kinds.filter((kind) => kind === 'busy').length, 21)
  t.ok((leader.driver?.status().pendingBytes ?? 0) <= 10_000)
  cluster.filter = () => true
  cluster.time.pass(1000)
  cluster.commit('there is room again')
})
