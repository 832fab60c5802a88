import t, { type Test } from 'tap'
import { schedulerLoop } from '../../../../manager/loops/scheduler-loop.ts'
import type { StoreEntry } from '../../../../manager/store/proposer.ts'
import { ReplicatedStore } from '../../../../manager/store/replicated-store.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { type Node, type Task, TaskState } from '../../../../proto/objects/index.ts'
import { aCluster, aNode, aSpecRecord, aTask } from '../../../support/objects.ts'
import { streamOf } from '../../../support/replicated-stores.ts'
import { settle, VirtualClock } from '../../../support/virtual-clock.ts'

/** A store whose commits wait until they are let through. */
class GatedStore {
  readonly clock = new VirtualClock()
  readonly store: ReplicatedStore
  isOpen = true
  #waiting: (() => void)[] = []
  #index = 0

  constructor() {
    const propose = async (data: Uint8Array): Promise<{ kind: 'committed'; index: number }> => {
      if (!this.isOpen) await new Promise<void>((resolve) => this.#waiting.push(resolve))
      this.#index += 1
      const entry: StoreEntry = { index: this.#index, term: 1, data }
      this.store.apply(entry)
      return { kind: 'committed', index: this.#index }
    }
    const proposer = { needsBytes: false, propose }
    this.store = new ReplicatedStore({ clock: this.clock, random: seededRandom(1), proposer })
    this.store.startTerm(1)
  }

  /** Lets the oldest commit through. */
  async step(): Promise<void> {
    this.#waiting.shift()?.()
    await settle()
  }

  open(): void {
    this.isOpen = true
    for (const go of this.#waiting.splice(0)) go()
  }
}

interface World {
  readonly gate: GatedStore
  readonly put: (rows: { nodes?: readonly Node[]; tasks?: readonly Task[] }) => Promise<void>
  readonly task: (id: string) => Task | undefined
}

async function start(t: Test, specs = [aSpecRecord('spec-1', {})]): Promise<World> {
  const gate = new GatedStore()
  const { store, clock } = gate
  await store.update((tx) => {
    tx.create('cluster', aCluster({}))
    for (const record of specs) tx.create('taskSpecs', record)
  })
  const stop = new AbortController()
  const deps = { store, clock, random: seededRandom(2), log: silentLogger }
  const running = schedulerLoop(deps).run(stop.signal)
  t.teardown(async () => {
    gate.open()
    stop.abort()
    await running
  })
  const put: World['put'] = async ({ nodes = [], tasks = [] }) => {
    await store.update((tx) => {
      for (const node of nodes) tx.create('nodes', node)
      for (const task of tasks) tx.create('tasks', task)
    })
  }
  return { gate, put, task: (id) => store.view((tx) => tx.get('tasks', id)) }
}

t.test('a task is assigned as soon as it is there, and a later node gets its share', async (t) => {
  const { put, task } = await start(t)
  await put({ nodes: [aNode({ id: 'a' })], tasks: [aTask({ id: 't1' })] })
  await settle()
  t.match(task('t1'), { nodeId: 'a', state: TaskState.ASSIGNED })
  await put({ nodes: [aNode({ id: 'b' })], tasks: [aTask({ id: 't2', slot: 2 })] })
  await settle()
  t.match(task('t2'), { nodeId: 'b' })
})

t.test('an assignment to a node that is being drained is not written', async (t) => {
  const { gate, put, task } = await start(t)
  await put({ nodes: [aNode({ id: 'a', nanoCpus: 1e9 })] })
  gate.isOpen = false
  const created = put({ tasks: [aTask({ id: 't1' })] })
  await settle()
  const drained = gate.store.update((tx) => {
    const node = tx.get('nodes', 'a')
    if (node === undefined) throw new Error('the node is gone')
    tx.update('nodes', { ...node, spec: { ...node.spec, availability: 'drain' } })
  })
  // The task is seen, and planned, before the drain is: that is decided but not committed.
  await gate.step()
  gate.open()
  await Promise.all([created, drained])
  await gate.clock.advance(200)
  t.match(task('t1'), {
    nodeId: undefined,
    err: 'no suitable node (1 node not available for new tasks)',
  })
  await put({ nodes: [aNode({ id: 'b' })] })
  await gate.clock.advance(200)
  t.match(task('t1'), { nodeId: 'b', err: '' })
})

t.test(
  'a task that changes while its assignment is on its way is assigned all the same',
  async (t) => {
    const specs = [aSpecRecord('spec-1', { reservations: { nanoCpus: 1e9 } })]
    const { gate, put, task } = await start(t, specs)
    await put({ nodes: [aNode({ id: 'a', nanoCpus: 1e9 })] })
    gate.isOpen = false
    const created = put({ tasks: [aTask({ id: 't1', desiredState: TaskState.READY })] })
    await settle()
    const changed = gate.store.update((tx) => {
      const known = tx.get('tasks', 't1')
      if (known !== undefined) tx.update('tasks', { ...known, desiredState: TaskState.RUNNING })
    })
    await gate.step()
    gate.open()
    await Promise.all([created, changed])
    await settle()
    t.match(task('t1'), { nodeId: 'a', desiredState: TaskState.RUNNING })
  },
)

t.test('the cluster may change its strategy at any time', async (t) => {
  const { gate, put, task } = await start(t)
  await put({ nodes: ['a', 'b'].map((id) => aNode({ id })) })
  await gate.store.update((tx) => {
    for (const cluster of tx.all('cluster')) {
      tx.update('cluster', { ...cluster, spec: { ...cluster.spec, scheduling: 'binpack' } })
    }
  })
  await put({ tasks: [1, 2, 3, 4].map((slot) => aTask({ id: `t${slot}`, slot })) })
  await settle()
  const nodes = new Set([1, 2, 3, 4].map((slot) => task(`t${slot}`)?.nodeId))
  t.equal(nodes.size, 1)
})

t.test('stuck tasks get their turn when room is made, and never too much is placed', async (t) => {
  const specs = [aSpecRecord('spec-1', { reservations: { nanoCpus: 1e9 } })]
  const { gate, put, task } = await start(t, specs)
  await put({ nodes: [aNode({ id: 'a', nanoCpus: 2e9 })] })
  await put({ tasks: [1, 2, 3, 4].map((slot) => aTask({ id: `t${slot}`, slot })) })
  await settle()
  const placed = (): string[] => ['t1', 't2', 't3', 't4'].filter((id) => task(id)?.nodeId === 'a')
  t.same(placed(), ['t1', 't2'])
  await gate.store.update((tx) => {
    const done = tx.get('tasks', 't1')
    if (done !== undefined) tx.update('tasks', { ...done, state: TaskState.COMPLETE })
  })
  await gate.clock.advance(100)
  t.same(placed(), ['t1', 't2', 't3'])
})

t.test(
  'a large cluster is learned in steps, and what happens meanwhile is not missed',
  async (t) => {
    const { store, clock } = new GatedStore()
    await store.update((tx) => {
      tx.create('taskSpecs', aSpecRecord('spec-1', { placement: { maxReplicasPerNode: 1 } }))
      for (const id of ['a', 'b']) tx.create('nodes', aNode({ id }))
    })
    for (let from = 0; from < 25_000; from += 200) {
      await store.update((tx) => {
        for (let slot = from + 1; slot <= from + 200; slot++) {
          const ended = { state: TaskState.COMPLETE, desiredState: TaskState.SHUTDOWN }
          tx.create('tasks', aTask({ id: `t${slot}`, slot, node: 'a', ...ended }))
        }
      })
    }
    const stop = new AbortController()
    const deps = { store, clock, random: seededRandom(2), log: silentLogger }
    const running = schedulerLoop(deps).run(stop.signal)
    // The loop waits for time between its steps: this is seen by its watch only.
    await store.update((tx) => {
      tx.create('tasks', aTask({ id: 'on-a', slot: 30_001, node: 'a' }))
      tx.create('tasks', aTask({ id: 'new', slot: 30_002 }))
    })
    await settle()
    t.match(
      store.view((tx) => tx.get('tasks', 'new')),
      { nodeId: undefined },
    )
    await clock.advance(100)
    t.match(
      store.view((tx) => tx.get('tasks', 'new')),
      { nodeId: 'b' },
    )
    stop.abort()
    await running
  },
)

t.test('when the store is restored under it, the loop reads everything again', async (t) => {
  const { gate, put, task } = await start(t)
  await put({ nodes: [aNode({ id: 'a' })], tasks: [aTask({ id: 't1' })] })
  await settle()
  const chunks: Uint8Array[] = []
  for await (const chunk of gate.store.snapshot()) chunks.push(chunk)
  const { store } = gate
  await store.restore(store.appliedIndex, streamOf(chunks))
  store.startTerm(1)
  await gate.clock.advance(200)
  await put({ tasks: [aTask({ id: 't2', slot: 2 })] })
  await gate.clock.advance(200)
  t.match(task('t2'), { nodeId: 'a' })
})
