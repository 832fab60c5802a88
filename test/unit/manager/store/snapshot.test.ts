import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire'
import fc from 'fast-check'
import t from 'tap'
import {
  decodeEntry,
  encodeEntry,
  encodeTransaction,
  isEntryOf,
} from '../../../../manager/store/entry-codec.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { ReplicatedStore } from '../../../../manager/store/replicated-store.ts'
import { put } from '../../../../manager/store/row-codec.ts'
import { encodeSnapshot } from '../../../../manager/store/snapshot.ts'
import { State } from '../../../../manager/store/state.ts'
import { StoreEntry, StoreSnapshotRecord } from '../../../../proto/gen/tsswarm/v1/store.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { networkId, nodeId } from '../../../../proto/objects/index.ts'
import {
  aCluster,
  aNetwork,
  aNode,
  aPayload,
  aService,
  aSpecRecord,
  aTask,
} from '../../../support/objects.ts'
import { collect, contents, Replicas, streamOf } from '../../../support/replicated-stores.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const clock = new VirtualClock()

function aStore(): ReplicatedStore {
  return createMemoryStore({ clock, random: seededRandom(1), encode: true })
}

async function filled(tasks: number): Promise<ReplicatedStore> {
  const store = aStore()
  await store.update((tx) => {
    tx.create('cluster', aCluster({}))
    tx.create('nodes', aNode({ id: 'n1' }))
    const vips = [{ networkId: networkId('net-1'), addresses: ['10.0.1.2'] }]
    tx.create('services', aService({ id: 's1', endpoint: { vips } }))
    tx.create('networks', aNetwork({}))
    tx.create('secrets', aPayload({ id: 's' }))
    tx.create('configs', aPayload({ id: 'c' }))
    tx.create('taskSpecs', aSpecRecord('h1', {}))
    tx.create('removedNodes', { id: nodeId('gone'), expiresAtMs: 5, mark: 7 })
  })
  for (let at = 0; at < tasks; at += 200) {
    await store.update((tx) => {
      for (let i = at; i < at + 200; i++) tx.create('tasks', aTask({ id: `t${i}`, service: 's1' }))
    })
  }
  await store.update(() => 'result', { requestId: 'r1', method: 'Test' })
  return store
}

t.test(
  'a snapshot holds every table, the version and the requests, however it is cut',
  async (t) => {
    const store = await filled(400)
    const bytes = Buffer.concat(await collect(store.snapshot()))
    const property = fc.asyncProperty(
      fc.array(fc.nat({ max: bytes.length }), { maxLength: 20 }),
      async (cuts) => {
        const at = [0, ...cuts.sort((a, b) => a - b), bytes.length]
        const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end))
        const other = aStore()
        await other.restore(77, streamOf(chunks))
        t.equal(other.appliedIndex, 77)
        t.same(other.view(contents), store.view(contents))
        other.startTerm(1)
        other.startTerm(1)
        const again = await other.update(() => 'second', { requestId: 'r1', method: 'Test' })
        t.equal(again, 'result')
      },
    )
    await fc.assert(property, { numRuns: 15 })
  },
)

t.test('a snapshot is of one moment, though entries are applied while it is read', async (t) => {
  const store = await filled(4_000)
  const before = store.view(contents)
  const chunks: Uint8Array[] = []
  for await (const chunk of store.snapshot()) {
    chunks.push(chunk)
    await store.update((tx) => {
      const task = [...tx.all('tasks')][0]
      if (task !== undefined) tx.remove('tasks', task.id)
      tx.create('tasks', aTask({ id: `new${chunks.length}` }))
    })
  }
  t.ok(chunks.length > 1, `${chunks.length} chunks`)
  const other = aStore()
  await other.restore(1, streamOf(chunks))
  t.same(other.view(contents), before)
})

t.test(
  'encoding lets others run after each slice, decoding after each thousand records',
  async (t) => {
    const store = await filled(4_000)
    let slices = 0
    const breathe = async (): Promise<void> => {
      slices += 1
    }
    const deps = {
      clock,
      random: seededRandom(2),
      proposer: { needsBytes: true, propose: () => new Promise<never>(() => {}) },
      breathe,
    }
    const other = new ReplicatedStore(deps)
    await other.restore(1, store.snapshot())
    t.ok(slices >= 4, `${slices} pauses while decoding`)
    slices = 0
    const chunks = await collect(other.snapshot())
    t.equal(slices, chunks.length - 1)
  },
)

t.test('a snapshot that nobody reads to its end lets go of what it kept', async (t) => {
  const state = new State()
  for (let i = 0; i < 10; i++) state.write(put('tasks', aTask({ id: `t${i}` })))
  const rows = (): number => [...state.table('tasks').rows()].length
  for (const isBegun of [false, true]) {
    const kept: string[] = []
    const snapshot = encodeSnapshot(state, async () => {})[Symbol.asyncIterator]()
    if (isBegun) await snapshot.next()
    await snapshot.return?.(undefined)
    for await (const chunk of { [Symbol.asyncIterator]: () => snapshot }) kept.push(`${chunk}`)
    t.same(kept, [], isBegun ? 'begun' : 'not begun')
    state.write({ table: 'tasks', id: 't0', row: undefined })
    state.write(put('tasks', aTask({ id: 't0' })))
    t.equal(rows(), 10)
  }
})

t.test('a damaged snapshot is refused and the old state stays', async (t) => {
  const store = await filled(200)
  const bytes = Buffer.concat(await collect(store.snapshot()))
  const other = await filled(0)
  const before = other.view(contents)
  const damaged: readonly (readonly [string, Uint8Array])[] = [
    ['cut in a record', bytes.subarray(0, bytes.length - 2)],
    ['without its footer', bytes.subarray(0, bytes.length - 7)],
    ['with more after the footer', Buffer.concat([bytes, bytes])],
    ['empty', new Uint8Array(0)],
    ['noise', Buffer.alloc(100, 0xff)],
    ['a record of zeros', Buffer.from([5, 0, 0, 0, 0, 0])],
  ]
  for (const [what, data] of damaged) {
    await t.rejects(other.restore(9, streamOf([data])), { code: 'DATA_LOSS' }, what)
    t.same(other.view(contents), before)
  }
})

t.test('what is of a higher feature level is refused', async (t) => {
  const header = { featureLevel: 99, version: 1, nowMs: 1 }
  const record = StoreSnapshotRecord.encode({ kind: { $case: 'header', value: header } }).finish()
  const bytes = new BinaryWriter().bytes(record).finish()
  await t.rejects(aStore().restore(9, streamOf([bytes])), {
    code: 'UNSUPPORTED',
    message: /upgrade/,
  })
  const entry = { origin: 'o', sequence: 1, term: 1, baseVersion: 0, nowMs: 0 }
  const data = StoreEntry.encode({ ...entry, featureLevel: 99, transactions: [] }).finish()
  t.throws(() => aStore().apply({ index: 1, term: 1, data }), { code: 'UNSUPPORTED' })
  t.throws(() => aStore().apply({ index: 1, term: 1, data: Buffer.alloc(9, 0xff) }), {
    code: 'DATA_LOSS',
  })
})

t.test('entries and snapshots are written at the level of the cluster', async (t) => {
  const replicas = new Replicas()
  const entry = async (level: number) => {
    const update = replicas.leader.update((tx) => {
      const [cluster] = tx.all('cluster')
      const row = { ...(cluster ?? aCluster({})), featureLevel: level }
      if (cluster === undefined) tx.create('cluster', row)
      else tx.update('cluster', row)
    })
    await replicas.commitAll()
    await update
    return StoreEntry.decode(replicas.log.at(-1)?.data ?? new Uint8Array()).featureLevel
  }
  t.equal(await entry(0), 0, 'the first entry, before there is a cluster')
  t.equal(await entry(1), 0, 'all who read the entry that raises it know the level before')
  t.equal(await entry(1), 1)
  const [first] = await collect(replicas.leader.snapshot())
  const reader = new BinaryReader(first ?? new Uint8Array())
  t.match(StoreSnapshotRecord.decode(reader.bytes()), {
    kind: { $case: 'header', value: { featureLevel: 1 } },
  })
})

t.test('an entry comes back as it was, and is told from others by its header alone', async (t) => {
  const header = {
    featureLevel: 1,
    origin: 'o1',
    sequence: 7,
    term: 3,
    baseVersion: 41,
    nowMs: 1_700_000_000_000,
  }
  const transactions = [
    { writes: [put('tasks', aTask({ id: 'a' }))], request: undefined },
    {
      writes: [put('nodes', aNode({})), { table: 'tasks' as const, id: 'b', row: undefined }],
      request: { id: 'r1', method: 'M', resultJson: '{"a":1}' },
    },
  ]
  const data = encodeEntry(header, transactions.map(encodeTransaction))
  t.same(
    decodeEntry(data, (text) => text),
    { ...header, transactions },
  )
  t.ok(isEntryOf(data, header))
  t.notOk(isEntryOf(data, { ...header, sequence: 8 }))
  t.notOk(isEntryOf(data, { ...header, origin: 'o2' }))
  t.notOk(isEntryOf(new Uint8Array(0), header))
})
