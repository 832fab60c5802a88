// Properties of whole plans on random clusters, against a plain model that asks every node for every task.
import fc from 'fast-check'
import t from 'tap'
import {
  type Node,
  serviceId,
  specHash,
  type Task,
  type TaskSpecRecord,
  TaskState,
} from '../../../proto/objects/index.ts'
import { ClusterIndex } from '../../../scheduler/cluster-index.ts'
import type { Demand } from '../../../scheduler/demand.ts'
import { allFilters } from '../../../scheduler/filters/filters.ts'
import { aNode, aSpecRecord, aTask } from '../../support/objects.ts'
import { anEnv, aScheduler, updatedTasks } from '../../support/placement.ts'

const nodeArbitrary = fc.record({
  nanoCpus: fc.integer({ min: 0, max: 6 }).map((cpus) => cpus * 1e9),
  zone: fc.constantFrom('', 'x', 'y', 'z'),
  rack: fc.constantFrom('1', '2'),
  availability: fc.constantFrom<('active' | 'pause')[]>('active', 'active', 'active', 'pause'),
})

const specArbitrary = fc.record({
  cpus: fc.constantFrom(0, 0, 1, 2),
  zone: fc.constantFrom('', 'node.labels.zone==x', 'node.labels.zone!=x'),
  port: fc.constantFrom(0, 0, 0, 8080, 9090),
  maxReplicasPerNode: fc.constantFrom(0, 0, 1, 3),
  spread: fc.constantFrom<string[][]>(
    [],
    [],
    ['node.labels.zone'],
    ['node.labels.zone', 'node.labels.rack'],
  ),
})

const taskArbitrary = fc.record({
  service: fc.nat(4),
  spec: fc.nat(2),
  node: fc.option(fc.nat(30), { nil: undefined, freq: 2 }),
  stopping: fc.boolean(),
})

const clusterArbitrary = fc.record({
  nodes: fc.array(nodeArbitrary, { maxLength: 8 }),
  specs: fc.array(specArbitrary, { minLength: 3, maxLength: 3 }),
  tasks: fc.array(taskArbitrary, { maxLength: 40 }),
})

interface World {
  readonly nodes: Node[]
  readonly specs: TaskSpecRecord[]
  readonly tasks: Task[]
}

function worldOf(
  cluster: typeof clusterArbitrary extends fc.Arbitrary<infer T> ? T : never,
): World {
  const nodes = cluster.nodes.map((facts, at) =>
    aNode({
      id: `n${at}`,
      nanoCpus: facts.nanoCpus,
      availability: facts.availability,
      labels: { ...(facts.zone === '' ? {} : { zone: facts.zone }), rack: facts.rack },
    }),
  )
  const specs = cluster.specs.map((facts, at) =>
    aSpecRecord(`spec-${at}`, {
      reservations: { nanoCpus: facts.cpus * 1e9 },
      placement: {
        constraints: facts.zone === '' ? [] : [facts.zone],
        spread: facts.spread,
        maxReplicasPerNode: facts.maxReplicasPerNode,
      },
      ports: facts.port === 0 ? [] : [{ targetPort: 80, publishedPort: facts.port }],
    }),
  )
  const tasks = cluster.tasks.map((facts, at) => {
    const node = facts.node === undefined ? undefined : nodes[facts.node % (nodes.length || 1)]?.id
    return aTask({
      id: `t${at}`,
      service: `s${facts.service}`,
      specHash: `spec-${facts.spec}`,
      slot: at + 1,
      ...(node === undefined ? {} : { node }),
      desiredState: facts.stopping && node !== undefined ? TaskState.SHUTDOWN : TaskState.RUNNING,
    })
  })
  return { nodes, specs, tasks }
}

function sourceOf(world: World, tasks: readonly Task[]): Parameters<typeof ClusterIndex.from>[0] {
  return { nodes: world.nodes, tasks, taskSpecs: world.specs, strategy: 'spread' }
}

function fits(index: ClusterIndex, task: Task, at: number): boolean {
  const demand = demandIn(index, task)
  const entry = index.entry(at)
  const own = index.services.on(task.serviceId, at)
  return allFilters.every((filter) => !filter.applies(demand) || filter.accepts(entry, demand, own))
}

function demandIn(index: ClusterIndex, task: Task): Demand {
  const demand = index.demandOf(task.specHash)
  if (demand === undefined) throw new Error('no demand')
  return demand
}

/** How many tasks of the service each branch on the way to the node has, best possible first. */
function isLeastBranch(index: ClusterIndex, task: Task, chosen: number): boolean {
  const { spread } = demandIn(index, task)
  const pathOf = (at: number): string[] =>
    spread.map(({ key }) => index.entry(at).node.spec.labels[key] ?? '')
  const all = [...index.entries()].map((entry) => entry.index)
  const path = pathOf(chosen)
  for (let level = 0; level < path.length; level++) {
    const prefix = path.slice(0, level).join('/')
    const totals = new Map<string, number>()
    const open = new Set<string>()
    for (const at of all) {
      const other = pathOf(at)
      if (other.slice(0, level).join('/') !== prefix) continue
      const value = other[level] ?? ''
      totals.set(value, (totals.get(value) ?? 0) + index.services.on(task.serviceId, at))
      if (fits(index, task, at)) open.add(value)
    }
    const least = Math.min(...[...open].map((value) => totals.get(value) ?? 0))
    if ((totals.get(path[level] ?? '') ?? 0) > least) return false
  }
  return true
}

function isBestNode(index: ClusterIndex, task: Task, chosen: number): boolean {
  const { spread } = demandIn(index, task)
  const branchOf = (at: number): string =>
    spread.map(({ key }) => index.entry(at).node.spec.labels[key] ?? '').join('/')
  const key = (at: number): readonly [number, number] => [
    index.services.on(task.serviceId, at),
    index.entry(at).activeTasks,
  ]
  const [tasks, total] = key(chosen)
  for (const { index: at } of index.entries()) {
    if (branchOf(at) !== branchOf(chosen) || !fits(index, task, at)) continue
    const [otherTasks, otherTotal] = key(at)
    if (otherTasks < tasks || (otherTasks === tasks && otherTotal < total)) return false
  }
  return true
}

t.test(
  'each placement is the best choice at its moment, and what is left fits nowhere',
  async (t) => {
    fc.assert(
      fc.property(clusterArbitrary, (cluster) => {
        const world = worldOf(cluster)
        const scheduler = aScheduler(world)
        const plan = scheduler.plan(anEnv())
        const model = ClusterIndex.from(sourceOf(world, world.tasks))
        const updates = updatedTasks(plan)
        for (const update of updates) {
          const before = world.tasks.find((task) => task.id === update.id)
          if (before === undefined) throw new Error('an unknown task was planned')
          if (update.nodeId === undefined) continue
          const chosen = model.entryOf(update.nodeId)?.index ?? -1
          if (!fits(model, update, chosen)) return false
          if (!isLeastBranch(model, update, chosen) || !isBestNode(model, update, chosen))
            return false
          model.changeTask(before, update)
        }
        const left = updates.filter((update) => update.nodeId === undefined)
        return left.every((task) =>
          [...model.entries()].every((entry) => !fits(model, task, entry.index)),
        )
      }),
      { numRuns: 400 },
    )
    t.pass('held')
  },
)

const roundArbitrary = fc.array(
  fc.record({
    kind: fc.constantFrom('end', 'end', 'add', 'add', 'pause', 'open', 'relabel', 'drop', 'join'),
    pick: fc.nat(99),
  }),
  { maxLength: 6 },
)

t.test('it stays so over many plans while tasks and nodes come and go', async (t) => {
  const rounds = fc.array(roundArbitrary, { minLength: 3, maxLength: 10, size: 'max' })
  fc.assert(
    fc.property(clusterArbitrary, rounds, (cluster, script) => {
      const world = worldOf(cluster)
      const scheduler = aScheduler(world)
      const model = ClusterIndex.from(sourceOf(world, world.tasks))
      const tasks = new Map(world.tasks.map((task) => [task.id, task]))
      const nodes = new Map(world.nodes.map((node) => [node.id, node]))
      const change = (before: Task | undefined, after: Task): void => {
        scheduler.changeTask(before, after)
        model.changeTask(before, after)
        tasks.set(after.id, after)
      }
      const put = (node: Node): void => {
        scheduler.putNode(node)
        model.putNode(node)
        nodes.set(node.id, node)
      }
      let nowMs = 1_000_000
      for (const [round, steps] of script.entries()) {
        for (const [step, { kind, pick }] of steps.entries()) {
          const node = [...nodes.values()][pick % (nodes.size || 1)]
          const task = [...tasks.values()][pick % (tasks.size || 1)]
          const name = `${round}-${step}`
          if (kind === 'end' && task !== undefined && task.state >= TaskState.ASSIGNED) {
            change(task, { ...task, state: TaskState.COMPLETE })
          }
          if (kind === 'add') {
            const facts = { id: `new-${name}`, service: `s${pick % 5}`, slot: 1_000 + pick }
            change(undefined, aTask({ ...facts, specHash: `spec-${pick % 3}` }))
          }
          if (kind === 'join') put(aNode({ id: `new-${name}`, labels: { zone: 'x', rack: '1' } }))
          if (node === undefined) continue
          const spec = { ...node.spec }
          if (kind === 'pause') put({ ...node, spec: { ...spec, availability: 'pause' } })
          if (kind === 'open') put({ ...node, spec: { ...spec, availability: 'active' } })
          if (kind === 'relabel') put({ ...node, spec: { ...spec, labels: { zone: 'x' } } })
          if (kind !== 'drop') continue
          scheduler.dropNode(node.id)
          model.dropNode(node.id)
          nodes.delete(node.id)
        }
        nowMs += 1_000
        const plan = scheduler.plan({ ...anEnv(), nowMs })
        for (const update of updatedTasks(plan)) {
          if (update.nodeId !== undefined) {
            const chosen = model.entryOf(update.nodeId)?.index ?? -1
            if (!fits(model, update, chosen)) throw new Error(`${update.id} does not fit`)
            if (!isLeastBranch(model, update, chosen) || !isBestNode(model, update, chosen)) {
              throw new Error(`${update.id} was not placed best in round ${round}`)
            }
          }
          const before = tasks.get(update.id)
          model.changeTask(before, update)
          scheduler.changeTask(before, update)
          tasks.set(update.id, update)
        }
        const entries = [...model.entries()]
        for (const task of tasks.values()) {
          if (task.state !== TaskState.PENDING) continue
          if (entries.some((entry) => fits(model, task, entry.index))) {
            throw new Error(`${task.id} was left in round ${round} though a node fits`)
          }
        }
      }
    }),
    { numRuns: 300 },
  )
  t.pass('held')
})

t.test('reservations never exceed what a node has, over any number of plans', async (t) => {
  fc.assert(
    fc.property(clusterArbitrary, fc.integer({ min: 1, max: 7 }), (cluster, tasksMax) => {
      const world = worldOf({
        ...cluster,
        tasks: cluster.tasks.map((task) => ({ ...task, node: undefined })),
      })
      const scheduler = aScheduler(world)
      for (let turn = 0; turn < 45; turn++) scheduler.plan(anEnv(turn), tasksMax)
      return [...scheduler.index.entries()].every(
        ({ node, reservedNanoCpus }) =>
          reservedNanoCpus <= (node.description?.resources.nanoCpus ?? 0),
      )
    }),
  )
  t.pass('held')
})

t.test('on equal nodes the replicas of a service differ by one at most', async (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 12 }),
      fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 5 }),
      fc.constantFrom<string[][]>([], ['node.labels.zone']),
      (nodeCount, services, spread) => {
        const nodes = Array.from({ length: nodeCount }, (_, at) =>
          aNode({ id: `n${at}`, labels: { zone: `z${at}` } }),
        )
        const tasks = services.flatMap((replicas, service) =>
          Array.from({ length: replicas }, (_, at) =>
            aTask({ id: `s${service}-${at}`, service: `s${service}`, slot: at + 1 }),
          ),
        )
        const specs = [aSpecRecord('spec-1', { placement: { spread } })]
        const scheduler = aScheduler({ nodes, tasks, specs })
        const plan = scheduler.plan(anEnv())
        if (plan.assigned !== tasks.length) return false
        const even = services.every((replicas, service) => {
          const counts = nodes.map((_, at) =>
            scheduler.index.services.on(serviceId(`s${service}`), at),
          )
          return Math.max(...counts) - Math.min(...counts) <= (replicas > 0 ? 1 : 0)
        })
        const totals = nodes.map((_, at) => scheduler.index.entry(at).activeTasks)
        return even && Math.max(...totals) - Math.min(...totals) <= 1
      },
    ),
  )
  t.pass('held')
})

t.test('an index kept change by change equals one that is built anew', async (t) => {
  const change = fc.record({
    task: fc.nat(9),
    kind: fc.constantFrom('assign', 'run', 'stop', 'fail', 'remove', 'reserve', 'release'),
    node: fc.nat(3),
  })
  fc.assert(
    fc.property(fc.array(change, { maxLength: 80 }), (changes) => {
      const world: World = {
        nodes: [0, 1, 2, 3].map((at) => aNode({ id: `n${at}` })),
        specs: [
          aSpecRecord('spec-0', {
            reservations: { nanoCpus: 1e9, memoryBytes: 1024 },
            ports: [{ targetPort: 80, publishedPort: 80 }],
          }),
        ],
        tasks: [],
      }
      const index = ClusterIndex.from(sourceOf(world, []))
      const tasks = new Map<number, Task>()
      const placed = new Map<number, { task: Task; on: number }>()
      for (const { task: at, kind, node } of changes) {
        const before = tasks.get(at)
        const base =
          before ?? aTask({ id: `t${at}`, service: `s${at % 3}`, specHash: specHash('spec-0') })
        const id = world.nodes[node]?.id
        const after: Task | undefined =
          kind === 'remove'
            ? undefined
            : kind === 'assign' && base.nodeId === undefined
              ? { ...base, nodeId: id, state: TaskState.ASSIGNED }
              : kind === 'run' && base.nodeId !== undefined && base.state < TaskState.RUNNING
                ? { ...base, state: TaskState.RUNNING }
                : kind === 'stop'
                  ? { ...base, desiredState: TaskState.SHUTDOWN }
                  : kind === 'fail' && base.nodeId !== undefined
                    ? { ...base, state: TaskState.FAILED }
                    : base
        if (kind === 'reserve') {
          if (before !== undefined || placed.has(at)) continue
          index.place(base, index.entry(node))
          placed.set(at, { task: base, on: node })
          continue
        }
        if (kind === 'release') {
          for (const { task, on } of placed.values()) index.unplace(task, index.entry(on))
          placed.clear()
          continue
        }
        const own = placed.get(at)
        if (own !== undefined) index.unplace(own.task, index.entry(own.on))
        placed.delete(at)
        index.changeTask(before ?? base, after)
        if (after === undefined) tasks.delete(at)
        else tasks.set(at, after)
      }
      for (const { task, on } of placed.values()) index.unplace(task, index.entry(on))
      const fresh = ClusterIndex.from(sourceOf(world, [...tasks.values()]))
      return sameIndex(index, fresh)
    }),
    { numRuns: 500 },
  )
  t.pass('held')
})

function sameIndex(a: ClusterIndex, b: ClusterIndex): boolean {
  const facts = (index: ClusterIndex): string =>
    JSON.stringify([
      [...index.entries()].map((entry) => [
        entry.node.id,
        entry.open,
        entry.reservedNanoCpus,
        entry.reservedMemoryBytes,
        entry.activeTasks,
        [...(entry.hostPorts ?? [])],
      ]),
      ['s0', 's1', 's2'].map((id) =>
        [0, 1, 2, 3].map((at) => index.services.on(serviceId(id), at)),
      ),
    ])
  return facts(a) === facts(b)
}
