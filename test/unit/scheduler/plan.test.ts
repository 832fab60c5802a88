import t from 'tap'
import { type Task, TaskState } from '../../../proto/objects/index.ts'
import { aNode, aSpecRecord, aTask, type TaskSpecFacts } from '../../support/objects.ts'
import { anEnv, aScheduler, commit, placements, updatedTasks } from '../../support/placement.ts'

function replicas(count: number, facts: Parameters<typeof aTask>[0] = {}): Task[] {
  return Array.from({ length: count }, (_, at) =>
    aTask({ id: `t${at + 1}`, slot: at + 1, ...facts }),
  )
}

function spec(facts: TaskSpecFacts = {}): ReturnType<typeof aSpecRecord>[] {
  return [aSpecRecord('spec-1', facts)]
}

function perNode(tasks: readonly Task[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const task of tasks) {
    if (task.nodeId !== undefined) counts[task.nodeId] = (counts[task.nodeId] ?? 0) + 1
  }
  return counts
}

const threeNodes = ['a', 'b', 'c'].map((id) => aNode({ id }))

t.test('an assigned task has a node, the state ASSIGNED and no error', async (t) => {
  const scheduler = aScheduler({
    nodes: [aNode({ id: 'a' })],
    tasks: [aTask({ id: 't1', version: 7, err: 'no suitable node' })],
    specs: spec(),
  })
  const plan = scheduler.plan(anEnv(5_000))
  t.match(plan, { assigned: 1, unplaced: 0, wakeAtMs: undefined })
  t.match(updatedTasks(plan, 5_000), [
    {
      id: 't1',
      version: 7,
      nodeId: 'a',
      state: TaskState.ASSIGNED,
      appliedAtMs: 5_000,
      message: 'scheduler assigned task to node',
      err: '',
    },
  ])
  t.same(scheduler.plan(anEnv()).updates, [], 'a task is planned once')
})

t.test('replicas spread evenly; a service ignores how full nodes are of others', async (t) => {
  const others = replicas(4, { service: 'other', node: 'a' }).map((task) => ({
    ...task,
    id: `o${task.slot}` as Task['id'],
  }))
  const tasks = replicas(6)
  const scheduler = aScheduler({ nodes: threeNodes, tasks: [...others, ...tasks], specs: spec() })
  t.same(perNode(updatedTasks(scheduler.plan(anEnv()))), { a: 2, b: 2, c: 2 })
})

t.test('equal as to the service, the node with fewest tasks in all is taken', async (t) => {
  const tasks = [
    aTask({ id: 'o1', service: 'other', node: 'a' }),
    aTask({ id: 'o2', service: 'other', node: 'c' }),
    aTask({ id: 't1' }),
  ]
  const scheduler = aScheduler({ nodes: threeNodes, tasks, specs: spec() })
  t.same(placements(scheduler.plan(anEnv())), ['t1>b'])
})

t.test('one-off tasks of many services fill the nodes evenly', async (t) => {
  const tasks = Array.from({ length: 9 }, (_, at) =>
    aTask({ id: `t${at}`, service: `service-${at}` }),
  )
  const scheduler = aScheduler({ nodes: threeNodes, tasks, specs: spec() })
  t.same(perNode(updatedTasks(scheduler.plan(anEnv()))), { a: 3, b: 3, c: 3 })
})

t.test('tasks asked to stop hold their resources but do not count for the rank', async (t) => {
  const stopping = aTask({ id: 'o1', node: 'a', desiredState: TaskState.SHUTDOWN })
  const tasks = [
    stopping,
    aTask({ id: 'o2', service: 'other', node: 'b', specHash: 'free' }),
    aTask({ id: 't1' }),
  ]
  const nodes = ['a', 'b'].map((id) => aNode({ id, nanoCpus: 1e9 }))
  const specs = [...spec({ reservations: { nanoCpus: 1e9 } }), aSpecRecord('free', {})]
  t.same(placements(aScheduler({ nodes, tasks, specs }).plan(anEnv())), ['t1>b'])
  t.same(
    placements(
      aScheduler({ nodes, tasks, specs: [...spec(), aSpecRecord('free', {})] }).plan(anEnv()),
    ),
    ['t1>a'],
  )
})

t.test('five recent failures of the version push a node back, never out', async (t) => {
  const failed = (id: string, at: number, facts: object = {}): Task =>
    aTask({
      id: `f${id}${at}`,
      node: 'a',
      state: TaskState.FAILED,
      desiredState: TaskState.SHUTDOWN,
      appliedAtMs: 900_000 + at,
      ...facts,
    })
  const five = [1, 2, 3, 4, 5].map((at) => failed('x', at))
  const nodes = ['a', 'b'].map((id) => aNode({ id }))
  const busy = [1, 2].map((at) => aTask({ id: `b${at}`, node: 'b', slot: 50 + at }))
  const place = (history: Task[], nowMs = 1_000_000): string[] =>
    placements(
      aScheduler({ nodes, tasks: [...history, ...busy, aTask({ id: 't1' })], specs: spec() }).plan(
        anEnv(nowMs),
      ),
    )
  t.same(place(five.slice(1)), ['t1>a'], 'four are not many')
  t.same(place(five), ['t1>b'], 'five are')
  t.same(place(five, 900_003 + 300_000), ['t1>a'], 'old ones are forgotten')
  t.same(
    place(five.map((task) => ({ ...task, specVersion: 0 }))),
    ['t1>a'],
    'another version may be better',
  )
  const only = aScheduler({
    nodes: [aNode({ id: 'a' })],
    tasks: [...five, aTask({ id: 't1' })],
    specs: spec(),
  })
  t.same(placements(only.plan(anEnv())), ['t1>a'], 'it is still taken when there is no other')
})

t.test('a host port is had once a node', async (t) => {
  const ports = [{ targetPort: 80, publishedPort: 8080 }]
  const scheduler = aScheduler({ nodes: threeNodes, tasks: replicas(5), specs: spec({ ports }) })
  const plan = scheduler.plan(anEnv())
  t.same(perNode(updatedTasks(plan)), { a: 1, b: 1, c: 1 })
  t.match(
    updatedTasks(plan).filter((task) => task.nodeId === undefined),
    [
      { err: 'no suitable node (host-mode port already in use on 3 nodes)' },
      { err: 'no suitable node (host-mode port already in use on 3 nodes)' },
    ],
  )
})

t.test('a host port is had once an address, and all of a family are each of it', async (t) => {
  const fits = (one: string, other: string): boolean => {
    const specs = [one, other].map((bindAddress, i) =>
      aSpecRecord(`spec-${i}`, {
        ports: [{ targetPort: 80, publishedPort: 8080, bindAddress }],
      }),
    )
    const tasks = [0, 1].map((i) => aTask({ id: `t${i}`, service: `s${i}`, specHash: `spec-${i}` }))
    const scheduler = aScheduler({ nodes: threeNodes.slice(0, 1), tasks, specs })
    return scheduler.plan(anEnv()).unplaced === 0
  }
  for (const [one, other] of [
    ['0.0.0.0', '::'],
    ['10.0.0.5', '10.0.0.6'],
    ['10.0.0.5', '::'],
    ['fd00::1', '0.0.0.0'],
  ] as const) {
    t.equal(fits(one, other), true, `${one} ${other}`)
    t.equal(fits(other, one), true, `${other} ${one}`)
  }
  for (const [one, other] of [
    ['', '::'],
    ['', 'fd00::1'],
    ['::', 'fd00::1'],
    ['0.0.0.0', '10.0.0.5'],
    ['fd00:0::1', 'fd00::1'],
    ['::', '::'],
  ] as const) {
    t.equal(fits(one, other), false, `${one} ${other}`)
    t.equal(fits(other, one), false, `${other} ${one}`)
  }
})

t.test(
  'at most maxReplicasPerNode of a service are on a node, others are not concerned',
  async (t) => {
    const tasks = [
      ...replicas(5),
      ...replicas(2, { service: 'other' }).map((task) => ({
        ...task,
        id: `o${task.slot}` as Task['id'],
      })),
    ]
    const scheduler = aScheduler({
      nodes: threeNodes.slice(0, 2),
      tasks,
      specs: spec({ placement: { maxReplicasPerNode: 2 } }),
    })
    const plan = scheduler.plan(anEnv())
    t.match(plan, { assigned: 6, unplaced: 1 })
    t.match(
      updatedTasks(plan).filter((task) => task.nodeId === undefined),
      [{ id: 't5', err: 'no suitable node (max replicas per node limit exceed)' }],
    )
  },
)

t.test('binpack fills one node before the next, by its most reserved resource', async (t) => {
  const scheduler = aScheduler({
    nodes: threeNodes,
    tasks: replicas(6),
    specs: spec({ reservations: { nanoCpus: 1e9 } }),
    strategy: 'binpack',
  })
  const counts = perNode(updatedTasks(scheduler.plan(anEnv())))
  t.same(Object.values(counts).sort(), [2, 4])
})

t.test('a service may choose another strategy than the cluster', async (t) => {
  const scheduler = aScheduler({
    nodes: threeNodes,
    tasks: replicas(6),
    specs: spec({ placement: { strategy: 'binpack' } }),
  })
  t.same(Object.values(perNode(updatedTasks(scheduler.plan(anEnv())))), [6])
})

t.test('random takes every node about equally often', async (t) => {
  const scheduler = aScheduler({
    nodes: threeNodes,
    tasks: replicas(1800),
    specs: spec(),
    strategy: 'random',
  })
  const counts = perNode(updatedTasks(scheduler.plan(anEnv())))
  for (const [node, count] of Object.entries(counts)) {
    t.ok(count > 510 && count < 690, `${node} has ${count} of 1800`)
  }
  t.notSame(Object.values(counts), [600, 600, 600], 'it is not spread')
})

t.test(
  'a stuck task is planned again once there is room, and told apart from fresh ones',
  async (t) => {
    const nodes = [aNode({ id: 'a', nanoCpus: 1e9 })]
    const specs = spec({ reservations: { nanoCpus: 1e9 } })
    const running = aTask({ id: 'old', node: 'a' })
    const scheduler = aScheduler({ nodes, tasks: [running, aTask({ id: 't1' })], specs })
    const first = scheduler.plan(anEnv(1_000))
    t.match(updatedTasks(first), [
      { id: 't1', err: 'no suitable node (insufficient resources on 1 node)' },
    ])
    commit(scheduler, first)
    t.same(scheduler.plan(anEnv(2_000)).updates, [], 'nothing has changed')

    scheduler.changeTask(running, { ...running, state: TaskState.COMPLETE })
    const second = scheduler.plan(anEnv(3_000))
    t.same(placements(second), ['t1>a'])
  },
)

t.test('stuck tasks are retried at most every 50 ms', async (t) => {
  const scheduler = aScheduler({ nodes: [], tasks: [aTask({ id: 't1' })], specs: spec() })
  scheduler.plan(anEnv(1_000))
  scheduler.putNode(aNode({ id: 'a', state: 'down' }))
  t.match(scheduler.plan(anEnv(1_010)), { unplaced: 1 })
  scheduler.putNode(aNode({ id: 'a' }))
  t.match(scheduler.plan(anEnv(1_020)), { assigned: 0, wakeAtMs: 1_060 })
  t.match(scheduler.plan(anEnv(1_060)), { assigned: 1, wakeAtMs: undefined })
})

t.test('a changed explanation is written at most every 5 s', async (t) => {
  const task = aTask({ id: 't1' })
  const scheduler = aScheduler({ nodes: [], tasks: [task], specs: spec() })
  const first = scheduler.plan(anEnv(10_000))
  t.match(updatedTasks(first), [{ err: 'no suitable node' }])
  const told = { ...task, version: 2, updatedAtMs: 10_000, err: 'no suitable node' }
  scheduler.changeTask(task, told)
  scheduler.putNode(aNode({ id: 'a', state: 'down' }))
  const second = scheduler.plan(anEnv(11_000))
  t.match(second, { updates: [], unplaced: 1, wakeAtMs: 15_000 })
  t.match(updatedTasks(scheduler.plan(anEnv(second.wakeAtMs))), [
    { version: 2, err: 'no suitable node (1 node not available for new tasks)' },
  ])
})

t.test(
  'a refused assignment gives its room back and is planned again after the next change',
  async (t) => {
    const task = aTask({ id: 't1' })
    const nodes = [aNode({ id: 'a', nanoCpus: 1e9 })]
    const specs = spec({ reservations: { nanoCpus: 1e9 } })
    const scheduler = aScheduler({ nodes, tasks: [task], specs })
    const [update] = scheduler.plan(anEnv(1_000)).updates
    if (update === undefined) throw new Error('the task was not planned')
    scheduler.refused(update)
    t.same(scheduler.plan(anEnv(2_000)).updates, [], 'not again with what is known')
    scheduler.putNode(aNode({ id: 'a', nanoCpus: 1e9 }))
    t.same(placements(scheduler.plan(anEnv(3_000))), ['t1>a'])
  },
)

t.test(
  'a task changed while its assignment was under way is planned from its new version',
  async (t) => {
    const task = aTask({ id: 't1' })
    const scheduler = aScheduler({ nodes: [aNode({ id: 'a' })], tasks: [task], specs: spec() })
    const [update] = scheduler.plan(anEnv()).updates
    if (update === undefined) throw new Error('the task was not planned')
    scheduler.changeTask(task, { ...task, version: 2 })
    scheduler.refused(update)
    const again = scheduler.plan(anEnv())
    t.match(updatedTasks(again), [{ id: 't1', version: 2, nodeId: 'a' }])
    t.equal(scheduler.index.entry(0).activeTasks, 1)
  },
)

t.test(
  'a task asked to stop before it has a node is shut down; one to be removed is left',
  async (t) => {
    const tasks = [
      aTask({ id: 't1', desiredState: TaskState.SHUTDOWN }),
      aTask({ id: 't2', desiredState: TaskState.REMOVE }),
    ]
    const scheduler = aScheduler({ nodes: threeNodes, tasks, specs: spec() })
    t.match(updatedTasks(scheduler.plan(anEnv())), [{ id: 't1', state: TaskState.SHUTDOWN }])
    t.same(scheduler.plan(anEnv()).updates, [])
  },
)

t.test('a replacement that waits for its start is placed already', async (t) => {
  const tasks = [aTask({ id: 't1', desiredState: TaskState.READY })]
  const scheduler = aScheduler({ nodes: threeNodes.slice(0, 1), tasks, specs: spec() })
  t.same(placements(scheduler.plan(anEnv())), ['t1>a'])
})

t.test('a pass is bounded and says that there is more', async (t) => {
  const scheduler = aScheduler({ nodes: threeNodes, tasks: replicas(5), specs: spec() })
  t.match(scheduler.plan(anEnv(1_000), 3), { assigned: 3, wakeAtMs: 1_000 })
  t.match(scheduler.plan(anEnv(1_000), 3), { assigned: 2, wakeAtMs: undefined })
})

t.test('a task whose spec is missing waits for it', async (t) => {
  const scheduler = aScheduler({ nodes: threeNodes, tasks: [aTask({ id: 't1' })], specs: [] })
  t.match(updatedTasks(scheduler.plan(anEnv(1_000))), [
    { err: "no suitable node (the task's spec spec-1 is missing)" },
  ])
  for (const record of spec()) scheduler.putSpec(record)
  t.match(scheduler.plan(anEnv(2_000)), { assigned: 1 })
})

t.test('paused, drained and down nodes and dropped ones get nothing', async (t) => {
  const nodes = [
    aNode({ id: 'a', availability: 'pause' }),
    aNode({ id: 'b', availability: 'drain' }),
    aNode({ id: 'c', state: 'down' }),
    aNode({ id: 'd', state: 'unknown' }),
    aNode({ id: 'e' }),
    aNode({ id: 'f' }),
  ]
  const scheduler = aScheduler({ nodes, tasks: replicas(2), specs: spec() })
  const gone = nodes.find((node) => node.id === 'e')
  if (gone !== undefined) scheduler.dropNode(gone.id)
  t.same(perNode(updatedTasks(scheduler.plan(anEnv()))), { f: 2 })
})
