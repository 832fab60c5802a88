// The decisions together in a small world: nodes that come and go, tasks that fail, users who scale and update. Each
// actor may act at any time, and every plan goes through the version check of the store.
import fc from 'fast-check'
import t from 'tap'
import { reconcileNode } from '../../../../manager/orchestrator/node-tasks.ts'
import { reconcileReplicated, reconcileSlots } from '../../../../manager/orchestrator/replicated.ts'
import { reapTasks } from '../../../../manager/orchestrator/task-reaper.ts'
import { newRollback } from '../../../../manager/orchestrator/update.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import {
  type DecisionEnv,
  isActive,
  isTerminal,
  isUpdating,
  type Node,
  type NodeId,
  type Plan,
  type Service,
  type Task,
  type TaskId,
  TaskState,
} from '../../../../proto/objects/index.ts'
import type { ServiceSpec } from '../../../../proto/spec/service-spec.ts'
import { aNode, aService, aSpecRecord, replicasOf } from '../../../support/objects.ts'
import { aServiceView } from '../../../support/orchestration.ts'

const historyLimit = 3
const restart = { delayMs: 1_000 }
const specs = [1, 2, 3].map((at) => aSpecRecord(`spec-${at}`, { restart, image: `i:${at}` }))

const eventArbitrary = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('agents'), pick: fc.nat(99) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('orchestrate'), pick: fc.nat(99) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('schedule'), pick: fc.nat(99) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('fail'), pick: fc.nat(99) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('node'), pick: fc.nat(99) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('scale'), pick: fc.nat(7) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('update'), pick: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rollback'), pick: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('time'), pick: fc.nat(5_000) }) },
)

const policyArbitrary = fc.record({
  parallelism: fc.nat(3),
  delayMs: fc.constantFrom(0, 2_000),
  monitorMs: fc.constantFrom(0, 5_000),
  maxFailureRatio: fc.constantFrom(0, 0.5),
})

class World {
  nowMs = 1_000_000
  service: Service
  readonly nodes = new Map<NodeId, Node>()
  readonly tasks = new Map<TaskId, Task>()
  /** What really runs, which a node that is down does not report. */
  readonly containers = new Map<TaskId, NodeId>()
  violations: string[] = []
  /** From when on a container may run beside its successor. */
  readonly #excusedAtMs = new Map<string, number>()
  #version = 1
  #made = 0
  readonly #random = seededRandom(5).float

  constructor(update: UpdateFacts = {}, rollback: RollbackFacts = {}) {
    const task = { restart, image: 'i:1' }
    const facts = { replicas: 3, specHash: 'spec-1', specVersion: 1, task }
    this.service = aService({ ...facts, update, rollback })
    for (const id of ['a', 'b', 'c']) {
      const node = aNode({ id })
      this.nodes.set(node.id, node)
    }
  }

  get env(): DecisionEnv {
    return {
      nowMs: this.nowMs,
      wallMs: this.nowMs,
      newId: () => {
        this.#made += 1
        return `t${this.#made}`
      },
      random: this.#random,
    }
  }

  view(tasks: readonly Task[]): ReturnType<typeof aServiceView> {
    return aServiceView({
      service: this.service,
      tasks,
      nodes: [...this.nodes.values()],
      specs,
    })
  }

  /** As the store: a change whose version moved on is refused. */
  apply(plan: Plan): boolean {
    for (const change of plan.changes) {
      if (change.kind === 'rollback') {
        const { previousSpec } = this.service
        if (previousSpec === undefined) throw new Error('nothing to go back to')
        this.#become(previousSpec, { previousSpec: undefined, updateStatus: change.updateStatus })
        continue
      }
      if (change.table === 'services') this.service = change.object
      if (change.table !== 'tasks') continue
      if (change.kind === 'remove') {
        const known = this.tasks.get(change.id as TaskId)
        if (known?.version === change.version) this.tasks.delete(known.id)
        continue
      }
      const { object } = change
      const known = this.tasks.get(object.id)
      if (change.kind === 'update' && known?.version !== object.version) continue
      this.put(object)
    }
    return plan.changes.length > 0
  }

  /** As the control API writes it. */
  #become(spec: ServiceSpec, change: Pick<Service, 'previousSpec' | 'updateStatus'>): void {
    const image = spec.task.container.image
    const hash = specs.find((record) => record.spec.container.image === image)?.hash
    if (hash === undefined) throw new Error(`no spec has the image ${image}`)
    const { mode } = this.service.spec
    const isSame = hash === this.service.specHash
    this.#version += isSame ? 0 : 1
    const specVersion = isSame ? this.service.specVersion : this.#version
    const next = { ...spec, mode }
    this.service = { ...this.service, ...change, spec: next, specHash: hash, specVersion }
  }

  update(pick: number): void {
    const record = specs[pick]
    if (record === undefined) return
    const { spec } = this.service
    const change = { previousSpec: spec, updateStatus: undefined }
    this.#become({ ...spec, task: record.spec }, change)
  }

  rollBack(): void {
    const { spec, previousSpec } = this.service
    if (previousSpec === undefined) return
    const updateStatus = newRollback(this.nowMs, 'asked')
    this.#become(previousSpec, { previousSpec: spec, updateStatus })
  }

  put(task: Task): void {
    const before = this.tasks.get(task.id)
    if (before !== undefined && task.state < before.state) {
      this.violations.push(`task ${task.id} went back from ${before.state} to ${task.state}`)
    }
    if (before !== undefined && task.desiredState < before.desiredState) {
      const promoted =
        before.desiredState === TaskState.READY && task.desiredState === TaskState.RUNNING
      if (!promoted) this.violations.push(`desired state of ${task.id} went back`)
    }
    const toStop = task.desiredState >= TaskState.SHUTDOWN && before !== undefined
    if (toStop && !this.#excusedAtMs.has(task.id)) {
      this.#excusedAtMs.set(task.id, this.nowMs + 60_000)
    }
    this.#version += 1
    this.tasks.set(task.id, { ...task, version: this.#version, updatedAtMs: this.nowMs })
  }

  orchestrate(pick: number): boolean {
    const tasks = [...this.tasks.values()]
    if (pick % 3 === 0) {
      const slot = tasks[pick % (tasks.length || 1)]?.slot
      const own = tasks.filter((task) => task.slot === slot)
      return this.apply(reconcileSlots(this.view(own), this.env))
    }
    const changed = this.apply(reconcileReplicated(this.view(tasks), this.env))
    const left = [...this.tasks.values()]
    const reaped = this.apply(reapTasks(this.view(left), historyLimit, this.nowMs))
    return changed || reaped
  }

  tendNodes(): void {
    const ids = new Set([
      ...this.nodes.keys(),
      ...[...this.tasks.values()].flatMap((task) => task.nodeId ?? []),
    ])
    for (const id of ids) {
      const tasks = [...this.tasks.values()].filter((task) => task.nodeId === id)
      const { taskSpec, service } = this.view([])
      this.apply(
        reconcileNode(
          { node: this.nodes.get(id), tasks, taskSpec, service: () => service },
          this.env,
        ),
      )
    }
  }

  schedule(pick: number): void {
    const open = [...this.nodes.values()].filter(
      (node) => node.state === 'ready' && node.spec.availability === 'active',
    )
    for (const task of [...this.tasks.values()]) {
      if (task.state !== TaskState.PENDING || task.nodeId !== undefined) continue
      if (task.desiredState === TaskState.SHUTDOWN) this.put({ ...task, state: TaskState.SHUTDOWN })
      const node = open[(pick + task.slot) % (open.length || 1)]
      if (!isActive(task) || node === undefined) continue
      this.put({ ...task, nodeId: node.id, state: TaskState.ASSIGNED })
    }
  }

  /** One step of the agent of every node that is up, for one task or for all. */
  agents(only: (task: Task) => boolean): boolean {
    let moved = false
    for (const task of [...this.tasks.values()]) {
      const node = task.nodeId === undefined ? undefined : this.nodes.get(task.nodeId)
      if (node === undefined || node.state !== 'ready' || isTerminal(task.state)) continue
      if (!only(task)) continue
      moved = this.#agentStep(task, node.id) || moved
    }
    return moved
  }

  #agentStep(task: Task, node: NodeId): boolean {
    const report = (state: TaskState): true => {
      const runs = state === TaskState.RUNNING && task.ranAtMs === 0
      const ranAtMs = runs ? this.nowMs : task.ranAtMs
      this.put({ ...task, state, appliedAtMs: this.nowMs, ranAtMs })
      return true
    }
    if (task.desiredState >= TaskState.SHUTDOWN) {
      this.containers.delete(task.id)
      return report(TaskState.SHUTDOWN)
    }
    if (task.state < TaskState.READY) return report(TaskState.READY)
    if (task.desiredState !== TaskState.RUNNING || task.state === TaskState.RUNNING) return false
    this.containers.set(task.id, node)
    return report(TaskState.RUNNING)
  }

  fail(pick: number): void {
    const up = [...this.tasks.values()].filter(
      (task) =>
        task.state === TaskState.RUNNING &&
        task.nodeId !== undefined &&
        this.nodes.get(task.nodeId)?.state === 'ready',
    )
    const task = up[pick % (up.length || 1)]
    if (task === undefined) return
    this.containers.delete(task.id)
    this.put({ ...task, state: TaskState.FAILED, appliedAtMs: this.nowMs })
  }

  changeNode(pick: number): void {
    const node = [...this.nodes.values()][pick % (this.nodes.size || 1)]
    if (node === undefined) return
    const set = (change: Partial<Node>): void => {
      this.nodes.set(node.id, { ...node, ...change, stateAtMs: this.nowMs })
    }
    const availability = (value: 'active' | 'pause' | 'drain'): void =>
      set({ spec: { ...node.spec, availability: value } })
    const kind = pick % 7
    if (kind < 2) {
      for (const [id, on] of this.containers) if (on === node.id) this.#excusedAtMs.set(id, 0)
      set({ state: 'down' })
    }
    if (kind === 2 || kind === 3) set({ state: 'ready' })
    else if (kind === 4) availability('drain')
    else if (kind === 5) availability('pause')
    else if (kind === 6) availability('active')
  }

  act({ kind, pick }: { readonly kind: string; readonly pick: number }): void {
    if (kind === 'agents') this.agents((task) => (Number(task.id.slice(1)) + pick) % 3 === 0)
    else if (kind === 'orchestrate') this.orchestrate(pick)
    else if (kind === 'schedule') this.schedule(pick)
    else if (kind === 'fail') this.fail(pick)
    else if (kind === 'node') this.changeNode(pick)
    else if (kind === 'time') this.nowMs += pick
    else if (kind === 'scale') {
      const mode = { kind: 'replicated' as const, replicas: pick }
      this.service = { ...this.service, spec: { ...this.service.spec, mode } }
    } else if (kind === 'rollback') this.rollBack()
    else this.update(pick)
    this.nowMs += 1
    this.tendNodes()
    this.check()
  }

  check(): void {
    const active = new Map<number, Task[]>()
    const running = new Map<number, string[]>()
    for (const task of this.tasks.values()) {
      if (isActive(task)) active.set(task.slot, [...(active.get(task.slot) ?? []), task])
      const on = this.containers.get(task.id)
      const known = on === undefined ? undefined : this.nodes.get(on)
      if (known?.state !== 'ready') continue
      running.set(task.slot, [...(running.get(task.slot) ?? []), task.id])
    }
    // What takes over may run beside what it takes over from.
    const both = startsFirst(this.service) ? 2 : 1
    for (const [slot, tasks] of active) {
      if (tasks.length > both) this.violations.push(`slot ${slot} has ${tasks.length} active tasks`)
    }
    for (const [slot, ids] of running) {
      if (ids.length > both && !this.#mayOverlap(ids, both)) {
        this.violations.push(`slot ${slot} runs ${ids.join(' and ')} at once`)
      }
    }
  }

  /** Beside its successor a task may run that was on a node that went down, or was given a minute to stop. */
  #mayOverlap(ids: readonly string[], both: number): boolean {
    const unexcused = ids.filter((id) => {
      const atMs = this.#excusedAtMs.get(id)
      return atMs === undefined || this.nowMs < atMs
    })
    return unexcused.length <= both
  }

  settle(): void {
    for (const node of this.nodes.values()) {
      const spec = { ...node.spec, availability: 'active' as const }
      this.nodes.set(node.id, { ...node, state: 'ready', spec })
    }
    for (let turn = 0; turn < 200; turn++) {
      this.nowMs += 500
      this.tendNodes()
      this.orchestrate(1)
      this.schedule(turn)
      this.agents(() => true)
      this.check()
    }
  }
}

const eventsArbitrary = fc.array(eventArbitrary, { maxLength: 200, size: 'max' })

const worldArbitrary = fc
  .record({
    update: policyArbitrary,
    rollback: policyArbitrary,
    order: fc.constantFrom<('stop-first' | 'start-first')[]>('stop-first', 'start-first'),
    failureAction: fc.constantFrom<('pause' | 'continue' | 'rollback')[]>(
      'pause',
      'continue',
      'rollback',
    ),
  })
  .map(({ update, rollback, order, failureAction }) => () => {
    return new World({ ...update, order, failureAction }, { ...rollback, order })
  })

type UpdateFacts = NonNullable<Parameters<typeof aService>[0]['update']>
type RollbackFacts = NonNullable<Parameters<typeof aService>[0]['rollback']>

function startsFirst({ spec }: Service): boolean {
  return spec.update.order === 'start-first' || spec.rollback.order === 'start-first'
}

const isPaused = ({ updateStatus }: Service): boolean =>
  updateStatus?.state === 'paused' || updateStatus?.state === 'rollback_paused'

t.test(
  'replicas converge after any faults, with at most one active task a slot all the while',
  async (t) => {
    fc.assert(
      fc.property(worldArbitrary, eventsArbitrary, (makeWorld, events) => {
        const world = makeWorld()
        for (const event of events) world.act(event)
        world.settle()
        if (isPaused(world.service)) {
          // Only a user makes it go on.
          const outcome = specs.findIndex(({ hash }) => hash === world.service.specHash)
          world.update((outcome + 1) % specs.length)
          world.settle()
        }
        if (isPaused(world.service) || isUpdating(world.service)) {
          throw new Error(`the update is ${world.service.updateStatus?.state}`)
        }
        if (world.violations.length > 0) throw new Error(world.violations.join('; '))
        const tasks = [...world.tasks.values()]
        const wanted = tasks.filter(isActive)
        const replicas = replicasOf(world.service)
        if (wanted.length !== replicas) throw new Error(`${wanted.length} of ${replicas} replicas`)
        for (const task of wanted) {
          if (task.state !== TaskState.RUNNING) throw new Error(`task ${task.id} is ${task.state}`)
          if (task.specHash !== world.service.specHash) throw new Error(`${task.id} is outdated`)
          const own = tasks.filter((other) => other.slot === task.slot)
          if (own.length > historyLimit) throw new Error(`slot ${task.slot} keeps ${own.length}`)
        }
        if (tasks.length > replicas * historyLimit)
          throw new Error(`${tasks.length} tasks are kept`)
        if (world.containers.size !== replicas) throw new Error('more runs than is wanted')
      }),
      { numRuns: 300 },
    )
    t.pass('held')
  },
)

t.test('an update never takes down more than one task that served', async (t) => {
  const replicas = fc.integer({ min: 2, max: 6 })
  fc.assert(
    fc.property(
      replicas,
      fc.array(fc.nat(99), { minLength: 60, maxLength: 60 }),
      (count, picks) => {
        const world = new World()
        world.act({ kind: 'scale', pick: count })
        world.settle()
        world.act({ kind: 'update', pick: 1 })
        for (const pick of picks) {
          world.act({ kind: ['agents', 'orchestrate', 'schedule'][pick % 3] ?? '', pick })
          const serving = [...world.tasks.values()].filter(
            (task) => task.state === TaskState.RUNNING,
          )
          if (serving.length < count - 1) throw new Error(`${serving.length} of ${count} serve`)
        }
      },
    ),
    { numRuns: 100 },
  )
  t.pass('held')
})
