// Tasks, services and nodes get what they need, no address has two holders, and what is missing is said on the task.
import fc from 'fast-check'
import t from 'tap'
import {
  isTerminal,
  networkId,
  specHash,
  type Task,
  TaskState,
  taskId,
} from '../../../../proto/objects/index.ts'
import { AllocationWorld } from '../../../support/allocation-world.ts'
import { aNetwork, aNode, aService, aTask } from '../../../support/objects.ts'

const onNet = { networks: [{ target: 'net-1' }] }

/** One network of five addresses, and a service on it. */
function aWorld(facts: { readonly vip?: boolean } = {}): AllocationWorld {
  const world = new AllocationWorld()
  world.addSpec('spec-1', onNet)
  world.addNetwork(aNetwork({ name: 'back', subnets: ['10.0.1.0/29'] }))
  const endpointMode = facts.vip ? 'vip' : 'dnsrr'
  world.putService(aService({ task: onNet, endpointMode }))
  return world
}

function aNewTask(id: string, spec = 'spec-1'): Task {
  return aTask({ id, state: TaskState.NEW, specHash: spec })
}

function end(world: AllocationWorld, id: string, state: TaskState = TaskState.FAILED): void {
  const nodeId = aNode({}).id
  world.putTask({ ...world.task(id), nodeId, state, desiredState: TaskState.SHUTDOWN })
}

const addressOf = (world: AllocationWorld, id: string) =>
  world.task(id).attachments[0]?.addresses[0]

t.test('a task gets an address of each of its networks and goes on to the scheduler', async (t) => {
  const world = aWorld()
  world.addSpec('two', { networks: [{ target: 'net-1' }, { target: 'net-2' }] })
  world.addNetwork(aNetwork({ id: 'net-2', subnets: ['10.0.2.0/24', 'fd00:2::/64'] }))
  world.putTask(aNewTask('a', 'two'))
  world.settle()
  t.match(world.task('a'), {
    state: TaskState.PENDING,
    message: 'pending task scheduling',
    err: '',
    appliedAtMs: 1_000,
    attachments: [
      { networkId: 'net-1', addresses: ['10.0.1.2'] },
      { networkId: 'net-2', addresses: ['10.0.2.2', 'fd00:2::2'] },
    ],
  })
  t.equal(world.settle(), 0)
})

t.test('services have a VIP on each network with mode vip, none with dnsrr', async (t) => {
  const world = aWorld({ vip: true })
  world.settle()
  const service = [...world.services.values()][0] ?? t.fail('no service')
  t.match(service, { endpoint: { vips: [{ networkId: 'net-1', addresses: ['10.0.1.2'] }] } })
  if (typeof service !== 'object') return
  world.putService({ ...service, spec: { ...service.spec, endpointMode: 'dnsrr' } })
  world.settle()
  t.same([...world.services.values()][0]?.endpoint.vips, [])
  world.putService(service)
  world.dropService(service)
  t.equal(world.settle(), 0)
  t.equal(world.holders().size, 0)
})

t.test('ingress ports put service and tasks on the ingress network', async (t) => {
  const world = new AllocationWorld()
  const task = { ports: [{ mode: 'ingress' as const, targetPort: 80 }] }
  world.addSpec('web', task)
  world.putService(aService({ task }))
  world.putTask(aNewTask('a', 'web'))
  world.settle()
  t.match(world.task('a'), { state: TaskState.NEW, err: 'there is no ingress network' })
  world.addNetwork(aNetwork({ id: 'in', isIngress: true, subnets: ['10.0.0.0/24'] }))
  world.settle()
  t.match(world.task('a'), {
    state: TaskState.PENDING,
    err: '',
    attachments: [{ networkId: 'in' }],
  })
})

t.test(
  'an exhausted pool is an error on the task, and what is freed goes to who waits longest',
  async (t) => {
    const world = aWorld()
    for (const id of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) world.putTask(aNewTask(id))
    world.settle()
    t.match(world.task('f'), {
      state: TaskState.NEW,
      err: 'no free address on network "back": all 5 of 10.0.1.0/29 are in use',
      attachments: [],
    })
    const { err } = world.task('f')
    t.equal(world.settle(), 0, 'the error is written once')
    t.equal(world.task('g').err, err)
    const freed = addressOf(world, 'c')
    end(world, 'c')
    world.settle()
    t.match(world.task('f'), {
      state: TaskState.PENDING,
      err: '',
      attachments: [{ addresses: [freed] }],
    })
    t.match(world.task('g'), { state: TaskState.NEW })
    world.dropTask(world.task('g'))
    end(world, 'a')
    t.equal(world.settle(), 0, 'nobody waits any more')
  },
)

t.test('a freed address waits until every node let go of it', async (t) => {
  const world = aWorld()
  for (const id of ['a', 'b', 'c', 'd', 'e']) world.putTask(aNewTask(id))
  world.settle()
  end(world, 'b')
  world.acked.set('net-1', world.index - 1)
  world.putTask(aNewTask('f'))
  world.settle()
  t.match(world.task('f'), {
    state: TaskState.NEW,
    err: /were freed and are still known to a node/,
  })
  world.acked.set('net-1', world.index)
  world.settle()
  t.match(world.task('f'), { state: TaskState.PENDING, attachments: [{ addresses: ['10.0.1.3'] }] })
})

t.test('a task that is given up before it had a node gives its address back', async (t) => {
  const world = aWorld()
  world.putTask(aNewTask('a'))
  world.settle()
  world.putTask({ ...world.task('a'), desiredState: TaskState.SHUTDOWN })
  for (const id of ['b', 'c', 'd', 'e', 'f']) world.putTask(aNewTask(id))
  world.settle()
  t.equal(addressOf(world, 'f'), '10.0.1.2')
})

t.test('a service without a VIP holds its tasks back, and they say so', async (t) => {
  const world = aWorld()
  for (const id of ['a', 'b', 'c', 'd', 'e']) world.putTask(aNewTask(id))
  world.settle()
  world.putService(aService({ id: 'late', task: onNet }))
  world.putTask({ ...aNewTask('x'), serviceId: aService({ id: 'late' }).id })
  world.settle()
  t.match(world.task('x'), { state: TaskState.NEW, err: /no free address on network "back"/ })
  end(world, 'a')
  world.settle()
  t.match(world.task('x'), { state: TaskState.NEW }, 'the VIP took it')
  end(world, 'b')
  world.settle()
  t.match(world.task('x'), { state: TaskState.PENDING })
})

t.test('what is refused is planned again', async (t) => {
  const world = aWorld({ vip: true })
  world.putNode(aNode({ id: 'n' }))
  world.putTask(aNewTask('a'))
  let left = 3
  world.refuses = () => left-- > 0
  world.settle()
  t.match(world.task('a'), { state: TaskState.PENDING })
  t.match([...world.nodes.values()][0], { path: { transit: [/^100\.127\./, /^fd77:1::/] } })
  t.equal(world.holders().size, 2)
  t.ok([...world.holders().values()].every((who) => who.length === 1))
})

t.test(
  'a network that is removed leaves tasks that say so, and they wait for nothing else',
  async (t) => {
    const world = aWorld()
    for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) world.putTask(aNewTask(id))
    world.settle()
    world.dropNetwork('net-1')
    world.settle()
    t.match(world.task('f'), { state: TaskState.NEW, err: 'network net-1 does not exist' })
    world.addNetwork(aNetwork({ name: 'back', subnets: ['10.0.3.0/24'] }))
    world.settle()
    t.equal(addressOf(world, 'f'), '10.0.3.2')
  },
)

t.test('tasks without networks, and such without a spec, are none of its business', async (t) => {
  const world = aWorld()
  world.putTask(aTask({ id: 'plain', specHash: 'unknown' }))
  t.equal(world.settle(), 0)
  world.putTask(aNewTask('odd', 'unknown'))
  world.settle()
  t.match(world.task('odd'), { state: TaskState.PENDING, attachments: [] })
})

t.test('a new leader gives from behind the newest on, after all nodes followed it', async (t) => {
  const world = aWorld()
  for (const [i, id] of ['a', 'b', 'c'].entries()) {
    world.putTask({ ...aNewTask(id), createdAtMs: i })
    world.settle()
  }
  end(world, 'b')
  world.dropTask(world.task('b'))
  world.restart()
  world.acked.set('net-1', world.index - 1)
  world.putTask(aNewTask('d'))
  world.settle()
  t.match(world.task('d'), { state: TaskState.NEW })
  world.acked.delete('net-1')
  for (const id of ['e', 'f']) world.putTask(aNewTask(id))
  world.settle()
  t.same(
    ['d', 'e', 'f'].map((id) => addressOf(world, id)),
    ['10.0.1.5', '10.0.1.6', '10.0.1.3'],
  )
})

/** The task as it is after `network connect`. */
function asked(task: Task, wished: readonly string[] = [], network = 'net-2'): Task {
  const connection = { phase: 'asked' as const, aliases: [], wished, err: '' }
  const attachment = { networkId: networkId(network), addresses: [], connection }
  return { ...task, attachments: [...task.attachments, attachment] }
}

t.test(
  'a running task that is connected gets addresses, those it asks for if it does',
  async (t) => {
    const world = aWorld()
    world.addNetwork(
      aNetwork({ id: 'net-2', name: 'two', subnets: ['10.0.2.0/29', 'fd00:2::/64'] }),
    )
    const run = (id: string): Task => ({
      ...aNewTask(id),
      nodeId: aNode({}).id,
      state: TaskState.RUNNING,
    })
    world.putTask(asked(run('a'), ['10.0.2.5']))
    world.putTask(asked(run('b')))
    world.settle()
    const given = (id: string) => world.task(id).attachments[0]
    t.match(given('a'), { addresses: ['10.0.2.5', 'fd00:2::2'], connection: { phase: 'asked' } })
    t.match(given('b'), { addresses: ['10.0.2.2', 'fd00:2::3'] })
    world.putTask(asked(run('c'), ['10.0.2.5']))
    world.settle()
    t.match(given('c'), {
      addresses: [],
      connection: {
        phase: 'failed',
        err: 'address 10.0.2.5 of network "two" is in use: ask for another',
      },
    })
    end(world, 'a')
    world.acked.set('net-2', world.index - 1)
    world.putTask({ ...asked(run('c'), ['10.0.2.5']) })
    world.settle()
    t.match(given('c'), { connection: { phase: 'asked', err: /a node still knows it/ } })
    t.equal(world.settle(), 0, 'it waits, and said so once')
    world.acked.set('net-2', world.index)
    world.settle()
    t.match(given('c'), { addresses: ['10.0.2.5', /^fd00:2::/], connection: { err: '' } })
    for (const id of ['d', 'e', 'f', 'g']) world.putTask(asked(run(id)))
    world.settle()
    t.match(given('g'), {
      connection: { phase: 'failed', err: /no free address on network "two"/ },
    })
    world.dropNetwork('net-2')
    world.putTask(asked(run('h')))
    world.settle()
    t.match(given('h'), { connection: { phase: 'failed', err: 'network net-2 does not exist' } })
  },
)

t.test('one that is stopped before it got any gets none', async (t) => {
  const world = aWorld()
  world.addNetwork(aNetwork({ id: 'net-2', subnets: ['10.0.2.0/29'] }))
  const task = { ...aNewTask('a'), nodeId: aNode({}).id, state: TaskState.RUNNING }
  world.putTask(asked({ ...task, desiredState: TaskState.SHUTDOWN }))
  t.equal(world.settle(), 0)
  world.putTask(asked(task))
  world.restart()
  world.settle()
  t.match(world.task('a').attachments, [{ addresses: ['10.0.2.2'] }], 'a new leader goes on')
})

interface Step {
  readonly kind:
    | 'create'
    | 'run'
    | 'end'
    | 'drop'
    | 'ack'
    | 'restart'
    | 'service'
    | 'connect'
    | 'disconnect'
  readonly pick: number
}

t.test('whatever happens, no address has two holders, nor a new one before its time', async (t) => {
  const step: fc.Arbitrary<Step> = fc.record({
    kind: fc.constantFrom(
      ...(['create', 'create', 'run', 'end', 'drop', 'ack', 'restart', 'service'] as const),
      ...(['connect', 'disconnect'] as const),
    ),
    pick: fc.nat(50),
  })
  const property = fc.property(fc.array(step, { maxLength: 80 }), fc.nat(4), (steps, refusals) => {
    const world = aWorld({ vip: true })
    world.acked.set('net-1', 0)
    world.addSpec('plain', {})
    let plans = 0
    world.refuses = () => refusals > 0 && ++plans % (refusals + 1) === 0
    const freedAt = new Map<string, number>()
    let had = new Map<string, string>()
    for (const [i, { kind, pick }] of steps.entries()) {
      const live = [...world.tasks.values()].filter((task) => !isTerminal(task.state))
      const ended = [...world.tasks.values()].filter((task) => isTerminal(task.state))
      const one = live[pick % Math.max(1, live.length)]
      if (kind === 'create') world.putTask({ ...aNewTask(`t${i}`), createdAtMs: i })
      else if (kind === 'ack') world.acked.set('net-1', world.index)
      else if (kind === 'restart') world.restart()
      else if (kind === 'connect') {
        // Some ask for an address, be it free, somebody's, or freed a moment ago.
        const wished = pick % 2 === 0 ? [] : [`10.0.1.${2 + (pick % 5)}`]
        const task = { ...aNewTask(`c${i}`, 'plain'), nodeId: aNode({}).id, createdAtMs: i }
        world.putTask(asked({ ...task, state: TaskState.RUNNING }, wished, 'net-1'))
      } else if (kind === 'disconnect' && one?.attachments[0]?.connection !== undefined) {
        world.putTask({ ...one, attachments: [] })
      } else if (kind === 'service') {
        const service = aService({ id: `s${pick % 3}`, task: onNet })
        const known = world.services.get(service.id)
        if (known === undefined) world.putService(service)
        else world.dropService(known)
      } else if (kind === 'drop') {
        const gone = ended[pick % Math.max(1, ended.length)]
        if (gone !== undefined) world.dropTask(gone)
      } else if (one !== undefined && kind === 'run' && one.state === TaskState.PENDING) {
        world.putTask({ ...one, state: TaskState.RUNNING, nodeId: aNode({}).id })
      } else if (one !== undefined && kind === 'end') end(world, one.id)
      const now = new Map([...world.holders()].map(([key, who]) => [key, who.join()]))
      for (const [key] of had) if (!now.has(key)) freedAt.set(key, world.index)
      world.settle(pick % 3 === 0 ? 1 : 100)
      const holders = world.holders()
      for (const [key, who] of holders) {
        if (who.length > 1) return false
        const at = freedAt.get(key)
        if (at !== undefined && !now.has(key) && at > (world.acked.get('net-1') ?? 0)) return false
        if (at !== undefined && !now.has(key)) freedAt.delete(key)
      }
      had = new Map([...holders].map(([key, who]) => [key, who.join()]))
    }
    // With every node up to date nobody waits while there is a free address.
    world.refuses = () => false
    world.acked.set('net-1', world.index)
    world.settle()
    const waits = [...world.tasks.values()].some(
      ({ state, desiredState }) => state === TaskState.NEW && desiredState === TaskState.RUNNING,
    )
    return !waits || world.holders().size === 5
  })
  fc.assert(property, { numRuns: 300 })
  t.pass()
})

// What grew with the square of the tasks would not end within the time of a test.
t.test('100,000 tasks on a /16 use it up, and the rest are refused', async (t) => {
  const world = new AllocationWorld()
  world.addSpec('spec-1', onNet)
  world.addNetwork(aNetwork({ name: 'big', subnets: ['10.4.0.0/16'] }))
  const { allocator } = world
  const tasks = Array.from({ length: 100_000 }, (_, i) => aNewTask(`t${i}`))
  for (const task of tasks) world.tasks.set(taskId(task.id), task)
  const view = {
    nowMs: 1,
    task: (id: Task['id']) => world.tasks.get(id),
    service: () => undefined,
    node: () => undefined,
    taskSpec: () => world.specs.get(specHash('spec-1')),
    ackedIndex: () => 0,
    random: () => 0,
  }
  const started = process.cpuUsage()
  for (const task of tasks) allocator.changeTask(undefined, task, 1)
  let given = 0
  let failed = 0
  for (
    let plan = allocator.plan(view, 2_000);
    plan.length > 0;
    plan = allocator.plan(view, 2_000)
  ) {
    for (const one of plan) {
      if (one.kind !== 'task') continue
      const before = world.tasks.get(one.task.id)
      world.tasks.set(one.task.id, one.task)
      allocator.changeTask(before, one.task, 2)
      if (one.taken.length > 0) given += 1
      else failed += 1
    }
  }
  const { user, system } = process.cpuUsage(started)
  const ms = (user + system) / 1_000
  t.comment(`${given} given, ${failed} refused in ${ms.toFixed(0)} ms of CPU`)
  t.equal(given, 65_533)
  t.equal(failed, 100_000 - 65_533)
})
