import fc from 'fast-check'
import t from 'tap'
import {
  type Forecast,
  foresee,
  type Supposition,
} from '../../../../manager/orchestrator/what-if.ts'
import {
  isActive,
  type Node,
  placeOf,
  type Service,
  type Task,
  type TaskSpecRecord,
  TaskState,
} from '../../../../proto/objects/index.ts'
import { parseGenericResources } from '../../../../proto/spec/generic-resource.ts'
import { LoopWorld } from '../../../support/loop-world.ts'
import {
  aNode,
  aService,
  aSpecRecord,
  aTask,
  type TaskSpecFacts,
} from '../../../support/objects.ts'
import { aDecisionEnv } from '../../../support/orchestration.ts'

interface Facts {
  readonly nodes: readonly Node[]
  readonly services: readonly Service[]
  readonly tasks: readonly Task[]
  readonly specs?: readonly TaskSpecRecord[]
}

function forecast(facts: Facts, supposition: Supposition): Forecast {
  const taskSpecs = facts.specs ?? [aSpecRecord('spec-1', {})]
  return foresee({ ...facts, taskSpecs, strategy: 'spread' }, supposition, aDecisionEnv())
}

function lines({ outcomes }: Forecast): string[] {
  return outcomes.map(
    ({ kind, task, from = '-', to = '-' }) => `${task.slot} ${kind} ${from}>${to}`,
  )
}

const nodes = ['a', 'b', 'c'].map((id) => aNode({ id, hostname: id }))
const node = (id: string): Node => nodes.find((one) => one.id === id) ?? aNode({ id })
const tasks = [
  aTask({ id: 't1', slot: 1, node: 'a' }),
  aTask({ id: 't2', slot: 2, node: 'b' }),
  aTask({ id: 't3', slot: 3, node: 'a' }),
]
const web = aService({ replicas: 3 })

t.test(
  'a drained node: its tasks move to where the scheduler puts them, the others stay',
  async (t) => {
    const result = forecast({ nodes, services: [web], tasks }, { kind: 'drain', node: node('a') })
    t.same(lines(result), ['1 moved a>c', '3 moved a>b'])
    t.match(result, { kept: 1, isCut: false })
  },
)

t.test('a task for which there is no room says why, node by node', async (t) => {
  const specs = [aSpecRecord('spec-1', { placement: { maxReplicasPerNode: 1 } })]
  const facts = { nodes: nodes.slice(0, 2), services: [web], tasks: tasks.slice(0, 2), specs }
  const result = forecast(facts, { kind: 'drain', node: node('a') })
  const stuck = result.outcomes.find(({ kind }) => kind === 'unplaceable')
  t.match(stuck, { from: 'a', to: undefined, why: { summary: /max replicas per node/ } })
  t.same(
    stuck?.why?.refusals.map(({ hostname, filter }) => `${hostname} ${filter}`),
    ['a ready', 'b max-replicas'],
  )
})

t.test('a service that is new, scaled up, scaled down, updated', async (t) => {
  const spec = aSpecRecord('spec-1', {})
  const suppose = (service: Service, record = spec): Supposition => ({
    kind: 'service',
    service,
    spec: record,
  })
  const fresh = suppose(aService({ id: 'db', replicas: 2 }))
  t.same(lines(forecast({ nodes, services: [web], tasks }, fresh)), [
    '1 placed ->c',
    '2 placed ->b',
  ])
  const more = forecast({ nodes, services: [web], tasks }, suppose(aService({ replicas: 4 })))
  t.same(lines(more), ['4 placed ->c'])
  t.equal(more.kept, 3)
  const less = forecast({ nodes, services: [web], tasks }, suppose(aService({ replicas: 2 })))
  t.same(lines(less), ['3 removed a>-'], 'the one of the two on a node')
  const record = aSpecRecord('spec-2', { image: 'new' })
  const service = aService({
    replicas: 3,
    specHash: 'spec-2',
    specVersion: 2,
    task: { image: 'new' },
  })
  const updated = forecast({ nodes, services: [web], tasks }, suppose(service, record))
  t.equal(updated.outcomes.length, 3)
  t.ok(updated.outcomes.every(({ kind }) => kind === 'replaced'))
  t.match(updated, { kept: 0, isCut: false })
})

t.test('an update that would take longer than a day is told to be cut', async (t) => {
  const delay = { delayMs: 20 * 3_600_000 }
  const spec = aSpecRecord('spec-2', { image: 'new' })
  const service = aService({
    replicas: 3,
    specHash: 'spec-2',
    specVersion: 2,
    task: { image: 'new' },
    update: delay,
  })
  const result = forecast({ nodes, services: [web], tasks }, { kind: 'service', service, spec })
  t.equal(result.isCut, true)
  t.ok(result.outcomes.length < 3)
})

t.test(
  'what does not answer is not counted on: a down node, and one that is not there',
  async (t) => {
    const down = aNode({ id: 'b', state: 'down' })
    const facts = { nodes: [node('a'), down, node('c')], services: [web], tasks }
    t.same(lines(forecast(facts, { kind: 'drain', node: node('a') })), [
      '1 moved a>c',
      '2 moved b>c',
      '3 moved a>c',
    ])
  },
)

const zones = ['east', 'west'] as const
const clusterArbitrary = fc.record({
  nodes: fc.array(
    fc.record({
      cpus: fc.integer({ min: 1, max: 6 }),
      zone: fc.constantFrom(...zones),
      gpus: fc.constantFrom(0, 0, 2),
      availability: fc.constantFrom('active', 'active', 'active', 'pause', 'drain'),
      state: fc.constantFrom('ready', 'ready', 'ready', 'ready', 'down'),
    }),
    { minLength: 1, maxLength: 6 },
  ),
  services: fc.array(
    fc.record({
      replicas: fc.integer({ min: 0, max: 6 }),
      cpus: fc.constantFrom(0, 0, 1, 2),
      zone: fc.constantFrom('', '', ...zones),
      gpus: fc.constantFrom(0, 0, 0, 1),
      isSpread: fc.boolean(),
      most: fc.constantFrom(0, 0, 1, 2),
      order: fc.constantFrom('stop-first', 'start-first'),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  action: fc.constantFrom('drain', 'create', 'update', 'scale'),
  pick: fc.nat(100),
  replicas: fc.integer({ min: 0, max: 8 }),
  isBinpack: fc.constantFrom(false, false, true),
})
type Cluster = typeof clusterArbitrary extends fc.Arbitrary<infer T> ? T : never
type Wish = Cluster['services'][number]

function specFacts(wish: Wish, image = 'one'): TaskSpecFacts {
  const generic = parseGenericResources(wish.gpus === 0 ? [] : [`gpu=${wish.gpus}`])
  return {
    image,
    reservations: { nanoCpus: wish.cpus * 1e9, ...(generic.length > 0 && { generic }) },
    placement: {
      constraints: wish.zone === '' ? [] : [`node.labels.zone==${wish.zone}`],
      spread: wish.isSpread ? ['node.labels.zone'] : [],
      maxReplicasPerNode: wish.most,
    },
  }
}

function serviceFacts(wish: Wish, at: number, replicas = wish.replicas) {
  return {
    id: `s${at}`,
    replicas,
    specHash: `spec-${at}`,
    task: specFacts(wish),
    // With several at a time it depends on which of them is ready first.
    update: { order: wish.order, parallelism: 1, monitorMs: 20 },
  } as const
}

async function worldOf(cluster: Cluster): Promise<LoopWorld> {
  const world = new LoopWorld()
  await world.addCluster({ scheduling: cluster.isBinpack ? 'binpack' : 'spread' })
  for (const [at, { cpus, zone, gpus, availability, state }] of cluster.nodes.entries()) {
    await world.addNode({
      id: `n${at}`,
      nanoCpus: cpus * 1e9,
      labels: { zone },
      ...(gpus === 0 ? {} : { generic: [`gpu=${gpus}`] }),
      availability,
      state,
    })
  }
  for (const [at, wish] of cluster.services.entries()) {
    await world.addSpec(`spec-${at}`, specFacts(wish))
    await world.addService(serviceFacts(wish, at))
  }
  world.lead()
  await world.pass(200)
  return world
}

/** What is supposed, and the same done. */
function actionOf(
  cluster: Cluster,
  world: LoopWorld,
): { readonly supposed: Supposition; readonly act: () => Promise<void> } {
  const { action, pick, services } = cluster
  const at = pick % services.length
  const wish = services[at] as Wish
  if (action === 'drain') {
    const id = `n${pick % cluster.nodes.length}`
    const node = world.store.view((tx) => tx.get('nodes', id)) as Node
    return { supposed: { kind: 'drain', node }, act: () => world.setAvailability(id, 'drain') }
  }
  if (action === 'create') {
    const service = aService({ ...serviceFacts(wish, 9, cluster.replicas) })
    const spec = aSpecRecord('spec-9', specFacts(wish))
    const act = async (): Promise<void> => {
      await world.addSpec('spec-9', specFacts(wish))
      await world.addService(serviceFacts(wish, 9, cluster.replicas))
    }
    return { supposed: { kind: 'service', service, spec }, act }
  }
  const now = world.store.view((tx) => tx.get('services', `s${at}`)) as Service
  const replicas = action === 'scale' ? cluster.replicas : wish.replicas
  const image = action === 'update' ? 'two' : 'one'
  const hash = action === 'update' ? 'spec-new' : `spec-${at}`
  const spec = aSpecRecord(hash, specFacts(wish, image))
  const service: Service = {
    ...now,
    spec: { ...now.spec, mode: { kind: 'replicated', replicas }, task: spec.spec },
    specHash: spec.hash,
    specVersion: now.specVersion + (action === 'update' ? 1 : 0),
    updateStatus: undefined,
  }
  const act = async (): Promise<void> => {
    if (action === 'update') await world.addSpec(hash, specFacts(wish, image))
    await world.store.update((tx) => tx.update('services', service))
  }
  return { supposed: { kind: 'service', service, spec }, act }
}

/** Where each place of each service is, by the task that is wanted there. */
function places(tasks: readonly Task[]): Map<string, string> {
  const wanted = tasks.filter((task) => isActive(task) && task.state <= TaskState.RUNNING)
  const newest = [...wanted].sort((a, b) => a.createdAtMs - b.createdAtMs)
  return new Map(
    newest.map((task) => [`${task.serviceId}/${placeOf(task)}`, `${task.nodeId ?? 'none'}`]),
  )
}

t.test('the plan equals what the action then does, on 100 random clusters', async (t) => {
  await fc.assert(
    fc.asyncProperty(clusterArbitrary, async (cluster) => {
      const world = await worldOf(cluster)
      try {
        const { supposed, act } = actionOf(cluster, world)
        const picture = world.store.view((tx) => ({
          nodes: [...tx.all('nodes')],
          services: [...tx.all('services')],
          tasks: [...tx.all('tasks')],
          taskSpecs: [...tx.all('taskSpecs')],
          strategy: cluster.isBinpack ? ('binpack' as const) : ('spread' as const),
          nowMs: tx.nowMs,
        }))
        const env = { ...aDecisionEnv(picture.nowMs), newId: counter() }
        const { outcomes, isCut } = foresee(picture, supposed, env)
        const told = places(picture.tasks)
        for (const { kind, task, to } of outcomes) {
          const key = `${task.serviceId}/${placeOf(task)}`
          if (kind === 'removed') told.delete(key)
          else told.set(key, to ?? 'none')
        }
        await act()
        await world.pass(800)
        t.same([...places(world.tasks())].sort(), [...told].sort())
        if (isCut) throw new Error('it did not come to rest')
        if (!t.passing()) throw new Error('the plan was another')
      } finally {
        await world.resign()
      }
    }),
    { numRuns: 100, seed: 65, endOnFailure: true },
  )
})

function counter(): () => string {
  let made = 0
  return () => {
    made += 1
    return `planned-${made}`
  }
}
