// What nodes are told of networks: the views, the paths, and that changes on top of a view make the next view.
import fc from 'fast-check'
import t from 'tap'
import {
  type NetworkChange,
  networkChanges,
  pathChanges,
} from '../../../../manager/overlay/network-changes.ts'
import {
  dataPathPort,
  networkView,
  networkViews,
  nodePaths,
} from '../../../../manager/overlay/network-views.ts'
import { put } from '../../../../manager/store/row-codec.ts'
import { State, StateReader, type Write } from '../../../../manager/store/state.ts'
import type { Change } from '../../../../manager/store/store.ts'
import {
  type NetworkView,
  type NodePath,
  networkId,
  type Service,
  type Task,
  TaskState,
} from '../../../../proto/objects/index.ts'
import { mtuOption } from '../../../../proto/spec/network-spec.ts'
import {
  aCluster,
  aNetwork,
  aNode,
  aService,
  aSpecRecord,
  aTask,
  type ServiceFacts,
  type TaskSpecFacts,
} from '../../../support/objects.ts'

class World {
  readonly state = new State()
  readonly tx = new StateReader(this.state, () => 0)

  write(...writes: readonly Write[]): readonly Change[] {
    return this.state.apply([{ writes, request: undefined }], 1)
  }

  /** The service with its spec in its table. */
  service(facts: ServiceFacts & { readonly task: TaskSpecFacts }, hash: string): readonly Change[] {
    const service = aService({ ...facts, specHash: hash })
    return this.write(put('taskSpecs', aSpecRecord(hash, facts.task)), put('services', service))
  }
}

const gone = (table: 'tasks' | 'services' | 'networks' | 'nodes', id: string): Write => ({
  table,
  id,
  row: undefined,
})

const web: TaskSpecFacts = {
  networks: [{ target: 'back', aliases: ['www', 'front'] }],
  ports: [
    { mode: 'host', targetPort: 9, publishedPort: 9 },
    {
      mode: 'ingress',
      targetPort: 80,
      publishedPort: 8080,
      sources: ['10.0.0.0/8'],
      isLocalFirst: true,
    },
    {
      mode: 'ingress',
      targetPort: 53,
      protocol: 'udp',
      bindAddress: '127.0.0.1',
      isMasqueraded: true,
      isFirewallFirst: true,
    },
  ],
}

function aWorld(): World {
  const world = new World()
  world.write(
    put(
      'networks',
      aNetwork({ id: 'in', name: 'ingress', isIngress: true, subnets: ['10.0.0.0/24'] }),
    ),
    put(
      'networks',
      aNetwork({
        id: 'back',
        subnets: ['10.0.1.0/24', 'fd00:1::/64'],
        options: { [mtuOption]: '1400' },
      }),
    ),
  )
  world.service(
    {
      id: 'web',
      task: web,
      endpoint: {
        vips: [
          { networkId: networkId('back'), addresses: ['10.0.1.2', 'fd00:1::2'] },
          { networkId: networkId('in'), addresses: ['10.0.0.2'] },
        ],
        ports: [
          { protocol: 'tcp', targetPort: 80, publishedPort: 8080 },
          { protocol: 'udp', targetPort: 53, publishedPort: 30_000 },
        ],
      },
    },
    'h-web',
  )
  return world
}

const onBack = {
  service: 'web',
  specHash: 'h-web',
  attachments: { back: ['10.0.1.9', 'fd00:1::9'] },
}

t.test('a view holds the network, its services with VIPs and aliases, and its tasks', async (t) => {
  const world = aWorld()
  world.write(put('tasks', aTask({ id: 't1', node: 'n1', slot: 3, ...onBack })))
  t.same(networkView(world.tx, networkId('back')), {
    network: {
      id: 'back',
      name: 'back',
      vni: 1_048_576,
      subnets: ['10.0.1.0/24', 'fd00:1::/64'],
      mtu: 1400,
      isInternal: false,
      isIngress: false,
    },
    services: [
      {
        serviceId: 'web',
        name: 'web',
        aliases: ['www', 'front'],
        mode: 'vip',
        vips: ['10.0.1.2', 'fd00:1::2'],
        ports: [],
      },
    ],
    tasks: [
      {
        taskId: 't1',
        serviceId: 'web',
        nodeId: 'n1',
        slot: 3,
        addresses: ['10.0.1.9', 'fd00:1::9'],
        aliases: [],
        isServing: true,
      },
    ],
  })
  t.equal(networkView(world.tx, networkId('none')), undefined)
})

t.test(
  'of a bridge network the view is whole, and says that nodes share nothing of it',
  async (t) => {
    const world = new World()
    world.write(put('networks', aNetwork({ id: 'near', driver: 'bridge' })))
    world.service({ id: 'web', task: { networks: [{ target: 'near' }] } }, 'h-near')
    const on = (id: string, node: string, address: string): void => {
      const facts = { id, node, service: 'web', specHash: 'h-near' }
      world.write(put('tasks', aTask({ ...facts, attachments: { near: [address] } })))
    }
    on('t1', 'n1', '10.0.1.5')
    on('t2', 'n2', '10.0.1.6')
    const view = networkView(world.tx, networkId('near'))
    t.match(view?.network, { vni: 0, mtu: 1500, isLocal: true })
    t.same(
      view?.tasks.map((task) => task.taskId),
      ['t1', 't2'],
    )
    t.equal(networkView(aWorld().tx, networkId('back'))?.network.isLocal, undefined)
  },
)

t.test('published ports are on the ingress network, as they were given', async (t) => {
  const view = networkView(aWorld().tx, networkId('in'))
  t.match(view?.services, [{ vips: ['10.0.0.2'], aliases: [] }])
  t.same(view?.services[0]?.ports, [
    {
      ...{ protocol: 'tcp', targetPort: 80, publishedPort: 8080 },
      ...{ bindAddress: '', sources: ['10.0.0.0/8'], isMasqueraded: false, isLocalFirst: true },
      isFirewallFirst: false,
    },
    {
      ...{ protocol: 'udp', targetPort: 53, publishedPort: 30_000 },
      ...{ bindAddress: '127.0.0.1', sources: [], isMasqueraded: true, isLocalFirst: false },
      isFirewallFirst: true,
    },
  ])
})

t.test(
  'a task is there from its assignment to its end, and serves while it runs and is meant to',
  async (t) => {
    const world = aWorld()
    const seen = (facts: Partial<Task>): boolean | undefined => {
      world.write(put('tasks', { ...aTask({ id: 't1', node: 'n1', ...onBack }), ...facts }))
      return networkView(world.tx, networkId('back'))?.tasks[0]?.isServing
    }
    t.equal(seen({ nodeId: undefined, state: TaskState.PENDING }), undefined)
    t.equal(seen({ state: TaskState.ASSIGNED }), false)
    t.equal(seen({ state: TaskState.RUNNING }), true)
    t.equal(seen({ desiredState: TaskState.SHUTDOWN }), false)
    t.equal(seen({ state: TaskState.FAILED }), undefined)
    t.equal(seen({ attachments: [] }), undefined)
  },
)

t.test('tasks stay in view after their service left the network or is gone', async (t) => {
  const world = aWorld()
  world.write(put('tasks', aTask({ id: 't1', node: 'n1', ...onBack })))
  world.service({ id: 'web', task: {} }, 'h-plain')
  t.match(networkView(world.tx, networkId('back')), { services: [], tasks: [{ taskId: 't1' }] })
  world.write(gone('services', 'web'))
  t.match(networkView(world.tx, networkId('back')), { services: [], tasks: [{ taskId: 't1' }] })
})

t.test('in the middle of an update each task is reached at the port of its own spec', async (t) => {
  const world = aWorld()
  const on = (id: string, specHash: string): void => {
    const facts = { id, node: 'n1', service: 'web', specHash, attachments: { in: ['10.0.0.9'] } }
    world.write(put('tasks', aTask(facts)))
  }
  on('old', 'h-web')
  const ingress = { mode: 'ingress' as const, publishedPort: 8080 }
  const changes = networkChanges(
    world.tx,
    world.service(
      {
        id: 'web',
        task: { ports: [{ ...ingress, targetPort: 8080 }] },
        endpoint: {
          vips: [],
          ports: [{ protocol: 'tcp', targetPort: 8080, publishedPort: 8080 }],
        },
      },
      'h-new',
    ),
  )
  on('young', 'h-new')
  const targets = [{ protocol: 'tcp', publishedPort: 8080, bindAddress: '', targetPort: 80 }]
  t.match(changes, [{ networkId: 'back' }, { networkId: 'in', putTasks: [{ targets }] }])
  const view = networkView(world.tx, networkId('in'))
  t.same(
    view?.tasks.map((task) => task.targets),
    [targets, undefined],
  )
  const ended = networkChanges(world.tx, world.write(gone('services', 'web')))
  t.same(
    ended[0]?.putTasks.map((task) => [task.taskId, task.targets]),
    [['old', undefined]],
  )
})

t.test('paths are of the nodes that have one and an address', async (t) => {
  const world = new World()
  const told = aNode({ id: 'told', mark: 2 })
  const description = told.description && { ...told.description, dataPathAddress: '192.0.2.7' }
  const cluster = aCluster({})
  t.equal(dataPathPort(world.tx), 4789)
  world.write(
    put('cluster', { ...cluster, spec: { ...cluster.spec, dataPathPort: 5789 } }),
    put('nodes', aNode({ id: 'plain', address: '192.0.2.1', mark: 1 })),
    put('nodes', { ...told, description }),
    put('nodes', aNode({ id: 'new' })),
    put('nodes', aNode({ id: 'nowhere', address: '', mark: 3 })),
  )
  t.match(nodePaths(world.tx), [
    {
      nodeId: 'plain',
      dataPathAddress: '192.0.2.1',
      dataPathPort: 5789,
      mark: 1,
      transit: ['100.127.0.1', 'fd77:1::1'],
    },
    { nodeId: 'told', dataPathAddress: '192.0.2.7', mark: 2 },
  ])
  t.equal(nodePaths(world.tx).length, 2)
  const state = world.write(
    put('nodes', aNode({ id: 'plain', address: '192.0.2.1', mark: 1, state: 'down' })),
  )
  t.match(pathChanges(world.tx, state), { put: [{ nodeId: 'plain', isDown: true }], drop: [] })
  const asBefore = world.write(
    put('nodes', aNode({ id: 'plain', address: '192.0.2.1', mark: 1, state: 'down', version: 7 })),
  )
  t.equal(pathChanges(world.tx, asBefore), undefined)
  t.match(
    pathChanges(
      world.tx,
      world.write(put('nodes', aNode({ id: 'plain', address: '192.0.2.9', mark: 1 }))),
    ),
    {
      put: [{ nodeId: 'plain', dataPathAddress: '192.0.2.9' }],
      drop: [],
    },
  )
  t.same(pathChanges(world.tx, world.write(gone('nodes', 'plain'), gone('nodes', 'new'))), {
    put: [],
    drop: ['plain'],
  })
})

/** What a reader makes of the changes. */
function apply(views: Map<string, NetworkView>, changes: readonly NetworkChange[]): void {
  for (const change of changes) {
    views.delete(change.isRemoved ? change.networkId : '')
    const before = views.get(change.networkId)
    const network = change.network ?? before?.network
    if (change.isRemoved || network === undefined) continue
    const isNew = change.network !== undefined
    const services = new Map(
      (isNew ? [] : (before?.services ?? [])).map((one) => [one.serviceId, one]),
    )
    const tasks = new Map((isNew ? [] : (before?.tasks ?? [])).map((one) => [one.taskId, one]))
    for (const one of change.putServices) services.set(one.serviceId, one)
    for (const id of change.dropServices) services.delete(id)
    for (const one of change.putTasks) tasks.set(one.taskId, one)
    for (const id of change.dropTasks) tasks.delete(id)
    views.set(change.networkId, {
      network,
      services: [...services.values()].sort((a, b) => (a.serviceId < b.serviceId ? -1 : 1)),
      tasks: [...tasks.values()].sort((a, b) => (a.taskId < b.taskId ? -1 : 1)),
    })
  }
}

interface Step {
  readonly kind:
    | 'task'
    | 'endTask'
    | 'dropTask'
    | 'service'
    | 'dropService'
    | 'network'
    | 'dropNetwork'
  readonly pick: number
  readonly networks: readonly string[]
}

function serviceWrites(id: string, { pick, networks }: Step): readonly Write[] {
  const targetPort = 80 + (pick % 3)
  const ports =
    pick % 2 === 0 ? [] : [{ mode: 'ingress' as const, targetPort, publishedPort: 8080 }]
  const task = {
    networks: networks.map((target) => ({ target, aliases: [`alias${pick}`] })),
    ports,
  }
  const hash = `${networks.join('-')}.${pick}`
  const endpointMode = pick % 3 === 0 ? ('dnsrr' as const) : ('vip' as const)
  const vips = networks.map((one) => ({
    networkId: networkId(one),
    addresses: [`10.0.0.${pick + 2}`],
  }))
  const published = { protocol: 'tcp' as const, targetPort, publishedPort: 8080 }
  const endpoint = { vips, ports: ports.map(() => published) }
  const service: Service = aService({ id, task, specHash: hash, endpointMode, endpoint })
  return [put('taskSpecs', aSpecRecord(hash, task)), put('services', service)]
}

function writesOf(step: Step, world: World): readonly Write[] {
  const { pick } = step
  const task = `t${pick}`
  const known = world.tx.get('tasks', task)
  const [service] = world.tx.all('services')
  switch (step.kind) {
    case 'task': {
      if (known !== undefined) return [put('tasks', { ...known, state: TaskState.RUNNING })]
      if (service === undefined) return []
      const wished = service.spec.task.networks.map(({ target }) => [target, ['10.9.9.9']] as const)
      const attachments = Object.fromEntries(wished)
      const facts = { id: task, service: service.id, specHash: service.specHash, attachments }
      return [put('tasks', aTask({ ...facts, node: 'n1', state: TaskState.ASSIGNED }))]
    }
    case 'endTask':
      return known === undefined ? [] : [put('tasks', { ...known, state: TaskState.FAILED })]
    case 'dropTask':
      return [gone('tasks', task)]
    case 'service':
      return serviceWrites(`s${pick % 3}`, step)
    case 'dropService':
      return [gone('services', `s${pick % 3}`)]
    case 'network': {
      const id = step.networks[0] ?? 'a'
      if (world.tx.get('networks', id) !== undefined) return []
      return [put('networks', aNetwork({ id, isIngress: id === 'a' }))]
    }
    case 'dropNetwork': {
      // As the managers do: not while something is on it.
      const id = step.networks[0] ?? 'a'
      const view = networkView(world.tx, networkId(id))
      const isUsed = view !== undefined && view.services.length + view.tasks.length > 0
      return isUsed ? [] : [gone('networks', id)]
    }
  }
}

t.test('changes on top of a view make the next view', async (t) => {
  const step: fc.Arbitrary<Step> = fc.record({
    kind: fc.constantFrom(
      'task',
      'task',
      'endTask',
      'dropTask',
      'service',
      'service',
      'dropService',
      'network',
      'network',
      'dropNetwork',
    ),
    pick: fc.nat(7),
    networks: fc.subarray(['a', 'b', 'c']),
  })
  const property = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const world = new World()
    const views = new Map<string, NetworkView>()
    for (const one of steps) {
      // Only what exists may be named, as the managers see to it.
      const networks = one.networks.filter(
        (id) => one.kind.endsWith('etwork') || world.tx.get('networks', id) !== undefined,
      )
      apply(views, networkChanges(world.tx, world.write(...writesOf({ ...one, networks }, world))))
      const whole = new Map(networkViews(world.tx).map((view) => [view.network.id as string, view]))
      t.same(new Map([...views].sort()), new Map([...whole].sort()))
      for (const [id, view] of whole) t.same(networkView(world.tx, networkId(id)), view)
    }
  })
  fc.assert(property, { numRuns: 100 })
})

t.test('what changes nothing in a view is not told', async (t) => {
  const world = aWorld()
  const task = aTask({ id: 't1', node: 'n1', ...onBack })
  t.match(networkChanges(world.tx, world.write(put('tasks', task))), [
    {
      networkId: 'back',
      network: undefined,
      putTasks: [{ taskId: 't1' }],
      putServices: [],
      dropTasks: [],
    },
  ])
  t.same(networkChanges(world.tx, world.write(put('tasks', { ...task, pid: 7, message: 'x' }))), [])
  t.same(
    networkChanges(world.tx, world.write(put('tasks', aTask({ id: 'plain', node: 'n1' })))),
    [],
  )
  const paths: readonly NodePath[] = nodePaths(world.tx)
  t.same(paths, [])
})
