import t from 'tap'
import { type Reconciler, reconcileLoop } from '../../../../manager/loops/reconcile-loop.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import type { ReplicatedStore } from '../../../../manager/store/replicated-store.ts'
import type { ReadTx } from '../../../../manager/store/store.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import {
  type DecisionEnv,
  type Plan,
  type Service,
  serviceId,
  taskId,
} from '../../../../proto/objects/index.ts'
import { aService, aTask, replicasOf } from '../../../support/objects.ts'
import { settle, VirtualClock } from '../../../support/virtual-clock.ts'

const nothing: Plan = { changes: [], wakeAtMs: undefined, notes: [] }

/** One task a replica, in slots from 1: enough of an orchestrator to see the shell work. */
function fill(id: string, tx: ReadTx, env: DecisionEnv): Plan {
  const service = tx.get('services', id)
  const tasks = [...tx.find('tasks', 'byService', id)]
  const wanted = service === undefined ? 0 : replicasOf(service)
  const missing = Math.max(0, wanted - tasks.length)
  const created = Array.from({ length: missing }, (_, i) => ({
    kind: 'create' as const,
    table: 'tasks' as const,
    object: { ...aTask({ service: id, slot: tasks.length + i + 1 }), id: taskId(env.newId()) },
  }))
  const removed = tasks.slice(wanted).map(({ id, version }) => ({
    kind: 'remove' as const,
    table: 'tasks' as const,
    id,
    version,
  }))
  return { ...nothing, changes: [...created, ...removed] }
}

interface World {
  readonly clock: VirtualClock
  readonly store: ReplicatedStore
  readonly decided: string[]
  readonly end: () => Promise<void>
  readonly failed: () => unknown
}

function start(over: Partial<Reconciler> = {}): World {
  const clock = new VirtualClock()
  const random = seededRandom(1)
  const store = createMemoryStore({ clock, random })
  const decided: string[] = []
  const decide = over.decide ?? fill
  const reconciler: Reconciler = {
    name: 'fill',
    watches: { services: 'all', tasks: 'all' },
    resyncMs: 60_000,
    dirtiedBy: ({ table, object }) => [
      table === 'tasks' ? object.serviceId : (object as Service).id,
    ],
    allIds: (tx) => [...tx.all('services')].map((service) => service.id),
    ...over,
    decide: (id, tx, env) => {
      decided.push(id)
      return decide(id, tx, env)
    },
  }
  const controller = new AbortController()
  let failure: unknown
  const loop = reconcileLoop({ store, clock, random, log: silentLogger }, reconciler)
  const ended = loop.run(controller.signal).catch((err: unknown) => {
    failure = err
  })
  const end = async (): Promise<void> => {
    controller.abort()
    await ended
  }
  t.teardown(end)
  return { clock, store, decided, end, failed: () => failure }
}

const count = (store: ReplicatedStore): number => store.view((tx) => tx.count('tasks'))

t.test('what changes is decided about, in as many transactions as it takes', async (t) => {
  const { clock, store, end } = start()
  await store.update((tx) => tx.create('services', aService({ id: 's1', replicas: 1_000 })))
  await clock.advance(100)
  t.equal(count(store), 1_000)
  await store.update((tx) => {
    const service = tx.get('services', 's1') as Service
    tx.update('services', {
      ...service,
      spec: { ...service.spec, mode: { kind: 'replicated', replicas: 3 } },
    })
  })
  await clock.advance(100)
  t.equal(count(store), 3)
  await end()
})

t.test('everything is looked at when the loop starts and at each resync', async (t) => {
  const { clock, store, decided } = start({ dirtiedBy: () => [] })
  await store.update((tx) => tx.create('services', aService({ id: 's1' })))
  await settle()
  t.same(decided, [])
  await clock.advance(60_000)
  t.same(decided, ['s1'])
  t.equal(count(store), 1)
  await clock.advance(60_000)
  t.same(decided, ['s1', 's1'])
})

t.test('a decision can ask to be made again at a time', async (t) => {
  const times: number[] = []
  const { clock, store } = start({
    decide: (_id, _tx, env) => {
      times.push(env.nowMs)
      return { ...nothing, wakeAtMs: times.length < 3 ? env.nowMs + 700 : undefined }
    },
  })
  const startMs = store.view((tx) => tx.nowMs)
  await store.update((tx) => tx.create('services', aService({ id: 's1' })))
  await clock.advance(5_000)
  t.same(
    times.map((at) => at - startMs),
    [0, 700, 1400],
  )
})

t.test('a plan that somebody overtook is made again', async (t) => {
  let overtakes = 2
  const { clock, store, decided, failed } = start({
    dirtiedBy: ({ table }) => (table === 'services' ? ['s1'] : []),
    decide: (id, tx, env) => {
      const plan = fill(id, tx, env)
      // Between reading and writing a task of the same id appears.
      const change = plan.changes[0]
      if (overtakes > 0 && change?.kind === 'create') {
        overtakes -= 1
        void store.update((tx) =>
          tx.create('tasks', { ...change.object, serviceId: serviceId('other') }),
        )
      }
      return plan
    },
  })
  await store.update((tx) => tx.create('services', aService({ id: 's1' })))
  await clock.advance(1_000)
  t.equal(
    store.view((tx) => [...tx.find('tasks', 'byService', 's1')].length),
    1,
  )
  t.equal(decided.length, 3)
  t.equal(failed(), undefined)
})

t.test('a plan is made again when what it rests on has changed', async (t) => {
  let replicas = 3
  const tasksSeen: number[] = []
  const { clock, store, failed } = start({
    dirtiedBy: ({ table }) => (table === 'services' ? ['s1'] : []),
    basisOf: (id, tx) => tx.get('services', id)?.version,
    decide: (id, tx, env) => {
      const plan = fill(id, tx, env)
      tasksSeen.push(tx.count('tasks'))
      // Between reading and writing a user asks for less; no task that the plan changes tells of it.
      if (replicas > 1) {
        replicas = 1
        const service = tx.get('services', id) as Service
        const spec = { ...service.spec, mode: { kind: 'replicated' as const, replicas } }
        void store.update((tx) => tx.update('services', { ...service, spec }))
      }
      return plan
    },
  })
  await store.update((tx) => tx.create('services', aService({ id: 's1', replicas })))
  await clock.advance(1_000)
  t.equal(count(store), 1)
  t.match(tasksSeen, [0, 0], 'nothing was written of the first plan')
  t.equal(failed(), undefined)
})

t.test('while the store takes nothing the loop holds off, then goes on', async (t) => {
  const { clock, store, decided } = start()
  await store.update((tx) => tx.create('services', aService({ id: 's1' })))
  store.endTerm()
  await clock.advance(1_000)
  t.equal(count(store), 0)
  t.ok(decided.length >= 5 && decided.length <= 12, `decided ${decided.length} times`)
  store.startTerm(1)
  await clock.advance(200)
  t.equal(count(store), 1)
})

t.test('a watch that was ended is begun anew and everything is looked at', async (t) => {
  const { clock, store } = start()
  await settle()
  const other = createMemoryStore({ clock, random: seededRandom(2) })
  await other.update((tx) => tx.create('services', aService({ id: 's9', replicas: 2 })))
  await store.restore(100, other.snapshot())
  store.startTerm(1)
  await clock.advance(500)
  t.equal(
    store.view((tx) => [...tx.find('tasks', 'byService', 's9')].length),
    2,
  )
})

t.test('a bug in a decision ends the loop with its name', async (t) => {
  const { clock, store, failed } = start({
    decide: () => {
      throw new TypeError('bug')
    },
  })
  await store.update((tx) => tx.create('services', aService({ id: 's1' })))
  await clock.advance(10)
  t.match(failed(), { message: 'loop fill decide failed: bug' })
})

t.test('many ids are decided about in slices', async (t) => {
  const { clock, store, decided } = start({ decide: () => nothing })
  for (let i = 0; i < 5; i++) {
    await store.update((tx) => {
      for (let j = 0; j < 200; j++) tx.create('services', aService({ id: `s${i}-${j}` }))
    })
  }
  await clock.advance(1_000)
  t.equal(new Set(decided).size, 1_000)
})
