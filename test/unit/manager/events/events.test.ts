// Events of the cluster: what they are called, that they come in order and whole, and what filters let through.
import t from 'tap'
import { EventLog, eventsMax } from '../../../../manager/events/event-log.ts'
import { createWatchEvents } from '../../../../manager/events/watch-events.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import type { ClusterEvent, Filter } from '../../../../proto/gen/tsswarm/v1/control.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { nodeId, type Task, TaskState, taskId } from '../../../../proto/objects/index.ts'
import {
  aCluster,
  aNetwork,
  aNode,
  aService,
  aSpecRecord,
  aTask,
} from '../../../support/objects.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const caller = { kind: 'local-admin', nodeId: nodeId('m1') } as const

async function aWorld() {
  const clock = new VirtualClock()
  const store = createMemoryStore({ clock, random: seededRandom(1) })
  const events = new EventLog(store, silentLogger)
  let barriers = 0
  const readBarrier = async (): Promise<void> => {
    barriers += 1
  }
  const handler = createWatchEvents({ events, readBarrier, clock })
  await store.update((tx) => {
    tx.create('cluster', aCluster({}))
    const { spec, hash } = aSpecRecord('spec-1', { image: 'busybox:1' })
    const container = { ...spec.container, labels: { tier: 'front' } }
    tx.create('taskSpecs', { hash, spec: { ...spec, container } })
  })
  const watch = (
    request: { readonly sinceMs?: number; readonly untilMs?: number; readonly filters?: Filter[] },
    signal = new AbortController().signal,
  ) => {
    const { sinceMs, untilMs, filters = [] } = request
    return handler(caller, { sinceMs, untilMs, filters }, signal)
  }
  /** Everything so far that passes. */
  const past = async (...filters: readonly [string, ...string[]][]): Promise<ClusterEvent[]> => {
    const all: ClusterEvent[] = []
    const request = {
      sinceMs: 0,
      untilMs: clock.wallMs(),
      filters: filters.map(([key, ...values]) => ({ key, values })),
    }
    for await (const { events: some } of watch(request)) all.push(...some)
    return all
  }
  const change = (id: string, more: Partial<Task>) =>
    store.update((tx) => {
      const task = tx.get('tasks', taskId(id))
      if (task === undefined) throw new Error(`no task ${id}`)
      tx.update('tasks', { ...task, ...more })
    })
  return { clock, store, events, watch, past, change, barriers: () => barriers }
}

const words = (events: readonly ClusterEvent[]): readonly string[] =>
  events.map(({ type, action, actorId }) => `${type} ${action} ${actorId}`)

t.test('the life of a service and its container, in the words of Docker', async (t) => {
  const { store, past, change } = await aWorld()
  await store.update((tx) => tx.create('services', aService({ id: 'service-1', name: 'web' })))
  await store.update((tx) =>
    tx.create('tasks', aTask({ id: 'task-1', node: 'w1', state: TaskState.PREPARING })),
  )
  await change('task-1', { containerId: 'c1', state: TaskState.STARTING })
  await change('task-1', { state: TaskState.RUNNING, stateAtMs: 5 })
  await change('task-1', { hostPorts: ['tcp/80'] })
  await change('task-1', { desiredState: TaskState.SHUTDOWN })
  await change('task-1', { state: TaskState.FAILED, exitCode: 137, err: 'killed' })
  await store.update((tx) => tx.remove('tasks', 'task-1'))
  await store.update((tx) => {
    const service = tx.get('services', 'service-1')
    if (service === undefined) throw new Error('no service')
    const { spec } = service
    tx.update('services', { ...service, endpoint: { vips: [], ports: [] } })
    const mode = { kind: 'replicated', replicas: 3 } as const
    const again = tx.get('services', 'service-1')
    if (again !== undefined) tx.update('services', { ...again, spec: { ...spec, mode } })
  })
  await store.update((tx) => tx.remove('services', 'service-1'))
  const events = await past()
  t.strictSame(words(events), [
    'service create service-1',
    'task create task-1',
    'task update task-1',
    'container create c1',
    'task update task-1',
    'container start c1',
    'task update task-1',
    'task update task-1',
    'container die c1',
    'task remove task-1',
    'container destroy c1',
    'service update service-1',
    'service remove service-1',
  ])
  t.match(events.find(({ action }) => action === 'die')?.attributes, {
    exitCode: '137',
    image: 'busybox:1',
    tier: 'front',
    name: 'web.1.task-1',
    'com.docker.swarm.node.id': 'w1',
    'com.docker.swarm.service.name': 'web',
    'com.docker.swarm.task.id': 'task-1',
  })
  t.match(events[11]?.attributes, { name: 'web', 'replicas.old': '1', 'replicas.new': '3' })
  t.match(events[7]?.attributes, { 'state.old': 'running', 'state.new': 'failed', err: 'killed' })
})

t.test('a node that removed images by itself', async (t) => {
  const { store, past } = await aWorld()
  const told = async (...messages: readonly string[]): Promise<void> => {
    const conditions = messages.map((message) => ({ code: 'IMAGES_REMOVED', message }))
    await store.update((tx) => {
      const node = tx.get('nodes', 'n1')
      if (node?.description === undefined) throw new Error('no node')
      tx.update('nodes', { ...node, description: { ...node.description, conditions } })
    })
  }
  await store.update((tx) => tx.create('nodes', aNode({ id: 'n1', hostname: 'host' })))
  await told('2 unused images were removed')
  await told('2 unused images were removed', '1 unused image was removed')
  await told()
  const events = (await past()).filter(({ type }) => type === 'image')
  t.match(events, [
    { action: 'prune', actorId: 'n1', attributes: { name: 'host', message: /^2 unused/ } },
    { action: 'prune', actorId: 'n1', attributes: { name: 'host', message: /^1 unused/ } },
  ])
  t.equal(events.length, 2, 'each once')
})

t.test('nodes, networks and the cluster', async (t) => {
  const { store, past } = await aWorld()
  await store.update((tx) => {
    tx.create('nodes', aNode({ id: 'n1', hostname: 'host', state: 'unknown' }))
    tx.create('networks', aNetwork({ id: 'net-1', name: 'front' }))
  })
  await store.update((tx) => {
    const node = tx.get('nodes', 'n1')
    const network = tx.get('networks', 'net-1')
    const [cluster] = tx.all('cluster')
    if (node === undefined || network === undefined || cluster === undefined) throw new Error()
    const spec = { ...node.spec, availability: 'drain' as const }
    tx.update('nodes', { ...node, spec, state: 'ready' })
    tx.update('networks', { ...network, subnets: [] })
    tx.update('cluster', { ...cluster, spec: { ...cluster.spec, taskHistoryLimit: 1 } })
  })
  await store.update((tx) => {
    const node = tx.get('nodes', 'n1')
    if (node !== undefined) tx.update('nodes', { ...node, certificateExpiresAtMs: 7 })
  })
  await store.update((tx) => {
    tx.remove('nodes', 'n1')
    tx.remove('networks', 'net-1')
  })
  const events = await past()
  t.strictSame(words(events), [
    'node create n1',
    'network create net-1',
    'node update n1',
    'cluster update cluster-1',
    'node remove n1',
    'network remove net-1',
  ])
  t.match(events[2]?.attributes, {
    name: 'host',
    'state.old': 'unknown',
    'state.new': 'ready',
    'availability.new': 'drain',
  })
})

t.test('filters are those of Docker', async (t) => {
  const { store, past, change } = await aWorld()
  await store.update((tx) => {
    tx.create('services', aService({ id: 'service-1', name: 'web' }))
    tx.create('nodes', aNode({ id: 'n1', hostname: 'host' }))
    tx.create('tasks', aTask({ id: 'task-1', node: 'n1', state: TaskState.STARTING }))
  })
  await change('task-1', { containerId: 'c123', state: TaskState.RUNNING })
  t.strictSame(words(await past(['type', 'node', 'service'])), [
    'service create service-1',
    'node create n1',
  ])
  t.strictSame(words(await past(['event', 'start'])), ['container start c123'])
  t.equal((await past(['service', 'web'])).length, 5)
  t.equal((await past(['service', 'web'], ['type', 'service'])).length, 1)
  t.equal((await past(['service', 'other'])).length, 0)
  t.equal((await past(['node', 'host'])).length, 1, 'by name: what is about the node')
  t.equal((await past(['node', 'n1'])).length, 5)
  t.equal((await past(['container', 'c12'])).length, 2)
  t.equal((await past(['label', 'tier=front'])).length, 4)
  t.equal((await past(['label', 'tier'])).length, 4)
  t.equal((await past(['label', 'tier=back'])).length, 0)
  t.equal((await past(['image', 'busybox:1'], ['scope', 'swarm'])).length, 4)
  t.equal((await past(['scope', 'local'])).length, 0)
  await t.rejects(past(['colour', 'red']), {
    code: 'INVALID_ARGUMENT',
    message: /^invalid filter "colour": events are filtered by type, event/,
  })
})

t.test('a watcher gets what comes, in order, until it leaves or the time is over', async (t) => {
  const { clock, store, watch, barriers } = await aWorld()
  const life = new AbortController()
  const got: string[] = []
  const reading = (async () => {
    for await (const { events } of watch({}, life.signal)) got.push(...words(events))
  })()
  await clock.advance(1)
  t.equal(barriers(), 0, 'what comes from now on needs no other manager')
  for (let n = 0; n < 600; n++) {
    await store.update((tx) => tx.create('nodes', aNode({ id: `n${n}` })))
  }
  await clock.advance(10)
  t.equal(got.length, 600)
  t.strictSame(got.slice(-1), ['node create n599'])
  life.abort()
  await reading
  const ended = (async () => {
    for await (const { events } of watch({ untilMs: clock.wallMs() + 100 })) {
      got.push(...words(events))
    }
  })()
  await clock.advance(50)
  await store.update((tx) => tx.create('nodes', aNode({ id: 'last' })))
  await clock.advance(60)
  await ended
  t.strictSame(got.slice(-1), ['node create last'])
})

t.test('the past begins where it is asked to', async (t) => {
  const { clock, store, watch } = await aWorld()
  await store.update((tx) => tx.create('nodes', aNode({ id: 'early' })))
  await clock.advance(1_000)
  const sinceMs = clock.wallMs()
  await store.update((tx) => tx.create('nodes', aNode({ id: 'late' })))
  const got: string[] = []
  for await (const { events } of watch({ sinceMs, untilMs: clock.wallMs() })) {
    got.push(...words(events))
  }
  t.strictSame(got, ['node create late'])
})

t.test('who reads too slowly is told that something is lost', async (t) => {
  const { store, watch, clock } = await aWorld()
  const reader = watch({})[Symbol.asyncIterator]()
  const first = reader.next()
  await clock.advance(1)
  await store.update((tx) => tx.create('nodes', aNode({ id: 'n' })))
  t.match(await first, { value: { events: [{ actorId: 'n' }] } })
  for (let at = 0; at < Math.ceil((eventsMax * 1.5) / 200); at++) {
    await store.update((tx) => {
      for (let n = 0; n < 200; n++) tx.create('nodes', aNode({ id: `n-${at}-${n}` }))
    })
  }
  await t.rejects(reader.next(), { code: 'RESOURCE_EXHAUSTED' })
})

t.test('a state that came whole is a gap, but not at the start', async (t) => {
  const { store, past, events } = await aWorld()
  await store.restore(store.appliedIndex + 5, store.snapshot())
  t.equal(events.end, 0)
  store.startTerm(1)
  await store.update((tx) => tx.create('nodes', aNode({ id: 'n1' })))
  await store.restore(store.appliedIndex + 5, store.snapshot())
  store.startTerm(1)
  await store.update((tx) => tx.create('nodes', aNode({ id: 'n2' })))
  const all = await past()
  t.strictSame(words(all), ['node create n1', 'cluster gap ', 'node create n2'])
  t.match(all[1]?.attributes, { reason: /events are missing here/ })
})

t.test('who worked in a container is an event of it, on every manager', async (t) => {
  const { store, past } = await aWorld()
  const access = {
    ...{ action: 'exec_start', clientNodeId: nodeId('m1'), clientUser: 'alice' },
    attributes: { command: 'sh -c ls' },
  }
  await store.update((tx) => {
    tx.create('nodes', aNode({ id: 'm1', hostname: 'host-1' }))
    tx.create('services', aService({ id: 'web-id', name: 'web' }))
    tx.create('tasks', { ...aTask({ id: 't1', service: 'web-id' }), containerId: 'c1' })
    tx.create('accesses', { ...access, id: 'a1', taskId: taskId('t1') })
    tx.create('accesses', { ...access, id: 'a2', taskId: taskId('gone') })
  })
  await store.update((tx) => tx.remove('accesses', 'a1'))
  const events = await past(['event', 'exec_start'])
  t.equal(events.length, 1, 'its removal is none')
  t.match(events, [
    {
      ...{ type: 'container', actorId: 'c1' },
      attributes: {
        ...{ command: 'sh -c ls', 'client.user': 'alice', 'client.node.id': 'm1' },
        ...{ 'client.node.name': 'host-1', 'com.docker.swarm.service.name': 'web' },
      },
    },
  ])
})
