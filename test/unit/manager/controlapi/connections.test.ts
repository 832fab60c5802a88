// Connecting running tasks to networks: what is written, and what is refused with which words.
import t from 'tap'
import { networkSpecToProto } from '../../../../proto/codec/network.ts'
import type { ConnectNetworkRequest } from '../../../../proto/gen/tsswarm/v1/control.ts'
import {
  connectionsLevel,
  localNetworksLevel,
  type Task,
  TaskState,
} from '../../../../proto/objects/index.ts'
import { networkSpec } from '../../../../proto/spec/network-spec.ts'
import {
  aControlWorld,
  addNode,
  addTask,
  aRequestId,
  type ControlWorld,
  createService,
} from '../../../support/control.ts'
import { aNetwork, aTask } from '../../../support/objects.ts'

interface World {
  readonly w: ControlWorld
  readonly ids: Readonly<Record<string, string>>
  task(): Task
  connect(network: string, more?: Partial<ConnectNetworkRequest>): Promise<unknown>
  disconnect(
    network: string,
    more?: { readonly task?: string; readonly force?: boolean },
  ): Promise<unknown>
  put(change: Partial<Task>): Promise<void>
}

/** Service web on network front, with one running task T1, and networks that are attachable or not. */
async function aWorld(): Promise<World> {
  const w = await aControlWorld()
  await addNode(w, { id: 'n1', hostname: 'host1' })
  const ids: Record<string, string> = {}
  const attachable = { isAttachable: true }
  for (const spec of [
    { name: 'front' },
    {
      name: 'back',
      ...attachable,
      subnets: [{ subnet: '10.5.0.0/28' }, { subnet: 'fd00:5::/64' }],
    },
    { name: 'flat', ...attachable, subnets: [{ subnet: '10.6.0.0/24', ipRange: '10.6.0.8/29' }] },
    { name: 'closed' },
    { name: 'near', driver: 'bridge', ...attachable },
  ]) {
    const request = { requestId: aRequestId(), spec: networkSpecToProto(networkSpec.parse(spec)) }
    const { network } = await w.api.createNetwork(w.caller, request, w.signal)
    ids[spec.name] = network?.id ?? ''
  }
  const ingress = aNetwork({ id: 'in', name: 'ingress', isIngress: true, subnets: ['10.0.0.0/24'] })
  await w.store.update((tx) => tx.create('networks', ingress))
  const web = await createService(w, { name: 'web', task: { networks: [{ target: 'front' }] } })
  await addTask(
    w,
    aTask({
      ...{
        id: 'T1',
        service: web.id,
        specHash: web.specHash,
        node: 'n1',
        state: TaskState.RUNNING,
      },
      attachments: { [ids['front'] ?? '']: ['10.1.0.2'] },
    }),
  )
  const task = (): Task => {
    const found = w.store.view((tx) => [...tx.all('tasks')].find(({ id }) => id === 'T1'))
    if (found === undefined) throw new Error('no task')
    return found
  }
  return {
    w,
    ids,
    task,
    connect: (network, more = {}) => {
      const request = {
        requestId: aRequestId(),
        network,
        task: 'web.1',
        addresses: [],
        aliases: [],
      }
      return w.api.connectNetwork(w.caller, { ...request, ...more }, w.signal)
    },
    disconnect: (network, more = {}) => {
      const request = { requestId: aRequestId(), network, task: 'web.1', force: false, ...more }
      return w.api.disconnectNetwork(w.caller, request, w.signal)
    },
    put: async (change) => {
      await w.store.update((tx) => tx.update('tasks', { ...task(), ...change }))
    },
  }
}

t.test('a task is connected by name, with addresses and names of its own', async (t) => {
  const { ids, task, connect } = await aWorld()
  const requestId = aRequestId()
  const more = { addresses: ['10.5.0.9', 'fd00:5:0::9'], aliases: ['debug'], requestId }
  const answer = { networkId: ids['back'], taskId: 'T1' }
  t.match(await connect('back', more), answer)
  const { attachments, version } = task()
  t.match(attachments, [
    { networkId: ids['front'] },
    {
      networkId: ids['back'],
      addresses: [],
      connection: {
        phase: 'asked',
        wished: ['10.5.0.9', 'fd00:5::9'],
        aliases: ['debug', 'web.1', 'web.1.T1'],
        err: '',
      },
    },
  ])
  t.match(await connect('back', more), answer, 'a repeat is answered with the same')
  t.equal(task().version, version)
  t.match(await connect('flat', { task: 'T', addresses: ['10.6.0.200'] }), { taskId: 'T1' })
})

t.test('what cannot be connected is refused with reason and remedy', async (t) => {
  const { connect, put, task, w } = await aWorld()
  const refused = async (
    network: string,
    message: string | RegExp,
    more: Partial<ConnectNetworkRequest> = {},
  ): Promise<void> => {
    await t.rejects(connect(network, more), { message }, network)
  }
  await refused('absent', /network "absent" not found/)
  await refused('back', /task "web.9" not found/, { task: 'web.9' })
  await refused(
    'closed',
    'task "web.1" cannot be connected to network "closed": network "closed" is not attachable. Make one with ' +
      '"tsswarm network create --attachable NAME"',
  )
  await refused('front', /is not attachable/)
  await refused('ingress', /it is the ingress network/)
  for (const name of ['host', 'none', 'bridge']) await refused(name, /it is predefined/)
  const address = async (text: string, message: RegExp): Promise<void> => {
    await refused('back', message, { addresses: [text] })
  }
  await address('10.5.0', /address \("10\.5\.0"\) is no IP address/)
  await address('10.5.1.9', /\("10\.5\.1\.9"\) lies outside of 10\.5\.0\.0\/28: ask for one/)
  await address('10.5.0.0', /is the address of 10\.5\.0\.0\/28 itself/)
  await address('10.5.0.15', /is the last of 10\.5\.0\.0\/28, which is nobody's/)
  await address(
    '10.5.0.1',
    /\("10\.5\.0\.1"\) is the gateway's: ask for another of 10\.5\.0\.0\/28/,
  )
  await refused('flat', /has no IPv6 subnet/, { addresses: ['fd00:5::9'] })
  await refused('back', /is a second one of IPv4/, { addresses: ['10.5.0.3', '10.5.0.4'] })
  await refused('back', /alias \("-x"\) must be 1 to 63 letters/, { aliases: ['-x'] })
  await refused('back', /alias is given 65 times/, { aliases: new Array(65).fill('a') })
  await connect('back')
  await refused('back', /it is connected to it already/)
  await put({ desiredState: TaskState.SHUTDOWN })
  await refused('flat', /it is being stopped, and only a running task can be/)
  await put({ desiredState: TaskState.RUNNING, state: TaskState.PREPARING })
  await refused('flat', /it is preparing, and only a running task/)
  await put({ state: TaskState.RUNNING })
  const many = Array.from({ length: 64 }, (_, i) => ({
    networkId: `x${i}` as never,
    addresses: [],
  }))
  const { attachments } = task()
  await put({ attachments: many })
  await refused('flat', /it is on 64 networks, and no task on more/)
  await put({ attachments })
  const ofLevel = (featureLevel: number): Promise<void> =>
    w.store.update((tx) => {
      for (const node of tx.find('nodes', 'byName', 'host1')) {
        const { description } = node
        const old = description && { ...description, featureLevel }
        tx.update('nodes', { ...node, description: old })
      }
    })
  await ofLevel(localNetworksLevel - 1)
  const unknown =
    /its node host1 \(n1.*\) runs a version that knows nothing of networks of the driver bridge/
  await refused('near', unknown)
  await ofLevel(connectionsLevel - 1)
  await refused('flat', /its node host1 \(n1.*\) runs a version that knows nothing of it/)
})

t.test('an address that somebody has is refused, and who has it is said', async (t) => {
  const { w, ids, connect } = await aWorld()
  const db = await createService(w, { name: 'db', task: { networks: [{ target: 'back' }] } })
  const back = ids['back'] ?? ''
  const facts = { id: 'D1', service: db.id, specHash: db.specHash, node: 'n1' }
  await addTask(w, aTask({ ...facts, attachments: { [back]: ['10.5.0.3', 'fd00:5::3'] } }))
  await w.store.update((tx) => {
    const service = tx.get('services', db.id)
    const vips = [{ networkId: back as never, addresses: ['10.5.0.2', 'fd00:5::2'] }]
    if (service !== undefined) tx.update('services', { ...service, endpoint: { vips, ports: [] } })
  })
  const wish = (address: string) => connect('back', { addresses: [address] })
  await t.rejects(wish('10.5.0.3'), { message: /is in use by task "db\.1": ask for another/ })
  await t.rejects(wish('fd00:5:0:0::2'), {
    message: /by service "db", whose virtual address it is/,
  })
  await wish('10.5.0.4')
  await addTask(w, aTask({ ...facts, id: 'D2', slot: 2, state: TaskState.RUNNING }))
  await t.rejects(connect('back', { task: 'db.2', addresses: ['10.5.0.4'] }), {
    message: /it is on it already|in use by task "web\.1"/,
  })
})

t.test(
  'disconnecting: drained first, at once when forced, and what no node knows of just goes',
  async (t) => {
    const { ids, connect, disconnect, put, task } = await aWorld()
    const phase = () =>
      task().attachments.find((one) => one.networkId === ids['back'])?.connection?.phase
    await t.rejects(disconnect('back'), { message: /it is not connected to it/ })
    await t.rejects(disconnect('front'), {
      message:
        /its service is on it\. Take that off with "tsswarm service update --network-rm front web"/,
    })
    await t.rejects(disconnect('host'), { message: /it is predefined/ })
    await connect('back')
    t.match(await disconnect('back'), { networkId: ids['back'], taskId: 'T1' })
    t.equal(phase(), undefined, 'it had no address yet')
    await connect('back')
    const give = async (now: 'connected' | 'failed'): Promise<void> => {
      const attachments = task().attachments.map((one) =>
        one.connection === undefined
          ? one
          : { ...one, addresses: ['10.5.0.3'], connection: { ...one.connection, phase: now } },
      )
      await put({ attachments })
    }
    await give('connected')
    await disconnect('back')
    t.equal(phase(), 'leaving')
    await t.rejects(connect('back'), {
      message: /being disconnected from it\. Try again in a moment/,
    })
    await disconnect('back', { force: true })
    t.equal(phase(), 'drained')
    await disconnect('back')
    t.equal(phase(), 'drained')
    await give('failed')
    await connect('back')
    t.equal(phase(), 'asked', 'one that failed is no hindrance')
    await put({ state: TaskState.FAILED })
    await t.rejects(disconnect('back'), { message: /it is not connected to it/ })
  },
)

t.test('a network that a task was connected to is in use, and shows who is on it', async (t) => {
  const { w, ids, connect, put, task } = await aWorld()
  await connect('flat', { addresses: ['10.6.0.100'], aliases: ['debug'] })
  await put({
    attachments: task().attachments.map((one) =>
      one.connection === undefined
        ? one
        : {
            ...one,
            addresses: ['10.6.0.100'],
            connection: { ...one.connection, phase: 'connected' as const },
          },
    ),
  })
  const remove = { requestId: aRequestId(), reference: 'flat' }
  await t.rejects(w.api.removeNetwork(w.caller, remove, w.signal), {
    message: /in use by task web\.1, which was connected to it/,
  })
  const get = { reference: 'flat', verbose: true }
  t.match(await w.api.getNetwork(w.caller, get, w.signal), {
    tasks: 1,
    // An address outside of the range that is given from makes nothing scarce there.
    pools: [{ subnet: '10.6.0.0/24', used: 1, size: 9 }],
    endpoints: [
      {
        name: 'web.1.T1',
        nodeHostname: 'host1',
        addresses: ['10.6.0.100/24'],
        aliases: ['debug', 'web.1', 'web.1.T1'],
        serving: true,
        connection: { phase: 1 },
      },
    ],
    cut: false,
  })
  t.equal(task().attachments.length, 2)
  t.match(await w.api.getNetwork(w.caller, { ...get, reference: ids['front'] ?? '' }, w.signal), {
    services: [{ serviceName: 'web', ports: [] }],
    endpoints: [{ name: 'web.1.T1', connection: undefined, addresses: [/^10\.1\.0\.2\/24$/] }],
  })
})

t.test('a task on the network of its host, or on none, and an old cluster', async (t) => {
  const { w, connect } = await aWorld()
  const lone = await createService(w, { name: 'lone', task: { networks: [{ target: 'none' }] } })
  const facts = { id: 'L1', service: lone.id, specHash: lone.specHash, node: 'n1' }
  await addTask(w, aTask({ ...facts, state: TaskState.RUNNING }))
  await t.rejects(connect('back', { task: 'lone.1' }), {
    message: /its service is on network "none", which goes with no other/,
  })
  const cluster = w.store.view((tx) => [...tx.all('cluster')])[0]
  await w.store.update((tx) => {
    if (cluster === undefined) return
    tx.remove('cluster', cluster.id)
    tx.create('cluster', { ...cluster, featureLevel: 2 })
  })
  await t.rejects(connect('back'), { message: /feature level 2, and that came with 3\. Upgrade/ })
})
