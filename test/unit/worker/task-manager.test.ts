import t, { type Test } from 'tap'
import { SwarmError } from '../../../proto/errors.ts'
import { silentLogger } from '../../../proto/lib/log.ts'
import { seededRandom } from '../../../proto/lib/random.ts'
import {
  type AssignedTask,
  type Assignments,
  networkId,
  nodeId,
  TaskState,
  type TaskStatus,
  taskId,
} from '../../../proto/objects/index.ts'
import type { HostFacts } from '../../../worker/container-config.ts'
import type { ContainerConfig, Executor, ProbeOutcome } from '../../../worker/executor/executor.ts'
import { createFakeExecutor } from '../../../worker/executor/fake/fake-executor.ts'
import {
  FakeHost,
  type FakeHostOptions,
  type FakeImage,
} from '../../../worker/executor/fake/fake-host.ts'
import { imageHealth } from '../../../worker/image/image-health.ts'
import { openStateDb, type StateDb } from '../../../worker/state-db.ts'
import type { StateFile } from '../../../worker/state-file.ts'
import { StatusReporter } from '../../../worker/status-reporter.ts'
import { TaskManager } from '../../../worker/task-manager.ts'
import { memoryStateFile } from '../../support/memory-state-file.ts'
import { anAssignedTask, aSpecRecord } from '../../support/task-builders.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const S = TaskState

/** A node whose daemon can be restarted; its host lives on. */
class Node {
  readonly clock = new VirtualClock()
  readonly host: FakeHost
  readonly file: StateFile = memoryStateFile()
  readonly told = new Map<string, TaskStatus[]>()
  startsMax: number | undefined
  /** What containers wait on; undefined: nobody can say. */
  isListening: HostFacts['isListening']
  /** Lets a test stand in the executor's way. */
  wrap: (executor: Executor) => Executor = (executor) => executor
  #index = 0
  #stop: (() => Promise<void>) | undefined
  tasks!: TaskManager
  db!: StateDb

  constructor(options: Partial<FakeHostOptions> = {}) {
    this.host = new FakeHost({ clock: this.clock, localImages: { hello: {} }, ...options })
  }

  async start(): Promise<void> {
    const reporter = new StatusReporter(this.clock)
    reporter.connect(({ sequence, statuses }) => {
      for (const status of statuses) {
        this.told.set(status.taskId, [...(this.told.get(status.taskId) ?? []), status])
      }
      reporter.acknowledge(sequence)
    })
    const executor = this.wrap(createFakeExecutor(this.host))
    this.db = await openStateDb(this.file, silentLogger)
    this.tasks = new TaskManager({
      executor,
      db: this.db,
      reporter,
      clock: this.clock,
      random: seededRandom(1),
      log: silentLogger,
      host: {
        nodeId: nodeId('node1'),
        hostname: 'w1',
        os: 'linux',
        architecture: 'x86_64',
        network: () => ({ kind: 'none' }),
        ...(this.isListening && { isListening: this.isListening }),
      },
      ...(this.startsMax === undefined ? {} : { startsMax: this.startsMax }),
    })
    await this.tasks.adopt()
    const controller = new AbortController()
    const running = this.tasks.run(controller.signal)
    this.#stop = async () => {
      controller.abort()
      await executor.close()
      await running
      reporter.disconnect()
    }
    await this.clock.advance(1)
  }

  async stop(): Promise<void> {
    await this.#stop?.()
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  async assign(...tasks: readonly AssignedTask[]): Promise<void> {
    this.#index += 1
    const records = [...new Set(tasks.map((task) => task.specHash))].map((hash) =>
      aSpecRecord(hash),
    )
    const assignments: Assignments = {
      stamp: { epoch: 1, index: this.#index },
      tasks: new Map(tasks.map((task) => [task.id, task])),
      specs: new Map(records.map((record) => [record.hash, record.spec])),
    }
    await this.db.saveAssignments(assignments)
    this.tasks.apply(assignments, true)
    await this.clock.advance(1)
  }

  last(id: string): TaskStatus | undefined {
    return this.told.get(id)?.at(-1)
  }

  state(id: string): string | undefined {
    return this.host.has(id) ? this.host.inspect(id).state.kind : undefined
  }

  until(id: string, state: TaskState): Promise<void> {
    const what = `task ${id} in state ${state}, is ${this.last(id)?.state}`
    return this.clock.until(() => this.last(id)?.state === state, 60_000, what)
  }
}

async function aNode(t: Test, options: Partial<FakeHostOptions> = {}): Promise<Node> {
  const node = new Node(options)
  await node.start()
  t.teardown(() => node.stop())
  return node
}

function onlyGrew(statuses: readonly TaskStatus[] = []): boolean {
  return statuses.every((status, at) => status.state >= (statuses[at - 1]?.state ?? 0))
}

t.test('a task runs, is stopped, and vanishes when no longer assigned', async (t) => {
  const node = await aNode(t, { createMs: 30, startMs: 30 })
  await node.assign(anAssignedTask({ id: 'a', slot: 2 }))
  await node.until('a', S.RUNNING)
  t.equal(node.state('a'), 'running')
  t.equal(node.host.inspect('a').config.name, 'web.2.a')
  t.ok((node.last('a')?.pid ?? 0) > 0)
  await node.assign(anAssignedTask({ id: 'a', slot: 2, desiredState: S.SHUTDOWN }))
  await node.until('a', S.SHUTDOWN)
  t.equal(node.state('a'), 'exited', 'what ended stays until it is reaped')
  t.equal(node.last('a')?.exitCode, 143)
  await node.assign()
  t.equal(node.state('a'), undefined)
  t.ok(onlyGrew(node.told.get('a')))
})

t.test('a task wanted ready is made but not started', async (t) => {
  const node = await aNode(t)
  await node.assign(anAssignedTask({ id: 'a', desiredState: S.READY }))
  await node.until('a', S.READY)
  t.equal(node.state('a'), 'created')
  await node.assign(anAssignedTask({ id: 'a', desiredState: S.RUNNING }))
  await node.until('a', S.RUNNING)
})

t.test('the end of a container is told with its exit code', async (t) => {
  const node = await aNode(t, {
    localImages: { ok: { runMs: 1_000 }, bad: { runMs: 1_000, exitCode: 3 } },
  })
  const [ok, bad] = [aSpecRecord('ok').hash, aSpecRecord('bad').hash]
  await node.assign(
    anAssignedTask({ id: 'a', specHash: ok }),
    anAssignedTask({ id: 'b', specHash: bad }),
  )
  await node.until('a', S.COMPLETE)
  await node.until('b', S.FAILED)
  t.match(node.last('a'), { exitCode: 0, err: '', message: 'finished' })
  t.match(node.last('b'), { exitCode: 3, err: 'task: non-zero exit (3)' })
})

t.test('a container that somebody else removed fails its task', async (t) => {
  const node = await aNode(t)
  await node.assign(anAssignedTask({ id: 'a' }))
  await node.until('a', S.RUNNING)
  node.host.remove('a')
  await node.until('a', S.FAILED)
})

t.test('what cannot be made is rejected, what cannot be started has failed', async (t) => {
  const createError = new SwarmError('INVALID_ARGUMENT', 'invalid mount source /x')
  const startError = new SwarmError('INTERNAL', 'exec: not found')
  const node = await aNode(t, { localImages: { bad: { createError }, worse: { startError } } })
  await node.assign(
    anAssignedTask({ id: 'a', specHash: aSpecRecord('bad').hash }),
    anAssignedTask({ id: 'b', specHash: aSpecRecord('worse').hash }),
    anAssignedTask({ id: 'c', specHash: aSpecRecord('nowhere').hash }),
  )
  await node.until('a', S.REJECTED)
  await node.until('b', S.FAILED)
  await node.until('c', S.REJECTED)
  t.equal(node.last('a')?.err, 'invalid mount source /x')
  t.equal(node.last('b')?.err, 'exec: not found')
  t.equal(node.last('c')?.err, 'No such image: nowhere (the registry does not know nowhere)')
  t.equal(node.state('b'), 'exited', 'nothing of a failed task is left alive')
})

t.test('a registry that does not answer stops nothing that is local', async (t) => {
  const node = await aNode(t, { pullMs: 30_000 })
  node.host.registryError = new SwarmError('UNAVAILABLE', 'no route')
  await node.assign(anAssignedTask({ id: 'a' }))
  const beforeMs = node.clock.monotonicMs()
  await node.until('a', S.RUNNING)
  const firstMs = node.clock.monotonicMs() - beforeMs
  t.ok(firstMs <= 310, `waited ${firstMs} ms for the registry`)
  await node.clock.advance(45_000)
  await node.assign(anAssignedTask({ id: 'a' }), anAssignedTask({ id: 'b' }))
  const secondMs = node.clock.monotonicMs()
  await node.until('b', S.RUNNING)
  t.ok(node.clock.monotonicMs() - secondMs <= 100, 'and is not asked again soon')
})

t.test('a tag that has moved on is brought in when its registry answers', async (t) => {
  const node = await aNode(t, { registry: { hello: { exitCode: 5, runMs: 10 } }, pullMs: 200 })
  await node.assign(anAssignedTask({ id: 'a' }))
  await node.until('a', S.FAILED)
  t.equal(node.last('a')?.exitCode, 5, 'the newer image ran')
})

t.test('one pull serves all tasks that wait for the image', async (t) => {
  let pulls = 0
  const registry = {
    get app() {
      pulls += 1
      return {}
    },
  }
  const node = await aNode(t, { registry, pullMs: 500 })
  const specHash = aSpecRecord('app').hash
  await node.assign(
    ...Array.from({ length: 10 }, (_, i) => anAssignedTask({ id: `t${i}`, specHash })),
  )
  for (let i = 0; i < 10; i++) await node.until(`t${i}`, S.RUNNING)
  t.equal(pulls, 1)
})

t.test('a task no longer wanted while its image is pulled ends at once', async (t) => {
  const node = await aNode(t, { registry: { app: {} }, pullMs: 60_000 })
  const specHash = aSpecRecord('app').hash
  await node.assign(anAssignedTask({ id: 'a', specHash }))
  await node.until('a', S.PREPARING)
  await node.clock.advance(1_000)
  const beforeMs = node.clock.monotonicMs()
  await node.assign(anAssignedTask({ id: 'a', specHash, desiredState: S.SHUTDOWN }))
  await node.until('a', S.SHUTDOWN)
  t.ok(node.clock.monotonicMs() - beforeMs < 100)
})

t.test('only so many containers are made at once', async (t) => {
  const node = new Node({ createMs: 100, startMs: 100 })
  node.startsMax = 2
  await node.start()
  t.teardown(() => node.stop())
  await node.assign(...Array.from({ length: 6 }, (_, i) => anAssignedTask({ id: `t${i}` })))
  const running = () => node.host.list().filter((info) => info.state.kind === 'running').length
  await node.clock.advance(350)
  t.ok(running() >= 1, 'those that are made are started before all are made')
  // Twelve operations of 100 ms, two at a time.
  await node.clock.advance(240)
  t.ok(running() < 6, `${running()} run before their time`)
  await node.clock.advance(120)
  t.equal(running(), 6)
})

t.test('a restarted daemon adopts what runs and touches nothing of it', async (t) => {
  const node = await aNode(t)
  const tasks = [anAssignedTask({ id: 'a' }), anAssignedTask({ id: 'b' })]
  await node.assign(...tasks)
  await node.until('a', S.RUNNING)
  await node.until('b', S.RUNNING)
  const pid = node.last('a')?.pid
  await node.stop()
  node.host.exit('b', 9)
  node.told.clear()
  await node.start()
  await node.until('b', S.FAILED)
  t.equal(node.last('b')?.exitCode, 9, 'what ended meanwhile is told')
  t.match(node.host.inspect('a').state, { kind: 'running', pid })
  t.equal(node.last('a')?.state, S.RUNNING, 'and what runs is told again')
  node.host.exit('a', 0)
  await node.until('a', S.COMPLETE)
  t.ok(onlyGrew(node.told.get('a')))
})

t.test('after a reboot of the host running tasks have failed', async (t) => {
  const node = await aNode(t)
  await node.assign(anAssignedTask({ id: 'a' }))
  await node.until('a', S.RUNNING)
  await node.stop()
  node.host.reboot()
  await node.start()
  await node.until('a', S.FAILED)
  t.match(node.last('a'), {
    exitCode: -1,
    err: 'task: non-zero exit (-1): the host was restarted',
  })
})

t.test(
  'a container of ours that nobody wants goes at the start, if the database is whole',
  async (t) => {
    const node = await aNode(t)
    await node.assign(anAssignedTask({ id: 'a' }))
    await node.until('a', S.RUNNING)
    await node.stop()
    const stray = { ...node.host.inspect('a').config }
    const labels = { ...stray.labels, 'com.docker.swarm.task.id': 'old' }
    const config: ContainerConfig = { ...stray, id: 'old', labels }
    node.host.create(config, {})
    node.host.start('old')
    node.host.create({ ...stray, id: 'users', labels: {} }, {})
    await node.start()
    t.equal(node.state('old'), undefined)
    t.equal(node.state('users'), 'created', 'what is not ours stays')
    t.equal(node.state('a'), 'running')
  },
)

t.test('without its database a node keeps containers until a full set confirms them', async (t) => {
  const node = await aNode(t)
  await node.assign(anAssignedTask({ id: 'a' }), anAssignedTask({ id: 'b' }))
  await node.until('b', S.RUNNING)
  await node.stop()
  await node.file.replace(new Uint8Array())
  await node.start()
  t.equal(node.state('a'), 'running')
  t.equal(node.state('b'), 'running')
  node.told.clear()
  await node.assign(anAssignedTask({ id: 'a', state: S.RUNNING }))
  t.equal(node.state('a'), 'running')
  t.equal(node.state('b'), undefined)
  node.host.exit('a', 0)
  await node.until('a', S.COMPLETE)
  t.ok(onlyGrew(node.told.get('a')))
})

t.test('what the cluster gave up is stopped, whatever the agent saw last', async (t) => {
  const node = await aNode(t)
  await node.assign(anAssignedTask({ id: 'a' }))
  await node.until('a', S.RUNNING)
  await node.assign(anAssignedTask({ id: 'a', state: S.REJECTED, desiredState: S.SHUTDOWN }))
  t.equal(node.state('a'), 'exited')
})

t.test('leaving the cluster clears everything', async (t) => {
  const node = await aNode(t, { localImages: { hello: { stopMs: 3_000 } } })
  await node.assign(anAssignedTask({ id: 'a' }), anAssignedTask({ id: 'b' }))
  await node.until('b', S.RUNNING)
  const cleared = node.tasks.clear(new AbortController().signal)
  await node.clock.advance(2_000)
  t.equal(node.host.list().length, 2, 'they get their grace')
  await node.clock.advance(2_000)
  await cleared
  t.equal(node.host.list().length, 0)
})

t.test('an end is on disk before it is told', async (t) => {
  const node = await aNode(t, { localImages: { hello: { runMs: 100 } } })
  await node.assign(anAssignedTask({ id: 'a' }))
  await node.until('a', S.COMPLETE)
  await node.restart()
  t.equal(node.db.restored.statuses.get(taskId('a'))?.state, S.COMPLETE)
})

t.test('an executor that fails now and then is asked again', async (t) => {
  const node = new Node()
  const failures = new Map([
    ['wait', 1],
    ['stop', 2],
    ['remove', 2],
  ])
  const mayFail = (what: string): void => {
    const left = failures.get(what) ?? 0
    failures.set(what, left - 1)
    if (left > 0) throw new SwarmError('INTERNAL', `${what} failed`)
  }
  node.wrap = (executor) =>
    Object.assign(Object.create(executor), {
      wait: async (...args: Parameters<Executor['wait']>) => {
        mayFail('wait')
        return executor.wait(...args)
      },
      stop: async (...args: Parameters<Executor['stop']>) => {
        mayFail('stop')
        return executor.stop(...args)
      },
      remove: async (id: string) => {
        mayFail('remove')
        return executor.remove(id)
      },
      list: () => executor.list(),
      inspect: (id: string) => executor.inspect(id),
      create: executor.create.bind(executor),
      start: executor.start.bind(executor),
      pull: executor.pull.bind(executor),
      close: () => executor.close(),
    })
  await node.start()
  t.teardown(() => node.stop())
  await node.assign(anAssignedTask({ id: 'a' }))
  await node.until('a', S.RUNNING)
  await node.clock.advance(1_000)
  t.equal(node.last('a')?.state, S.RUNNING, 'a failed wait says nothing of the container')
  await node.assign(anAssignedTask({ id: 'a', desiredState: S.SHUTDOWN }))
  await node.until('a', S.SHUTDOWN)
  await node.assign()
  await node.clock.until(() => node.state('a') === undefined, 10_000, 'the container is gone')
  t.same(
    [...failures.values()].map((left) => left < 0),
    [true, true, true],
  )
})

/** An image whose containers are asked every second and may fail twice. */
function asked(probe: (runningMs: number) => ProbeOutcome): FakeImage {
  const Test = ['CMD', 'check']
  const health = imageHealth({ Test, Interval: 1e9, Retries: 2, Timeout: 5e8 }, [])
  return { health, probe: (_request, runningMs) => probe(runningMs) }
}

const well: ProbeOutcome = { kind: 'ended', exitCode: 0, output: '' }
const ill: ProbeOutcome = { kind: 'ended', exitCode: 1, output: 'no answer' }
const onNetwork = { attachments: [{ networkId: networkId('red'), addresses: ['10.0.1.5'] }] }

t.test('a task with a health check runs once it is healthy (swarm-semantics 1.2)', async (t) => {
  const node = await aNode(t, {
    localImages: { hello: asked((ms) => (ms > 1_500 ? well : ill)) },
    probeMs: 20,
  })
  await node.assign(anAssignedTask({ id: 'a' }))
  await node.clock.advance(1_300)
  t.match(node.last('a'), { state: S.STARTING, health: { state: 'starting', failures: 1 } })
  await node.until('a', S.RUNNING)
  t.match(node.last('a'), { health: { state: 'healthy', output: 'exit code 1: no answer' } })
  t.ok(onlyGrew(node.told.get('a')))
})

t.test('a task that never gets healthy fails with Swarm’s words', async (t) => {
  const hangs: ProbeOutcome = { kind: 'timeout', output: '' }
  const node = await aNode(t, { localImages: { hello: asked(() => hangs) } })
  await node.assign(anAssignedTask({ id: 'a', ...onNetwork }))
  await node.until('a', S.FAILED)
  const why = '2 health checks in a row failed, the last with timeout after 0.5 s'
  t.match(node.last('a'), {
    err: `task: non-zero exit (143): dockerexec: unhealthy container (${why})`,
    health: { state: 'unhealthy', failures: 2 },
  })
  t.equal(node.state('a'), 'exited')
  t.equal(
    node.told.get('a')?.some(({ state }) => state === S.RUNNING),
    false,
  )
})

t.test('an unhealthy task runs on until nobody leads connections to it', async (t) => {
  let answer = well
  const node = await aNode(t, { localImages: { hello: asked(() => answer) } })
  await node.assign(anAssignedTask({ id: 'a', ...onNetwork }))
  await node.until('a', S.RUNNING)
  answer = ill
  const unhealthy = () => node.last('a')?.health?.state === 'unhealthy'
  await node.clock.until(unhealthy, 5_000, 'it is unhealthy')
  t.match(node.last('a'), { state: S.RUNNING })
  await node.clock.advance(2_000)
  t.equal(node.state('a'), 'running')
  await node.assign(anAssignedTask({ id: 'a', ...onNetwork, isDrained: true }))
  await node.until('a', S.FAILED)
  t.match(node.last('a')?.err, /dockerexec: unhealthy container/)
})

t.test('without a manager it does so for some seconds, off networks not at all', async (t) => {
  let answer = well
  const node = await aNode(t, { localImages: { hello: asked(() => answer) } })
  await node.assign(anAssignedTask({ id: 'a', ...onNetwork }), anAssignedTask({ id: 'b', slot: 2 }))
  await node.until('a', S.RUNNING)
  await node.until('b', S.RUNNING)
  answer = ill
  await node.until('b', S.FAILED)
  t.equal(node.state('a'), 'running')
  await node.clock.advance(10_000)
  t.match(node.last('a'), { state: S.FAILED })
})

t.test('a restarted daemon goes on asking, and a healthy task stays healthy', async (t) => {
  let answer = well
  const node = await aNode(t, { localImages: { hello: asked(() => answer) } })
  await node.assign(anAssignedTask({ id: 'a', ...onNetwork }))
  await node.until('a', S.RUNNING)
  node.told.clear()
  await node.restart()
  await node.clock.advance(5_000)
  t.equal(
    node.told.get('a')?.some(({ health }) => health?.state !== 'healthy'),
    false,
  )
  answer = ill
  const unhealthy = () => node.last('a')?.health?.state === 'unhealthy'
  await node.clock.until(unhealthy, 5_000, 'it is unhealthy')
  await node.restart()
  await node.clock.advance(10_000)
  t.match(node.last('a'), { state: S.FAILED, err: /unhealthy container/ }, 'nor is it forgotten')
})

t.test('a task that is to stop is not asked any longer', async (t) => {
  let probes = 0
  const node = await aNode(t, {
    localImages: {
      hello: asked(() => {
        probes += 1
        return ill
      }),
    },
  })
  await node.assign(anAssignedTask({ id: 'a' }))
  await node.clock.advance(1_200)
  await node.assign(anAssignedTask({ id: 'a', desiredState: S.SHUTDOWN }))
  await node.until('a', S.SHUTDOWN)
  t.equal(node.last('a')?.err, '')
  const before = probes
  await node.clock.advance(10_000)
  t.equal(probes, before)
})

t.test('the end of a container while it is asked is its own', async (t) => {
  const node = await aNode(t, {
    localImages: { hello: { ...asked(() => well), runMs: 3_500, exitCode: 5 } },
    probeMs: 400,
  })
  await node.assign(anAssignedTask({ id: 'a' }))
  await node.until('a', S.FAILED)
  t.equal(node.last('a')?.err, 'task: non-zero exit (5)')
})

t.test(
  'an executor that gives up waiting by itself is asked again later, not at once',
  async (t) => {
    const node = new Node({ localImages: { hello: asked(() => well) } })
    let waits = 0
    node.wrap = (executor) => {
      const wait: Executor['wait'] = async () => {
        waits += 1
        throw new SwarmError('CANCELLED', 'closing')
      }
      return new Proxy(executor, {
        get: (target, name) => {
          if (name === 'wait') return wait
          const value = Reflect.get(target, name)
          return typeof value === 'function' ? value.bind(target) : value
        },
      })
    }
    await node.start()
    t.teardown(() => node.stop())
    await node.assign(anAssignedTask({ id: 'a' }))
    await node.clock.advance(10_000)
    t.ok(waits > 0 && waits < 50, `${waits}`)
  },
)

const exposing: FakeImage = {
  ports: [
    { protocol: 'tcp', targetPort: 80 },
    { protocol: 'tcp', targetPort: 443 },
  ],
}

async function aNodeThatLooks(
  t: Test,
  isListening: NonNullable<HostFacts['isListening']>,
): Promise<Node> {
  const node = new Node({ localImages: { hello: exposing } })
  node.isListening = isListening
  await node.start()
  t.teardown(() => node.stop())
  return node
}

t.test('a task on networks waits on the ports of its image, published or not', async (t) => {
  const waitedOn = new Set<number>()
  const node = await aNodeThatLooks(t, async (_pid, ports) =>
    ports.every(({ targetPort }) => waitedOn.has(targetPort)),
  )
  await node.assign(
    anAssignedTask({ id: 'a', ...onNetwork }),
    anAssignedTask({ id: 'alone', slot: 2 }),
  )
  await node.clock.advance(1_000)
  t.equal(node.last('a')?.state, S.STARTING)
  t.equal(node.last('alone')?.state, S.RUNNING, 'whom nobody reaches has nothing to wait for')
  waitedOn.add(80)
  await node.clock.advance(1_000)
  t.equal(node.last('a')?.state, S.STARTING, 'not all of them')
  waitedOn.add(443)
  await node.clock.advance(100)
  t.equal(node.last('a')?.state, S.RUNNING)
})

t.test('a port that nothing waits on delays one task of a kind', async (t) => {
  const waitedOn = new Set([80])
  const node = await aNodeThatLooks(t, async (_pid, ports) =>
    ports.every(({ targetPort }) => waitedOn.has(targetPort)),
  )
  const first = anAssignedTask({ id: 'a', ...onNetwork })
  await node.assign(first)
  await node.clock.advance(4_000)
  t.equal(node.last('a')?.state, S.STARTING)
  await node.clock.advance(2_000)
  t.equal(node.last('a')?.state, S.RUNNING, 'it had time')
  const second = anAssignedTask({ id: 'b', slot: 2, ...onNetwork })
  await node.assign(first, second)
  await node.clock.advance(200)
  t.equal(node.last('b')?.state, S.RUNNING, 'on this node it is known now')

  waitedOn.delete(80)
  const third = anAssignedTask({ id: 'c', slot: 3, ...onNetwork })
  await node.assign(first, second, third)
  await node.clock.advance(400)
  t.equal(node.last('c')?.state, S.STARTING, 'the other port still counts')
  waitedOn.add(80)
  await node.clock.advance(100)
  t.equal(node.last('c')?.state, S.RUNNING)

  // The first was slow after all: it waits on both by the time that it is stopped.
  waitedOn.add(443)
  await node.assign({ ...first, desiredState: S.SHUTDOWN }, second, third)
  await node.until('a', S.SHUTDOWN)
  waitedOn.delete(443)
  const fourth = anAssignedTask({ id: 'd', slot: 4, ...onNetwork })
  await node.assign(second, third, fourth)
  await node.clock.advance(400)
  t.equal(node.last('d')?.state, S.STARTING)
})
