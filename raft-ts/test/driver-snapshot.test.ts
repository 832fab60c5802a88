// Snapshots through the driver: made, compacted behind, sent, resumed and installed.
import { crc32 } from 'node:zlib'
import type { SnapshotFrame } from 'raft-ts'
import { isSnapshotFrame } from 'raft-ts'
import t from 'tap'
import { DriverCluster, type Host } from './support/driver-cluster.ts'
import { open, powerCut } from './support/storage.ts'

// Nothing is kept for those who are away.
const policy = { snapshotPolicy: { logBytes: 10_000, entriesKept: 5, logBytesMax: 10_000 } }
const item = (i: number): string => `${i} ${'x'.repeat(500)}`
const range = (from: number, to: number): readonly string[] =>
  Array.from({ length: to - from + 1 }, (_, i) => item(from + i))

function prepared(): { readonly cluster: DriverCluster; readonly away: Host } {
  const cluster = new DriverCluster(['a', 'b', 'c'])
  cluster.startAll(policy)
  const leader = cluster.leader()
  const away = [...cluster.hosts.values()].find((host) => host !== leader) as Host
  return { cluster, away }
}

t.test('the log is compacted behind snapshots and a restart begins from the newest', async (t) => {
  const cluster = new DriverCluster(['a'])
  cluster.startAll(policy)
  for (const text of range(1, 200)) cluster.commit(text)
  cluster.time.pass(100)
  const host = cluster.host('a')
  const status = host.driver?.status()
  t.ok((status?.snapshotIndex ?? 0) > 100)
  t.ok((status?.logBytes ?? 0) < 90_000, `${status?.logBytes}`)
  host.kill(powerCut)
  host.start(policy)
  cluster.commit('after')
  t.same(host.machine.items, [...range(1, 200), 'after'])
  t.equal(host.machine.restores, 1)
})

t.test('a snapshot can be asked for', async (t) => {
  const cluster = new DriverCluster(['a'])
  cluster.startAll()
  cluster.commit('x')
  const host = cluster.host('a')
  host.driver?.compact()
  cluster.until('it is there', () => (host.driver?.status().snapshotIndex ?? 0) > 0)
  t.equal(host.driver?.status().snapshotIndex, host.machine.index)
})

t.test('a member too far behind is brought up by a snapshot while others go on', async (t) => {
  const { cluster, away } = prepared()
  away.kill(powerCut)
  for (const text of range(1, 100)) cluster.commit(text)
  away.start(policy)
  for (const text of range(101, 130)) cluster.commit(text)
  cluster.until('it caught up', () => away.machine.items.length === 130)
  t.same(away.machine.items, range(1, 130))
  t.equal(away.machine.restores, 1)
  away.kill(powerCut)
  away.start(policy)
  cluster.commit('after')
  cluster.until('also after a restart', () => away.machine.items.length === 131)
})

t.test('a transfer over a bad network is resumed, not begun anew', async (t) => {
  const { cluster, away } = prepared()
  away.kill(powerCut)
  for (const text of range(1, 40)) cluster.commit(`${text}${'y'.repeat(60_000)}`)
  let offered = 0
  let chunks = 0
  const offsets = new Map<number, number>()
  cluster.filter = (_, message) => {
    if (!isSnapshotFrame(message)) return true
    if (message.kind === 'snapshot-offer') offered += 1
    if (message.kind !== 'snapshot-chunk') return true
    chunks += 1
    const arrives = chunks % 5 !== 0
    if (arrives) offsets.set(message.offset, (offsets.get(message.offset) ?? 0) + 1)
    return arrives
  }
  away.start(policy)
  cluster.until('it caught up', () => away.machine.items.length === 40, 120_000)
  t.ok(offered > 1, 'it was interrupted')
  t.ok([...offsets.values()].filter((times) => times === 1).length > offsets.size / 3)
  t.equal(away.failure, undefined)
})

t.test('chunks that are repeated, reordered or changed do no harm', async (t) => {
  const { cluster, away } = prepared()
  away.kill(powerCut)
  for (const text of range(1, 40)) cluster.commit(`${text}${'y'.repeat(60_000)}`)
  let count = 0
  cluster.filter = (_, message) => {
    if (!isSnapshotFrame(message) || message.kind !== 'snapshot-chunk') return true
    count += 1
    const frame: SnapshotFrame = message
    if (count % 4 === 0) {
      const bytes = Uint8Array.from(frame.bytes)
      bytes[7] = (bytes[7] ?? 0) ^ 1
      cluster.time.after(1, () => away.receive({ ...frame, bytes }))
      return false
    }
    cluster.time.after((count * 7) % 23, () => away.receive(frame))
    return count % 2 === 0
  }
  away.start(policy)
  cluster.until('it caught up', () => away.machine.items.length === 40, 120_000)
  t.equal(away.failure, undefined)
})

t.test('content that does not have the hash it was offered with is refused', async (t) => {
  const { cluster, away } = prepared()
  away.kill(powerCut)
  for (const text of range(1, 100)) cluster.commit(text)
  let forged = 0
  const refused: string[] = []
  cluster.filter = (_, message) => {
    if (message.kind === 'snapshot-ack') refused.push(message.state)
    if (message.kind !== 'snapshot-chunk' || forged > 0) return true
    forged += 1
    const bytes = Uint8Array.from(message.bytes)
    bytes[20] = (bytes[20] ?? 0) ^ 1
    cluster.time.after(1, () => away.receive({ ...message, bytes, crc: crc32(bytes) }))
    return false
  }
  away.start(policy)
  cluster.until('it caught up all the same', () => away.machine.items.length === 100, 60_000)
  t.ok(refused.includes('refused'))
  t.same(away.machine.items, range(1, 100))
})

t.test('no snapshot is taken of a state that a received one is about to replace', async (t) => {
  const { cluster, away } = prepared()
  cluster.commit('first')
  cluster.time.pass(200)
  away.machine.isHeld = true
  cluster.commit('held')
  cluster.time.pass(200)
  cluster.isolate(away.id)
  cluster.until('another leader if need be', () => cluster.leader() !== away)
  for (const text of range(1, 100)) cluster.commit(text)
  // Slow enough that the state machine goes on before the received snapshot is published.
  away.diskMs = 30
  cluster.heal()
  const installed = (): boolean => away.notes.some((note) => note.kind === 'snapshot-received')
  cluster.until('the snapshot is received', installed, 30_000)
  away.driver?.compact()
  away.machine.release()
  cluster.until('it caught up', () => away.machine.items.length === 102, 30_000)
  t.equal(away.failure, undefined)
  t.equal(away.machine.restores, 1)
})

t.test('a receiver killed at any moment of an installation comes back whole', async (t) => {
  for (let afterMs = 0; afterMs < 40; afterMs += 2) {
    const { cluster, away } = prepared()
    away.kill(powerCut)
    for (const text of range(1, 60)) cluster.commit(text)
    let isOffered = false
    cluster.filter = (_, message) => {
      if (message.kind === 'snapshot-offer') isOffered = true
      return true
    }
    away.start(policy)
    cluster.until('a snapshot is offered', () => isOffered)
    cluster.time.pass(afterMs / 4)
    away.kill(powerCut)
    away.start(policy)
    cluster.commit('after')
    cluster.until('it caught up', () => away.machine.items.length === 61, 30_000)
    t.same(away.machine.items, [...range(1, 60), 'after'])
  }
})

t.test('a snapshot waits until the batch before it is applied', async (t) => {
  const cluster = new DriverCluster(['a'])
  cluster.startAll(policy)
  cluster.leader()
  const host = cluster.host('a')
  host.machine.isHeld = true
  for (const text of range(1, 60)) host.propose(text)
  cluster.time.pass(300)
  t.equal(host.driver?.status().snapshotIndex, 0)
  host.machine.release()
  cluster.until('a snapshot is made', () => (host.driver?.status().snapshotIndex ?? 0) > 0)
  const index = host.driver?.status().snapshotIndex ?? 0
  host.kill(powerCut)
  t.equal(open(host.disk).restored.snapshot?.index, index)
})

t.test('a damaged member that is repaired gets everything from its peers again', async (t) => {
  const { cluster, away } = prepared()
  for (const text of range(1, 60)) cluster.commit(text)
  away.kill(powerCut)
  const snapshot = away.disk.list().find((name) => name.startsWith('snapshot-')) ?? ''
  away.disk.truncate(snapshot, 100)
  t.throws(() => away.start(policy), { name: 'DamagedLogError' })
  const storage = open(away.disk, { repair: true, segmentBytesMax: 20_000 })
  t.equal(storage.restored.repairing, true)
  away.start({ ...policy, storage })
  for (const text of range(61, 80)) cluster.commit(text)
  cluster.until('it caught up', () => away.machine.items.length === 80, 30_000)
  cluster.until('it takes part again', () => away.driver?.status().repairing === false, 30_000)
  const isDurable = (): boolean => away.notes.some(({ kind }) => kind === 'repair-durable')
  cluster.until('that is durable', isDurable, 1_000)
  away.kill(powerCut)
  t.equal(open(away.disk).restored.repairing, false)
})
