import fc from 'fast-check'
import t, { type Test } from 'tap'
import { isTerminal, type Task, TaskState, taskStateName } from '../../../proto/objects/index.ts'
import { MiniCluster } from '../../support/mini-cluster.ts'
import { MiniNode } from '../../support/mini-node.ts'
import { aSpecRecord } from '../../support/objects.ts'

const S = TaskState
const managers = ['m1', 'm2', 'm3']

async function aWorld(t: Test): Promise<{ cluster: MiniCluster; node: MiniNode }> {
  const cluster = new MiniCluster()
  await cluster.start(...managers, 'w1', 'w2')
  for (const name of managers) cluster.addManager(name)
  await cluster.lead('m1')
  await cluster.clock.advance(300)
  const node = new MiniNode(cluster, 'w1', managers)
  await node.start()
  t.teardown(async () => {
    await node.kill()
    await cluster.stop()
  })
  return { cluster, node }
}

function untilState(cluster: MiniCluster, id: string, state: TaskState): Promise<void> {
  return cluster.clock.until(
    () => cluster.task(id).state === state,
    20_000,
    `task ${id} ${taskStateName(state)}`,
  )
}

t.test('from assigned to running, to stopped, to gone', async (t) => {
  const { cluster, node } = await aWorld(t)
  const beforeMs = cluster.clock.monotonicMs()
  await cluster.addTask({ id: 'a', node: 'w1', state: S.ASSIGNED })
  await untilState(cluster, 'a', S.RUNNING)
  t.ok(cluster.clock.monotonicMs() - beforeMs <= 300, 'soon')
  t.equal(cluster.node('w1').state, 'ready')
  await cluster.changeTask('a', { desiredState: S.SHUTDOWN })
  await untilState(cluster, 'a', S.SHUTDOWN)
  await cluster.store.update((tx) => tx.remove('tasks', 'a'))
  await cluster.clock.advance(100)
  t.equal(node.state('a'), undefined)
})

t.test('a task with ports runs once it waits on them, or had time for it', async (t) => {
  const { cluster, node } = await aWorld(t)
  node.isListening = false
  const ports = { ports: [{ targetPort: 80 }] }
  await cluster.store.update((tx) => tx.create('taskSpecs', aSpecRecord('ported', ports)))
  const add = (id: string) =>
    cluster.addTask({ id, node: 'w1', state: S.ASSIGNED, specHash: 'ported' })
  await add('a')
  await untilState(cluster, 'a', S.STARTING)
  await cluster.clock.advance(2_000)
  t.equal(cluster.task('a').state, S.STARTING)
  node.isListening = true
  await untilState(cluster, 'a', S.RUNNING)

  node.isListening = false
  await add('b')
  await untilState(cluster, 'b', S.STARTING)
  const sinceMs = cluster.clock.monotonicMs()
  await untilState(cluster, 'b', S.RUNNING)
  t.ok(cluster.clock.monotonicMs() - sinceMs >= 4_000)

  await add('c')
  await untilState(cluster, 'c', S.STARTING)
  node.host.exit('c', 3)
  await untilState(cluster, 'c', S.FAILED)
  await add('d')
  await untilState(cluster, 'd', S.STARTING)
  await cluster.changeTask('d', { desiredState: S.SHUTDOWN })
  await untilState(cluster, 'd', S.SHUTDOWN)
})

t.test(
  'a killed daemon comes back: containers untouched, what ended meanwhile is told',
  async (t) => {
    const { cluster, node } = await aWorld(t)
    for (const id of ['a', 'b']) await cluster.addTask({ id, node: 'w1', state: S.ASSIGNED })
    for (const id of ['a', 'b']) await untilState(cluster, id, S.RUNNING)
    const { pid } = cluster.task('a')
    await node.kill()
    node.host.exit('b', 7)
    await cluster.changeTask('a', { desiredState: S.RUNNING })
    await cluster.clock.advance(1_000)
    await node.start()
    await untilState(cluster, 'b', S.FAILED)
    t.match(node.host.inspect('a').state, { kind: 'running', pid })
    t.equal(cluster.task('a').state, S.RUNNING)
  },
)

t.test(
  'what is to stop serves on until the kernel of a daemon that was away has followed',
  async (t) => {
    const { cluster, node } = await aWorld(t)
    for (const id of ['a', 'b']) {
      await cluster.addTask({ id, node: 'w1', state: S.ASSIGNED })
      await untilState(cluster, id, S.RUNNING)
    }
    const listeners = new Set<() => void>()
    let isThere = false
    node.overlay = {
      current: () => (isThere ? { epoch: 1, networks: [] } : undefined),
      onRise: (listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    }
    await node.kill()
    await cluster.changeTask('a', { desiredState: S.SHUTDOWN })
    await node.start()
    await cluster.clock.advance(2_000)
    t.equal(node.state('a'), 'running')
    for (const listener of listeners) listener()
    await cluster.clock.advance(1_000)
    t.equal(node.state('a'), 'running', 'what was reached is nothing yet')
    isThere = true
    for (const listener of listeners) listener()
    await untilState(cluster, 'a', S.SHUTDOWN)

    isThere = false
    await node.kill()
    await cluster.changeTask('b', { desiredState: S.SHUTDOWN })
    await node.start()
    await cluster.clock.advance(3_000)
    t.equal(node.state('b'), 'running')
    await cluster.clock.advance(3_000)
    t.equal(cluster.task('b').state, S.SHUTDOWN, 'a kernel that does not follow is not waited for')
  },
)

t.test('a daemon that is stopped and started again is not taken for a failure', async (t) => {
  const { cluster, node } = await aWorld(t)
  await cluster.addTask({ id: 'a', node: 'w1', state: S.ASSIGNED })
  await untilState(cluster, 'a', S.RUNNING)
  await node.stop()
  t.match(cluster.node('w1'), { state: 'disconnected', sessionManagerId: undefined })
  await cluster.clock.advance(5_000)
  await cluster.lead('m3')
  await cluster.clock.advance(9_000)
  t.equal(cluster.node('w1').state, 'disconnected')
  await node.start()
  await cluster.clock.advance(500)
  t.equal(cluster.node('w1').state, 'ready')
  t.equal(cluster.task('a').state, S.RUNNING)
  await node.stop()
  await cluster.clock.advance(14_500)
  t.equal(cluster.node('w1').state, 'disconnected')
  await cluster.clock.advance(700)
  t.equal(cluster.node('w1').state, 'down', 'it is not waited for for ever')
})

t.test(
  'while no manager can be reached containers go on and are adopted by a new daemon',
  async (t) => {
    const { cluster, node } = await aWorld(t)
    await cluster.addTask({ id: 'a', node: 'w1', state: S.ASSIGNED })
    await untilState(cluster, 'a', S.RUNNING)
    for (const name of managers) await cluster.kill(name)
    await cluster.clock.advance(30_000)
    await node.kill()
    await node.start()
    await cluster.clock.advance(30_000)
    t.equal(node.state('a'), 'running')
    t.match(node.agent.status(), { manager: undefined, managers: [{ address: 'm1' }, {}, {}] })
  },
)

t.test('when its manager dies the session moves on and nothing else happens', async (t) => {
  const { cluster, node } = await aWorld(t)
  await cluster.addTask({ id: 'a', node: 'w1', state: S.ASSIGNED })
  await untilState(cluster, 'a', S.RUNNING)
  const { stateAtMs } = cluster.node('w1')
  const first = node.agent.status().manager?.address ?? ''
  if (first === 'm1') await cluster.lead('m2')
  await cluster.kill(first)
  await cluster.clock.advance(1_000)
  const second = node.agent.status().manager?.address ?? ''
  t.ok(second !== '' && second !== first)
  await cluster.addTask({ id: 'b', node: 'w1', state: S.ASSIGNED })
  await untilState(cluster, 'b', S.RUNNING)
  t.match(cluster.node('w1'), { state: 'ready', stateAtMs, sessionManagerId: second })
  t.equal(node.agent.status().unconfirmed, 0)
})

t.test('an agent that is told of managers tries those first, and keeps the others', async (t) => {
  const { cluster, node } = await aWorld(t)
  await node.kill()
  const lost = new MiniNode(cluster, 'w2', ['gone'])
  t.teardown(() => lost.kill())
  await lost.start()
  await cluster.clock.advance(5_000)
  t.equal(lost.agent.status().manager, undefined)
  t.ok(lost.agent.status().failure instanceof Error)
  lost.agent.learnManagers([{ nodeId: 'm2', address: 'm2' }])
  t.same(
    lost.agent.status().managers.map(({ address }) => address),
    ['m2', 'gone'],
  )
  await cluster.clock.until(() => lost.agent.status().manager !== undefined, 15_000, 'a session')
  t.equal(lost.agent.status().manager?.address, 'm2')
})

t.test('leaving stops everything, and nothing assigned meanwhile comes back', async (t) => {
  const { cluster, node } = await aWorld(t)
  await cluster.addTask({ id: 'a', node: 'w1', state: S.ASSIGNED })
  await untilState(cluster, 'a', S.RUNNING)
  const cleared = node.agent.clear(new AbortController().signal)
  await cluster.addTask({ id: 'b', node: 'w1', state: S.ASSIGNED })
  await cluster.clock.advance(300)
  t.match(cluster.node('w1'), { state: 'down', stateMessage: 'the node has left' })
  await cluster.clock.advance(2_000)
  await cleared
  t.same(node.host.list(), [])
})

// Anything may fail at any time; once it stops, what runs is what is wanted.
t.test('through any faults tasks end where they are wanted, their state only growing', async () => {
  const fault = fc.constantFrom(
    'add',
    'add',
    'stop',
    'remove',
    'exit',
    'kill-daemon',
    'stop-daemon',
    'start-daemon',
    'kill-session',
    'change-leader',
    'no-leader',
    'stall',
    'pause',
  )
  const script = fc.array(fc.tuple(fault, fc.nat(1_000)), { minLength: 5, maxLength: 25 })
  await fc.assert(
    fc.asyncProperty(script, async (steps) => {
      const world = new FaultyWorld()
      await world.start()
      for (const [kind, number] of steps) await world.step(kind, number)
      await world.calm()
      await world.stop()
      return world.complaints.length === 0 || Promise.reject(new Error(world.complaints.join('; ')))
    }),
    { numRuns: 25 },
  )
})

class FaultyWorld {
  readonly complaints: string[] = []
  readonly #cluster = new MiniCluster()
  readonly #node = new MiniNode(this.#cluster, 'w1', managers, { createMs: 20, startMs: 20 })
  readonly #watching = new AbortController()
  #made = 0

  async start(): Promise<void> {
    await this.#cluster.start(...managers, 'w1')
    for (const name of managers) this.#cluster.addManager(name)
    await this.#cluster.lead('m1')
    this.#watch().catch((err: unknown) => this.complaints.push(String(err)))
    await this.#node.start()
  }

  async step(kind: string, number: number): Promise<void> {
    const { clock } = this.#cluster
    if (kind === 'add') await this.#add()
    if (kind === 'stop') await this.#onTask(number, { desiredState: S.SHUTDOWN })
    if (kind === 'remove') await this.#remove(number)
    if (kind === 'exit') this.#node.host.exit(this.#pick(number)?.id ?? '', number % 3)
    if (kind === 'kill-daemon') await this.#node.kill()
    if (kind === 'stop-daemon') await this.#node.stop()
    if (kind === 'start-daemon') await this.#node.start()
    if (kind === 'kill-session') this.#cluster.cutAll()
    if (kind === 'change-leader') await this.#cluster.lead(managers[number % 3])
    if (kind === 'no-leader') await this.#cluster.lead(undefined)
    if (kind === 'stall') await clock.stall(number * 3)
    await clock.advance(kind === 'pause' ? number * 10 : number)
  }

  /** Faults end: within 20 s everything must be as it is wanted. */
  async calm(): Promise<void> {
    await this.#node.start()
    await this.#cluster.lead('m2')
    await this.#cluster.clock.advance(20_000)
    const tasks = this.#tasks()
    for (const task of tasks) {
      const container = this.#node.state(task.id)
      const what = `${task.id} wanted ${task.desiredState} is ${task.state}, ${container}`
      const runs = task.state === S.RUNNING && container === 'running'
      const ended = isTerminal(task.state) && container !== 'running' && container !== 'created'
      const isRight = task.desiredState === S.RUNNING ? runs || ended : ended
      if (!isRight) this.complaints.push(what)
    }
    for (const { id } of this.#node.host.list()) {
      if (!tasks.some((task) => task.id === id)) this.complaints.push(`${id} was left behind`)
    }
    if (this.#cluster.node('w1').state !== 'ready') this.complaints.push('w1 is not ready')
  }

  async stop(): Promise<void> {
    this.#watching.abort()
    await this.#node.kill()
    await this.#cluster.stop()
  }

  async #watch(): Promise<void> {
    const options = { signal: this.#watching.signal, bufferMax: 10_000 }
    for await (const { changes } of this.#cluster.store.watch({ tasks: 'all' }, options)) {
      for (const change of changes) {
        if (change.kind !== 'update' || change.table !== 'tasks') continue
        if (change.object.state < change.old.state) {
          this.complaints.push(`${change.object.id} went back from ${change.old.state}`)
        }
      }
    }
  }

  async #add(): Promise<void> {
    this.#made += 1
    await this.#cluster.addTask({ id: `t${this.#made}`, node: 'w1', state: S.ASSIGNED })
  }

  async #remove(number: number): Promise<void> {
    const task = this.#pick(number)
    if (task === undefined) return
    await this.#cluster.store.update((tx) => tx.remove('tasks', task.id))
  }

  async #onTask(number: number, change: Partial<Task>): Promise<void> {
    const task = this.#pick(number)
    if (task !== undefined) await this.#cluster.changeTask(task.id, change)
  }

  #tasks(): readonly Task[] {
    return this.#cluster.store.view((tx) => [...tx.all('tasks')])
  }

  #pick(number: number): Task | undefined {
    const tasks = this.#tasks()
    return tasks[number % Math.max(1, tasks.length)]
  }
}
