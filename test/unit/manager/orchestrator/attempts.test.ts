// What counts towards the attempts of a restart policy: a task's own end, never what became of its node. Source: swarm-semantics 1.1
// restart and reaper, 7.2 restart window.
import fc from 'fast-check'
import t from 'tap'
import { reconcileService } from '../../../../manager/orchestrator/reconcile-service.ts'
import { slotsOf } from '../../../../manager/orchestrator/slot.ts'
import { reapTasks } from '../../../../manager/orchestrator/task-reaper.ts'
import {
  isActive,
  isTerminal,
  type Node,
  type Plan,
  type Service,
  type Task,
  TaskState,
} from '../../../../proto/objects/index.ts'
import { aNode, aService, aSpecRecord, aTask } from '../../../support/objects.ts'
import {
  aDecisionEnv,
  aServiceView,
  linesOf,
  type Situation,
} from '../../../support/orchestration.ts'

const { COMPLETE, FAILED, REJECTED, RUNNING, SHUTDOWN } = TaskState
const jobStatus = { iteration: 0, lastExecutionMs: 0 }
const modes: Readonly<Record<string, Service>> = {
  replicated: aService({ replicas: 1 }),
  'replicated-job': aService({
    mode: { kind: 'replicated-job', completions: 1, maxConcurrent: 1 },
    jobStatus,
  }),
  global: aService({ mode: { kind: 'global' } }),
  'global-job': aService({ mode: { kind: 'global-job' }, jobStatus }),
}

type Step = 'fail' | 'drain' | 'activate' | 'down' | 'up'

/** One place of a service, on agents that do at once as they are told, and a reaper that keeps as little as it may. */
class OnePlace {
  readonly #env = aDecisionEnv()
  readonly #service: Service
  readonly #specs
  readonly #nodes: Map<string, Node>
  #tasks: readonly Task[] = []
  failures = 0

  constructor(service: Service, maxAttempts: number) {
    this.#service = service
    const isForNodes = service.spec.mode.kind.startsWith('global')
    const ids = isForNodes ? ['a'] : ['a', 'b']
    this.#nodes = new Map(ids.map((id) => [id, aNode({ id })]))
    this.#specs = [aSpecRecord('spec-1', { restart: { maxAttempts, delayMs: 0 } })]
    this.settle()
  }

  get head(): Task | undefined {
    return slotsOf(this.#tasks)[0]?.head
  }

  step(step: Step): void {
    const node = [...this.#nodes.values()].find(({ id }) => id === (this.head?.nodeId ?? 'a'))
    if (step === 'fail') this.#fail()
    else if (step === 'activate' || step === 'up') {
      for (const id of this.#nodes.keys()) this.#nodes.set(id, aNode({ id }))
    } else if (node !== undefined) {
      const facts = step === 'drain' ? { availability: 'drain' as const } : { state: step }
      this.#nodes.set(node.id, aNode({ id: node.id, ...facts }))
    }
    this.settle()
  }

  #fail(): void {
    const { head } = this
    if (head === undefined || head.state !== RUNNING || !this.#isOpen(head.nodeId ?? '')) return
    this.failures += 1
    this.#tasks = this.#tasks.map((task) => (task === head ? { ...task, state: FAILED } : task))
  }

  #isOpen(id: string): boolean {
    const node = this.#nodes.get(id)
    return node?.state === 'ready' && node.spec.availability === 'active'
  }

  settle(): void {
    for (let round = 0; round < 10; round++) {
      const view = aServiceView({
        service: this.#service,
        specs: this.#specs,
        nodes: [...this.#nodes.values()],
        tasks: this.#tasks,
      })
      const plan = reconcileService(view, 'all', this.#env)
      this.#apply(plan)
      this.#tasks = this.#tasks.map((task) => this.#act(task))
      this.#apply(reapTasks({ ...view, tasks: this.#tasks }, 1, 1))
      if (plan.changes.length === 0) return
    }
    throw new Error('it does not come to rest')
  }

  #apply({ changes }: Plan): void {
    for (const change of changes) {
      if (change.table !== 'tasks') continue
      if (change.kind === 'create') {
        // Each is younger than the one before it.
        const createdAtMs = 1 + (this.#tasks.at(-1)?.createdAtMs ?? 0)
        this.#tasks = [...this.#tasks, { ...change.object, createdAtMs }]
      }
      if (change.kind === 'remove') this.#tasks = this.#tasks.filter(({ id }) => id !== change.id)
      if (change.kind === 'update') {
        this.#tasks = this.#tasks.map((one) => (one.id === change.object.id ? change.object : one))
      }
    }
  }

  /** The scheduler and the agent. */
  #act(task: Task): Task {
    if (isTerminal(task.state)) return task
    const isDown = this.#nodes.get(task.nodeId ?? '')?.state === 'down'
    if (task.desiredState >= SHUTDOWN) return isDown ? task : { ...task, state: SHUTDOWN }
    const open = [...this.#nodes.values()].find(({ id }) => this.#isOpen(id))
    if (task.nodeId === undefined && open !== undefined) {
      return { ...task, nodeId: open.id, state: RUNNING }
    }
    return task
  }
}

t.test('a place is left after as many failures of its own as it may have', async (t) => {
  const steps = fc.array(
    fc.oneof(
      { weight: 2, arbitrary: fc.constant<Step>('fail') },
      { weight: 3, arbitrary: fc.constantFrom<Step>('drain', 'activate', 'down', 'up') },
    ),
    { maxLength: 40 },
  )
  for (const [mode, service] of Object.entries(modes)) {
    let given = 0
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), steps, (maxAttempts, script) => {
        const place = new OnePlace(service, maxAttempts)
        for (const step of script) {
          place.step(step)
          const isLeft = place.head === undefined || place.head.state === FAILED
          if (isLeft !== place.failures > maxAttempts) return false
          if (isLeft) given += 1
        }
        place.step('up')
        return place.failures > maxAttempts || (place.head !== undefined && isActive(place.head))
      }),
      { numRuns: 80, seed: 71 },
    )
    t.ok(given > 0, `${mode}: some came to that`)
  }
})

const few = [aSpecRecord('spec-1', { restart: { maxAttempts: 1, delayMs: 0 } })]
const nodes = ['a', 'b'].map((id) => aNode({ id }))
const drained = [aNode({ id: 'a', availability: 'drain' }), aNode({ id: 'b' })]

function decide(situation: Omit<Situation, 'service'>): string[] {
  const view = aServiceView({ service: aService({ replicas: 1 }), specs: few, ...situation })
  return linesOf(reconcileService(view, 'all', aDecisionEnv()))
}

function was(at: number, state: TaskState, facts: Parameters<typeof aTask>[0] = {}): Task {
  const over = { desiredState: SHUTDOWN, createdAtMs: at, appliedAtMs: at + 5 }
  return aTask({ id: `t${at}`, node: 'a', state, ...over, ...facts })
}

t.test('what follows a drain, a lost node or an eviction is no restart', async (t) => {
  const next = ['+ new-1 slot 1 running after t30']
  const noRestarts = ['drain', 'node-down', 'node-removed', 'constraint', 'resources'] as const
  for (const reason of [...noRestarts, 'rebalance'] as const) {
    const tasks = [was(10, SHUTDOWN), was(20, SHUTDOWN, { reason }), was(30, FAILED, { reason })]
    t.same(decide({ nodes, tasks }), next, reason)
  }
  for (const reason of ['failure', 'ended', 'update'] as const) {
    const tasks = [was(10, FAILED), was(20, SHUTDOWN, { reason }), was(30, FAILED)]
    t.same(decide({ nodes, tasks }), [], reason)
  }
})

t.test('a task that runs is moved though its attempts are used up', async (t) => {
  const head = aTask({ id: 't20', node: 'a', createdAtMs: 20, reason: 'failure' })
  const moved = decide({ nodes: drained, tasks: [was(10, FAILED), head] })
  t.same(moved, ['t20 -> shutdown', '+ new-1 slot 1 ready after t20'])
  for (const state of [FAILED, REJECTED, COMPLETE]) {
    const ended = was(20, state, { reason: 'failure' })
    t.same(decide({ nodes: drained, tasks: [was(10, FAILED), ended] }), [], 'it had ended before')
  }
})

t.test('the reaper keeps what counts, and the first, before the rest', async (t) => {
  const tasks = [
    was(10, FAILED, { reason: 'new' }),
    was(20, SHUTDOWN, { reason: 'failure' }),
    was(30, SHUTDOWN, { reason: 'drain' }),
    was(40, SHUTDOWN, { reason: 'node-down' }),
    aTask({ id: 'live', node: 'b', createdAtMs: 50, reason: 'drain' }),
  ]
  const view = aServiceView({ service: aService({}), specs: few, tasks })
  t.same(linesOf(reapTasks(view, 1, 1_000)), ['- t30', '- t40'])
})
