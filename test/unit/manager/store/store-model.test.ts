// The store against a naive model: any sequence of transactions has the same results and leaves the same state, on the leader, on a
// follower and after a snapshot.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import type { ReplicatedStore } from '../../../../manager/store/replicated-store.ts'
import type { ReadTx, Tx } from '../../../../manager/store/store.ts'
import { SwarmError } from '../../../../proto/errors.ts'
import { nodeId, type Service, type Task } from '../../../../proto/objects/index.ts'
import { aService, aTask } from '../../../support/objects.ts'
import { collect, contents, Replicas, streamOf } from '../../../support/replicated-stores.ts'

type Op =
  | { readonly kind: 'create-task'; readonly id: string; readonly service: string; slot: number }
  | { readonly kind: 'update-task'; readonly id: string; readonly node: string; stale: boolean }
  | { readonly kind: 'remove-task'; readonly id: string; readonly stale: boolean }
  | { readonly kind: 'create-service'; readonly id: string; readonly name: string }
  | { readonly kind: 'rename-service'; readonly id: string; readonly name: string }
  | { readonly kind: 'remove-service'; readonly id: string }
  | { readonly kind: 'throw' }

const id = fc.constantFrom('a', 'b', 'c', 'd')
const service = fc.constantFrom('s1', 's2')
const name = fc.constantFrom('web', 'WEB', 'db')
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('create-task'), id, service, slot: fc.nat(2) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('update-task'),
      id,
      node: fc.constantFrom('n1', 'n2', ''),
      stale: fc.nat(5).map((n) => n === 0),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('remove-task'),
      id,
      stale: fc.nat(5).map((n) => n === 0),
    }),
  },
  fc.record({ kind: fc.constant('create-service'), id: service, name }),
  fc.record({ kind: fc.constant('rename-service'), id: service, name }),
  fc.record({ kind: fc.constant('remove-service'), id: service }),
  fc.record({ kind: fc.constant('throw') }),
) as fc.Arbitrary<Op>

interface Transaction {
  readonly ops: readonly Op[]
  readonly request: string | undefined
}

const transaction: fc.Arbitrary<Transaction> = fc.record({
  ops: fc.array(op, { maxLength: 5 }),
  request: fc.option(fc.constantFrom('r1', 'r2', 'r3'), { nil: undefined, freq: 3 }),
})
/** Transactions of one tick ride together. */
const ticks = fc.array(fc.array(transaction, { minLength: 1, maxLength: 6 }), { maxLength: 12 })

/** Tables as plain maps, copied whole for each transaction. */
interface Model {
  readonly tasks: Map<string, Task>
  readonly services: Map<string, Service>
  version: number
}

function refuse(code: SwarmError['code']): never {
  throw new SwarmError(code, code)
}

const stale = -1

function runOnModel(model: Model, op: Op, version: number): void {
  switch (op.kind) {
    case 'create-task': {
      if (model.tasks.has(op.id)) refuse('ALREADY_EXISTS')
      model.tasks.set(op.id, aTask({ ...op, version }))
      return
    }
    case 'update-task': {
      const old = model.tasks.get(op.id) ?? refuse('NOT_FOUND')
      if (op.stale) refuse('OUT_OF_SEQUENCE')
      model.tasks.set(op.id, {
        ...old,
        version,
        nodeId: op.node === '' ? undefined : nodeId(op.node),
      })
      return
    }
    case 'remove-task': {
      if (!model.tasks.has(op.id)) refuse('NOT_FOUND')
      if (op.stale) refuse('OUT_OF_SEQUENCE')
      model.tasks.delete(op.id)
      return
    }
    case 'create-service': {
      if (model.services.has(op.id)) refuse('ALREADY_EXISTS')
      checkName(model, op.id, op.name)
      model.services.set(op.id, aService({ ...op, version }))
      return
    }
    case 'rename-service': {
      const old = model.services.get(op.id) ?? refuse('NOT_FOUND')
      checkName(model, op.id, op.name)
      model.services.set(op.id, { ...old, version, spec: { ...old.spec, name: op.name } })
      return
    }
    case 'remove-service': {
      if (!model.services.delete(op.id)) refuse('NOT_FOUND')
      return
    }
    case 'throw':
      refuse('CANCELLED')
  }
}

function checkName(model: Model, id: string, name: string): void {
  for (const other of model.services.values()) {
    if (other.id !== id && other.spec.name.toLowerCase() === name.toLowerCase()) {
      refuse('NAME_CONFLICT')
    }
  }
}

function runOnStore(tx: Tx, op: Op): void {
  switch (op.kind) {
    case 'create-task':
      tx.create('tasks', aTask(op))
      return
    case 'update-task': {
      const old = tx.get('tasks', op.id) ?? refuse('NOT_FOUND')
      const version = op.stale ? stale : old.version
      tx.update('tasks', { ...old, version, nodeId: op.node === '' ? undefined : nodeId(op.node) })
      return
    }
    case 'remove-task':
      tx.remove('tasks', op.id, op.stale ? stale : tx.get('tasks', op.id)?.version)
      return
    case 'create-service':
      tx.create('services', aService(op))
      return
    case 'rename-service': {
      const old = tx.get('services', op.id) ?? refuse('NOT_FOUND')
      tx.update('services', { ...old, spec: { ...old.spec, name: op.name } })
      return
    }
    case 'remove-service':
      tx.remove('services', op.id)
      return
    case 'throw':
      refuse('CANCELLED')
  }
}

/** What both must agree on: rows with versions, each index, counts. */
function seen(tx: ReadTx): unknown {
  const short = (rows: Iterable<Task>): string[] =>
    [...rows].map((row) => `${row.id}@${row.version}:${row.nodeId ?? ''}`).sort()
  return {
    tasks: short(tx.all('tasks')),
    count: [tx.count('tasks'), tx.count('services')],
    byNode: ['n1', 'n2'].map((key) => short(tx.find('tasks', 'byNode', key))),
    byService: ['s1', 's2'].map((key) => short(tx.find('tasks', 'byService', key))),
    bySlot: ['s1/0', 's1/1', 's2/1'].map((key) => short(tx.find('tasks', 'bySlot', key))),
    byName: ['web', 'db'].map((key) =>
      [...tx.find('services', 'byName', key)].map((row) => `${row.id}@${row.version}`),
    ),
  }
}

function expected(model: Model): unknown {
  const tasks = [...model.tasks.values()]
  const services = [...model.services.values()]
  const reader: ReadTx = {
    nowMs: 0,
    version: model.version,
    get: () => undefined,
    all: (table) => (table === 'tasks' ? tasks : services) as never,
    count: (table) => (table === 'tasks' ? tasks : services).length,
    find: (table, index, key) => {
      if (table === 'services')
        return services.filter((s) => s.spec.name.toLowerCase() === key) as never
      const keys: Record<string, (task: Task) => string | undefined> = {
        byNode: (task) => task.nodeId,
        byService: (task) => task.serviceId,
        bySlot: (task) => `${task.serviceId}/${task.slot}`,
      }
      return tasks.filter((task) => keys[index]?.(task) === key) as never
    },
  }
  return seen(reader)
}

/** Runs a transaction on the model and says how it must end. */
function onModel(model: Model, { ops, request }: Transaction, done: Map<string, unknown>): unknown {
  if (request !== undefined && done.has(request)) return done.get(request)
  const copy = { tasks: new Map(model.tasks), services: new Map(model.services) }
  const version = model.version + 1
  try {
    for (const op of ops) runOnModel({ ...copy, version }, op, version)
  } catch (err) {
    return (err as SwarmError).code
  }
  const isChanged =
    isDifferent(model.tasks, copy.tasks) || isDifferent(model.services, copy.services)
  if (isChanged || request !== undefined) model.version = version
  replace(model.tasks, copy.tasks)
  replace(model.services, copy.services)
  const result = ['ok', ops.length]
  if (request !== undefined) done.set(request, result)
  return result
}

function replace<V>(to: Map<string, V>, from: Map<string, V>): void {
  to.clear()
  for (const [key, value] of from) to.set(key, value)
}

function isDifferent<V>(left: Map<string, V>, right: Map<string, V>): boolean {
  return left.size !== right.size || [...left].some(([key, value]) => right.get(key) !== value)
}

async function runTick(
  replicas: Replicas,
  model: Model,
  tick: readonly Transaction[],
  done: Map<string, unknown>,
): Promise<void> {
  const results = tick.map(async ({ ops, request }) => {
    const options = request === undefined ? {} : { requestId: request, method: 'Test' }
    try {
      return await replicas.leader.update((tx) => {
        for (const op of ops) runOnStore(tx, op)
        return ['ok', ops.length]
      }, options)
    } catch (err) {
      return (err as SwarmError).code
    }
  })
  const wanted = tick.map((transaction) => onModel(model, transaction, done))
  await replicas.commitAll()
  assert.deepEqual(await Promise.all(results), wanted)
}

async function snapshotBytes(store: ReplicatedStore): Promise<Buffer> {
  return Buffer.concat(await collect(store.snapshot()))
}

t.test('transactions end and read as in the model; replicas are equal', async (t) => {
  const property = fc.asyncProperty(ticks, async (ticks) => {
    const replicas = new Replicas()
    const model: Model = { tasks: new Map(), services: new Map(), version: 0 }
    const done = new Map<string, unknown>()
    for (const tick of ticks) {
      await runTick(replicas, model, tick, done)
      assert.deepEqual(replicas.leader.view(seen), expected(model))
    }
    const state = replicas.leader.view(contents)
    const bytes = await snapshotBytes(replicas.leader)
    const [follower] = replicas.followers as [ReplicatedStore]
    assert.deepEqual(follower.view(contents), state)
    assert.deepEqual(await snapshotBytes(follower), bytes)
    const restored = replicas.newStore(9)
    await restored.restore(replicas.leader.appliedIndex, streamOf([bytes]))
    assert.deepEqual(restored.view(contents), state)
    assert.deepEqual(restored.view(seen), expected(model))
    assert.deepEqual(await snapshotBytes(restored), bytes)
  })
  await fc.assert(property, { numRuns: 150 })
  t.pass()
})

t.test('a callback reads what it and those before it wrote, applied or not', async (t) => {
  const property = fc.asyncProperty(fc.array(op, { maxLength: 12 }), async (ops) => {
    const replicas = new Replicas()
    const model: Model = { tasks: new Map(), services: new Map(), version: 0 }
    const reads: (readonly [unknown, unknown])[] = []
    const results = ops.map(async (op) => {
      try {
        await replicas.leader.update((tx) => {
          runOnStore(tx, op)
          onModel(model, { ops: [op], request: undefined }, new Map())
          reads.push([seen(tx), expected(model)])
        })
      } catch (err) {
        if (!(err instanceof SwarmError)) throw err
      }
    })
    await Promise.resolve()
    await Promise.resolve()
    assert.equal(
      replicas.leader.view((tx) => tx.version),
      0,
    )
    await replicas.commitAll()
    await Promise.all(results)
    for (const [got, want] of reads) assert.deepEqual(got, want)
  })
  await fc.assert(property, { numRuns: 150 })
  t.pass()
})
