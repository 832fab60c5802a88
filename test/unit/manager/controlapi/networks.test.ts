// Networks through the control API, and services on them: what is made, refused, counted and removed.
import t from 'tap'
import { networkSpecToProto } from '../../../../proto/codec/network.ts'
import type { GetNetworkResponse } from '../../../../proto/gen/tsswarm/v1/control.ts'
import { TaskState } from '../../../../proto/objects/index.ts'
import { networkSpec } from '../../../../proto/spec/network-spec.ts'
import {
  aControlWorld,
  addTask,
  aRequestId,
  type ControlWorld,
  createService,
  type ServiceWish,
  specOf,
} from '../../../support/control.ts'
import { aNetwork, aTask } from '../../../support/objects.ts'

async function create(w: ControlWorld, spec: object, requestId = aRequestId()) {
  const proto = networkSpecToProto(networkSpec.parse(spec))
  const { network } = await w.api.createNetwork(w.caller, { requestId, spec: proto }, w.signal)
  if (network === undefined) throw new Error('no network')
  return network
}

const get = async (w: ControlWorld, reference: string): Promise<GetNetworkResponse> =>
  await w.api.getNetwork(w.caller, { verbose: true, reference }, w.signal)

async function names(w: ControlWorld, ...filters: readonly (readonly [string, ...string[]])[]) {
  const all: string[] = []
  const wanted = filters.map(([key, ...values]) => ({ key, values }))
  for await (const { networks } of w.api.listNetworks(w.caller, { filters: wanted }, w.signal)) {
    all.push(...networks.map(({ spec }) => spec?.name ?? ''))
  }
  return all
}

const remove = async (w: ControlWorld, reference: string) =>
  await w.api.removeNetwork(w.caller, { requestId: aRequestId(), reference }, w.signal)

async function withIngress(w: ControlWorld): Promise<void> {
  const ingress = aNetwork({ id: 'in', name: 'ingress', isIngress: true, subnets: ['10.0.0.0/24'] })
  await w.store.update((tx) => tx.create('networks', ingress))
}

const onBack: ServiceWish = { name: 'web', task: { networks: [{ target: 'back' }] } }
const published = (port: number, name = 'web'): ServiceWish => ({
  name,
  task: { ports: [{ targetPort: 80, publishedPort: port }] },
})

async function update(w: ControlWorld, id: string, wish: ServiceWish) {
  const version = w.store.view((tx) => tx.get('services', id))?.version ?? 0
  const request = {
    requestId: aRequestId(),
    serviceId: id,
    version,
    spec: specOf(wish),
    rollback: false,
  }
  return (await w.api.updateService(w.caller, request, w.signal)).service
}

t.test('a network is made with subnets and an identifier, once a request', async (t) => {
  const w = await aControlWorld()
  const requestId = aRequestId()
  const first = await create(w, { name: 'back', labels: { a: '1' } }, requestId)
  t.match(first, {
    spec: { name: 'back' },
    subnets: [{ subnet: '10.0.0.0/24', gateway: '10.0.0.1' }],
  })
  t.equal((await create(w, { name: 'back' }, requestId)).id, first.id)
  const second = await create(w, { name: 'front', subnets: [{ subnet: '10.9.0.0/16' }] })
  t.not(second.vni, first.vni)
  t.match(await get(w, 'BACK'), {
    network: { id: first.id },
    pools: [{ subnet: '10.0.0.0/24', used: 0, size: 253 }],
    services: [],
    tasks: 0,
  })
  t.equal((await get(w, second.id.slice(0, 20))).network?.id, second.id)
})

t.test('what cannot be is refused, and says what to do', async (t) => {
  const w = await aControlWorld()
  await create(w, { name: 'back', subnets: [{ subnet: '10.5.0.0/16' }] })
  await t.rejects(create(w, { name: 'Back' }), {
    code: 'NAME_CONFLICT',
    message:
      /network with name Back already exists \("back": names must differ by more than case\)/,
  })
  await t.rejects(create(w, { name: 'x', subnets: [{ subnet: '10.5.7.0/24' }] }), {
    code: 'INVALID_ARGUMENT',
    message:
      /^network "x" is not valid: subnets\[0\]\.subnet \("10\.5\.7\.0\/24"\) overlaps with 10\.5\.0\.0\/16 of network "back"/,
  })
  await withIngress(w)
  await t.rejects(create(w, { name: 'in2', isIngress: true }), {
    message: /there is one: remove it first/,
  })
  await t.rejects(get(w, 'absent'), {
    code: 'NOT_FOUND',
    message: /network "absent" not found: "tsswarm network ls"/,
  })
  await t.rejects(remove(w, 'absent'), { code: 'NOT_FOUND' })
  await t.rejects(create(w, { name: 'Bridge' }), {
    code: 'NAME_CONFLICT',
    message: /already exists/,
  })
  await t.rejects(remove(w, 'host'), {
    code: 'FAILED_PRECONDITION',
    message: /host is a pre-defined network and cannot be removed/,
  })
  const bad = {
    requestId: aRequestId(),
    spec: { ...networkSpecToProto(networkSpec.parse({ name: 'y' })), driver: 'host' },
  }
  await t.rejects(w.api.createNetwork(w.caller, bad, w.signal), {
    code: 'INVALID_ARGUMENT',
    message:
      /network "y" is not valid: driver \("host"\) makes no further networks: every node has one/,
  })
})

t.test(
  'a network of the driver bridge is made, listed, used and removed as others are',
  async (t) => {
    const w = await aControlWorld()
    const near = await create(w, { name: 'near', driver: 'bridge', labels: { tier: 'n' } })
    t.match(near, { vni: 0, spec: { driver: 'bridge' }, subnets: [{ subnet: '10.0.0.0/24' }] })
    await create(w, { name: 'back' })
    t.same(await names(w, ['driver', 'bridge']), ['bridge', 'near'])
    t.same(await names(w, ['scope', 'local'], ['type', 'custom']), ['near'])
    t.same(await names(w, ['dangling', 'true']), ['near', 'back'], 'nothing is on it')
    const web = await createService(w, {
      name: 'web',
      task: { networks: [{ target: 'near' }, { target: 'back' }] },
    })
    t.same(
      w.store.view((tx) => tx.get('services', web.id))?.spec.task.networks,
      [
        { target: near.id, aliases: [], driverOptions: {}, isLocal: true },
        { target: (await get(w, 'back')).network?.id, aliases: [], driverOptions: {} },
      ],
      'nodes and managers see by the spec that one is local',
    )
    const lies: ServiceWish = {
      name: 'web',
      task: { networks: [{ target: 'back', isLocal: true }] },
    }
    await update(w, web.id, lies)
    const [use] = w.store.view((tx) => tx.get('services', web.id))?.spec.task.networks ?? []
    t.equal(use?.isLocal, undefined, 'whatever the spec says of it')
    t.equal((await remove(w, 'near')).networkId, near.id)
    t.same(await names(w, ['driver', 'bridge']), ['bridge'])
  },
)

t.test('filters', async (t) => {
  const w = await aControlWorld()
  await create(w, { name: 'back', labels: { tier: 'b' } })
  await create(w, { name: 'frontend' })
  await createService(w, onBack)
  t.same(await names(w), ['bridge', 'host', 'none', 'back', 'frontend'])
  t.same(await names(w, ['type', 'builtin'], ['driver', 'null']), ['none'])
  t.same(await names(w, ['name', 'end']), ['frontend'])
  t.same(await names(w, ['label', 'tier=b']), ['back'])
  t.same(await names(w, ['driver', 'overlay'], ['scope', 'swarm'], ['type', 'custom']), [
    'back',
    'frontend',
  ])
  t.same(await names(w, ['scope', 'local']), ['bridge', 'host', 'none'])
  t.same(await names(w, ['dangling', 'true']), ['frontend'])
  t.same(await names(w, ['dangling', 'false'], ['scope', 'swarm']), ['back'])
  await t.rejects(names(w, ['x', 'y']), { message: /networks are filtered by id, name, label/ })
  await t.rejects(names(w, ['type', 'odd']), { message: /must be one of custom, builtin/ })
})

t.test('a network in use is not removed, nor pruned', async (t) => {
  const w = await aControlWorld()
  const back = await create(w, { name: 'back' })
  await create(w, { name: 'old', labels: { keep: '1' } })
  await create(w, { name: 'older' })
  await withIngress(w)
  const web = await createService(w, onBack)
  await t.rejects(remove(w, 'back'), {
    code: 'IN_USE',
    message:
      'network "back" is in use by service "web": remove, update or disconnect what uses it first',
  })
  const facts = {
    id: 'T1',
    service: web.id,
    specHash: web.specHash,
    node: 'n',
    attachments: { [back.id]: ['10.0.0.9'] },
  }
  const task = await addTask(w, aTask(facts))
  await w.store.update((tx) => tx.remove('services', web.id))
  await t.rejects(remove(w, 'back'), { message: /in use by task .*\.1, which has not stopped yet/ })
  const prune = async (...filters: readonly (readonly [string, string])[]) => {
    const wanted = filters.map(([key, value]) => ({ key, values: [value] }))
    return (
      await w.api.pruneNetworks(w.caller, { requestId: aRequestId(), filters: wanted }, w.signal)
    ).names
  }
  t.same(await prune(['label!', 'keep']), ['older'])
  t.same(await prune(['label', 'keep=2']), [])
  await t.rejects(prune(['until', '1h']), {
    message: /"until=1h": the value must be a number of ms/,
  })
  await t.rejects(prune(['x', '1']), { message: /filtered by label, label!, until/ })
  t.same(await prune(['until', '0']), [])
  t.same(await prune(), ['old'])
  await w.store.update((tx) => tx.update('tasks', { ...task, state: TaskState.SHUTDOWN }))
  t.equal((await remove(w, 'back')).networkId, back.id)
  t.same(await names(w, ['type', 'custom']), ['ingress'])
})

t.test('a network tells how full it is', async (t) => {
  const w = await aControlWorld()
  const back = await create(w, {
    name: 'back',
    subnets: [{ subnet: '10.5.0.0/28' }, { subnet: 'fd00:5::/64' }],
  })
  const web = await createService(w, onBack)
  const vips = [{ networkId: back.id as never, addresses: ['10.5.0.2', 'fd00:5::2'] }]
  await w.store.update((tx) => {
    const service = tx.get('services', web.id)
    if (service !== undefined) tx.update('services', { ...service, endpoint: { vips, ports: [] } })
    const facts = {
      service: web.id,
      specHash: web.specHash,
      attachments: { [back.id]: ['10.5.0.3', 'fd00:5::3'] },
    }
    tx.create('tasks', aTask({ ...facts, id: 'T1', node: 'n' }))
    tx.create('tasks', aTask({ ...facts, id: 'T2', node: 'n', state: TaskState.FAILED }))
  })
  t.match(await get(w, 'back'), {
    pools: [
      { subnet: '10.5.0.0/28', used: 2, size: 13 },
      { subnet: 'fd00:5::/64', used: 2 },
    ],
    services: [{ serviceId: web.id, serviceName: 'web', vips: ['10.5.0.2', 'fd00:5::2'] }],
    tasks: 1,
  })
})

t.test('nothing is made before all managers know of networks', async (t) => {
  const w = await aControlWorld()
  const cluster = w.store.view((tx) => [...tx.all('cluster')][0])
  t.ok(cluster)
  // A cluster of an older program: its level cannot be lowered, so it is made anew.
  await w.store.update((tx) => {
    if (cluster === undefined) return
    tx.remove('cluster', cluster.id)
    tx.create('cluster', { ...cluster, featureLevel: 1 })
  })
  const refusal = {
    code: 'FAILED_PRECONDITION',
    message: /feature level 1, and such networks came with 2.*Upgrade/,
  }
  await t.rejects(create(w, { name: 'back' }), refusal)
  await t.rejects(createService(w, published(80)), refusal)
  t.ok(await createService(w, { name: 'plain' }))
  const onHost = { name: 'h', task: { networks: [{ target: 'host' }] } }
  await t.rejects(createService(w, onHost), { message: /such networks came with 3/ })
})

t.test('services on the networks that each node has for itself', async (t) => {
  const w = await aControlWorld()
  await create(w, { name: 'back' })
  const wish = (target: string, more: object = {}): ServiceWish => ({
    name: `on-${target}`,
    task: { networks: [{ target }], ...more },
  })
  for (const target of ['bridge', 'host', 'none']) {
    const service = await createService(w, wish(target))
    t.match(service, { spec: { task: { networks: [{ target }] } }, endpoint: undefined })
  }
  const port = (more: object): object => ({ ports: [{ targetPort: 80, ...more }] })
  const host = { mode: 'host' }
  const refused: readonly (readonly [ServiceWish, RegExp])[] = [
    [wish('host', port({})), /task\.ports\[0\] is published on every node.* on network "host"/],
    [wish('host', port({ ...host, publishedPort: 81 })), /as 81, .*publish 80 as itself/],
    [wish('none', port(host)), /cannot be on network "none": leave it out/],
    [wish('x', { networks: [{ target: 'host' }, { target: 'back' }] }), /goes with no other/],
    [wish('x', { networks: [{ target: 'bridge', aliases: ['b'] }] }), /has aliases/],
  ]
  for (const [bad, message] of refused) {
    await t.rejects(createService(w, bad), { code: 'INVALID_ARGUMENT', message })
  }
  const both = { networks: [{ target: 'bridge' }, { target: 'back' }] }
  t.ok(await createService(w, { name: 'both', task: both }))
  const same = port({ ...host, publishedPort: 80 })
  t.ok(await createService(w, { ...wish('host', same), name: 'same' }))
})

t.test('services are on networks by id, however they were named', async (t) => {
  const w = await aControlWorld()
  const back = await create(w, { name: 'back' })
  const web = await createService(w, onBack)
  t.match(web.spec?.task?.networks, [{ target: back.id, aliases: [] }])
  const same = await update(w, web.id, { name: 'web', task: { networks: [{ target: back.id }] } })
  t.equal(same?.specHash, web.specHash)
  t.equal(same?.specVersion, web.specVersion)
  await t.rejects(createService(w, { name: 'x', task: { networks: [{ target: 'absent' }] } }), {
    code: 'NOT_FOUND',
  })
  const twice = [{ target: 'back' }, { target: back.id }]
  await t.rejects(createService(w, { name: 'x', task: { networks: twice } }), {
    message: /service "x" is not valid: task\.networks names "back" twice/,
  })
  await withIngress(w)
  await t.rejects(createService(w, { name: 'x', task: { networks: [{ target: 'ingress' }] } }), {
    message: /names the ingress network "ingress": publish a port instead/,
  })
})

t.test('an IPv6 address in the mesh needs an ingress network with IPv6', async (t) => {
  const at = (bindAddress: string, more: object = {}): ServiceWish => ({
    name: 'six',
    task: { ports: [{ targetPort: 80, publishedPort: 8080, bindAddress, ...more }] },
  })
  const w = await aControlWorld()
  await withIngress(w)
  for (const bindAddress of ['::', 'fd99::5']) {
    await t.rejects(createService(w, at(bindAddress)), {
      code: 'INVALID_ARGUMENT',
      message:
        /service "six" is not valid: task\.ports\[0\]\.bindAddress \(".*"\) is of IPv6, and the ingress network "ingress" has none: .*network create --ingress --ipv6/,
    })
  }
  t.ok(await createService(w, at('::1')), 'the daemon hands over what comes there')
  t.ok(await createService(w, { ...at('fd99::5', { mode: 'host' }), name: 'host' }))
  const dual = await aControlWorld()
  const subnets = ['10.0.0.0/24', 'fd01::/64']
  const ingress = aNetwork({ id: 'in', name: 'ingress', isIngress: true, subnets })
  await dual.store.update((tx) => tx.create('networks', ingress))
  t.ok(await createService(dual, at('fd99::5')))
})

t.test('published ports are given at once, stay, and belong to one service', async (t) => {
  const w = await aControlWorld()
  await t.rejects(createService(w, published(8080)), {
    message: /there is no ingress network: make one/,
  })
  await withIngress(w)
  const web = await createService(w, {
    name: 'web',
    task: { ports: [{ targetPort: 80 }, { targetPort: 81, publishedPort: 8081 }] },
  })
  t.match(web.endpoint?.ports, [
    { targetPort: 80, publishedPort: 30_000 },
    { targetPort: 81, publishedPort: 8081 },
  ])
  await t.rejects(createService(w, published(8081, 'other')), {
    code: 'IN_USE',
    message:
      'service "other" is not valid: task.ports[0].publishedPort (8081/tcp) is published by service "web" on every node: choose another port, or bind both to different addresses',
  })
  const other = await createService(w, published(0, 'other'))
  t.match(other.endpoint?.ports, [{ publishedPort: 30_001 }])
  const updated = await update(w, web.id, {
    name: 'web',
    task: { ports: [{ targetPort: 90 }, { targetPort: 80 }], forceUpdate: 1 },
  })
  t.match(updated?.endpoint?.ports, [
    { targetPort: 90, publishedPort: 30_002 },
    { targetPort: 80, publishedPort: 30_000 },
  ])
  t.equal((await update(w, web.id, { name: 'web' }))?.endpoint, undefined)
})

t.test('an update keeps what the allocator gave', async (t) => {
  const w = await aControlWorld()
  const back = await create(w, { name: 'back' })
  const web = await createService(w, onBack)
  const vips = [{ networkId: back.id as never, addresses: ['10.0.0.2'] }]
  await w.store.update((tx) => {
    const service = tx.get('services', web.id)
    if (service !== undefined) tx.update('services', { ...service, endpoint: { vips, ports: [] } })
  })
  const updated = await update(w, web.id, { ...onBack, task: { ...onBack.task, forceUpdate: 1 } })
  t.match(updated?.endpoint?.vips, vips)
})

t.test('what does not go together is refused', async (t) => {
  const w = await aControlWorld()
  await withIngress(w)
  const refused: readonly (readonly [Omit<ServiceWish, 'name'>, RegExp])[] = [
    [
      { endpointMode: 'dnsrr', task: { ports: [{ targetPort: 80 }] } },
      /ingress, which has no address with endpoint mode dnsrr/,
    ],
    [{ task: { ports: [{ mode: 'host', protocol: 'sctp', targetPort: 80 }] } }, /protocol is sctp/],
    [
      { task: { ports: [{ protocol: 'sctp', targetPort: 80, bindAddress: '0::1' }] } },
      /bindAddress \("::1"\) has no sctp/,
    ],
    [
      {
        task: {
          ports: [{ mode: 'host', targetPort: 80, publishedPort: 80, sources: ['10.0.0.0/8'] }],
          networks: [{ target: 'host' }],
        },
      },
      /has source ranges, which cannot be on network "host"/,
    ],
    [
      { task: { ports: [{ mode: 'host', targetPort: 80, isMasqueraded: true }] } },
      /isMasqueraded is for mode=ingress/,
    ],
    [
      { task: { ports: [{ mode: 'host', targetPort: 80, isLocalFirst: true }] } },
      /isLocalFirst is for mode=ingress/,
    ],
    [{ task: { networks: [{ target: 'a' }, { target: 'a' }] } }, /task\.networks name "a" twice/],
  ]
  for (const [wish, message] of refused) {
    await t.rejects(createService(w, { name: 'web', ...wish }), {
      code: 'INVALID_ARGUMENT',
      message,
    })
  }
  t.ok(
    await createService(w, {
      name: 'web',
      endpointMode: 'dnsrr',
      task: { ports: [{ mode: 'host', targetPort: 80 }] },
    }),
  )
})

t.test('address pools and the data path port stay as the cluster was made with', async (t) => {
  const w = await aControlWorld()
  const { cluster } = await w.api.getCluster(w.caller, {}, w.signal)
  const change = async (spec: object) =>
    await w.api.updateCluster(
      w.caller,
      {
        requestId: aRequestId(),
        version: cluster?.meta?.version ?? 0,
        spec: cluster?.spec && { ...cluster.spec, ...spec },
      },
      w.signal,
    )
  await t.rejects(change({ defaultAddressPools: ['10.9.0.0/16'] }), {
    code: 'INVALID_ARGUMENT',
    message: /defaultAddressPools cannot change from 10\.0\.0\.0\/8 to 10\.9\.0\.0\/16.*swarm init/,
  })
  await t.rejects(change({ dataPathPort: 5000 }), { message: /dataPathPort cannot change/ })
  await t.rejects(change({ subnetSize: 25 }), { message: /subnetSize cannot change/ })
  t.ok(await change({ taskHistoryLimit: 9 }))
})
