// A cron service under leaders that crash at every step: whatever of a plan is written, each time of the schedule is run once or told as
// missed, and no slot of a run ends well twice.
import fc from 'fast-check'
import t from 'tap'
import { reconcileCron } from '../../../../manager/orchestrator/cron.ts'
import { reapTasks } from '../../../../manager/orchestrator/task-reaper.ts'
import {
  type CronRun,
  type DecisionEnv,
  isActive,
  isTerminal,
  type Plan,
  type Service,
  type Task,
  TaskState,
} from '../../../../proto/objects/index.ts'
import { nextTimeMs } from '../../../../proto/spec/cron-schedule.ts'
import { aNode, aService, aSpecRecord } from '../../../support/objects.ts'
import { aServiceView } from '../../../support/orchestration.ts'

const startMs = 28_000_000 * 60_000
const node = aNode({ id: 'a' })
const specs = [aSpecRecord('spec-1', { restart: { delayMs: 1_000 } })]

interface Settings {
  readonly concurrency: 'allow' | 'forbid' | 'replace'
  readonly missedWindowMs: number
  readonly completions: number
  readonly maxConcurrent: number
  readonly retries: number
}

class World {
  service: Service
  nowMs = startMs
  /** Of the leader, which may be off. */
  skewMs = 0
  tasks = new Map<string, Task>()
  /** Runs as they were begun, by the number of the run. */
  readonly begun = new Map<number, number>()
  missed = 0
  readonly done = new Set<string>()
  #made = 0

  constructor(settings: Settings) {
    this.service = aService({
      mode: { kind: 'cron', schedule: '* * * * *', keepCompleted: 2, keepFailed: 2, ...settings },
      jobStatus: { iteration: 0, lastExecutionMs: 0 },
      cronStatus: { decidedMs: startMs, forced: 0, runs: [] },
    })
  }

  get env(): DecisionEnv {
    return {
      nowMs: this.nowMs,
      wallMs: this.nowMs + this.skewMs,
      newId: () => {
        this.#made += 1
        return `t${this.#made}`
      },
      random: () => 0.5,
    }
  }

  /** A leader decides, and crashes after so many changes are written. */
  decide(written: number): void {
    const tasks = [...this.tasks.values()]
    const view = aServiceView({ service: this.service, tasks, nodes: [node], specs })
    this.#write(reconcileCron(view, this.env), written)
    const left = [...this.tasks.values()]
    this.#write(
      reapTasks(aServiceView({ service: this.service, tasks: left, specs }), 1, 0),
      written,
    )
  }

  #write({ changes }: Plan, written: number): void {
    for (const change of changes.slice(0, written)) {
      if (change.table === 'services' && change.kind === 'update') this.#writeService(change.object)
      else if (change.table !== 'tasks') continue
      else if (change.kind === 'remove') this.tasks.delete(change.id)
      else this.#put(change.object)
    }
  }

  #writeService(service: Service): void {
    const before = new Set(this.service.cronStatus?.runs)
    for (const run of service.cronStatus?.runs ?? []) if (!before.has(run)) this.#note(run)
    this.service = service
  }

  #note(run: CronRun): void {
    if (run.iteration === undefined) this.missed += run.times
    else if (run.state === 'running') {
      if (this.begun.has(run.iteration)) throw new Error(`run ${run.iteration} begins twice`)
      if ([...this.begun.values()].includes(run.scheduledMs)) {
        throw new Error(`two runs for ${run.scheduledMs}`)
      }
      this.begun.set(run.iteration, run.scheduledMs)
    }
  }

  #put(task: Task): void {
    const { jobIteration = -1 } = task
    if (!this.begun.has(jobIteration)) throw new Error(`a task of run ${jobIteration}, not begun`)
    const isNew = !this.tasks.has(task.id)
    const place = `${jobIteration}/${task.slot}`
    if (isNew && this.done.has(place)) throw new Error(`${place} is run again`)
    this.tasks.set(task.id, task)
    const active = [...this.tasks.values()].filter(
      (one) =>
        one.jobIteration === jobIteration &&
        isActive(one) &&
        !isTerminal(one.state) &&
        one.slot === task.slot,
    )
    if (active.length > 1) throw new Error(`${active.length} tasks at ${place}`)
  }

  /** Agents do what they are told, and tasks end. */
  agents(fails: boolean): void {
    for (const task of this.tasks.values()) {
      if (isTerminal(task.state)) continue
      const at = { appliedAtMs: this.nowMs, nodeId: node.id }
      if (!isActive(task)) this.tasks.set(task.id, { ...task, ...at, state: TaskState.SHUTDOWN })
      else if (task.desiredState !== TaskState.COMPLETE) continue
      else if (task.state < TaskState.RUNNING) {
        this.tasks.set(task.id, { ...task, ...at, state: TaskState.RUNNING })
      } else {
        const state = fails ? TaskState.FAILED : TaskState.COMPLETE
        if (!fails) this.done.add(`${task.jobIteration}/${task.slot}`)
        this.tasks.set(task.id, { ...task, ...at, state })
      }
    }
  }

  /** Every time up to the last decision is accounted for. */
  check(): void {
    const mode = this.service.spec.mode
    if (mode.kind !== 'cron') return
    const decidedMs = this.service.cronStatus?.decidedMs ?? 0
    let times = 0
    let atMs = nextTimeMs(mode, startMs)
    while (atMs !== undefined && atMs <= decidedMs) {
      times += 1
      atMs = nextTimeMs(mode, atMs)
    }
    const told = this.begun.size + this.missed
    if (told !== times)
      throw new Error(`${times} times, ${this.begun.size} begun, ${this.missed} missed`)
    if (mode.concurrency === 'allow') return
    const going = this.service.cronStatus?.runs.filter(({ state }) => state === 'running') ?? []
    if (going.length > 1) throw new Error(`${going.length} runs beside one another`)
  }
}

const settings = fc.record({
  concurrency: fc.constantFrom('allow' as const, 'forbid' as const, 'replace' as const),
  missedWindowMs: fc.constantFrom(0, 30_000, 3_600_000),
  completions: fc.integer({ min: 1, max: 3 }),
  maxConcurrent: fc.integer({ min: 1, max: 2 }),
  retries: fc.nat(2),
})

const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('decide'), pick: fc.nat(4) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('lead'), pick: fc.constant(1_000) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('agents'), pick: fc.nat(3) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('time'), pick: fc.nat(90_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('away'), pick: fc.nat(600_000) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('clock'), pick: fc.nat(120_000) }) },
)

t.test('each time is run once or missed, whoever leads and whenever it crashes', async (t) => {
  fc.assert(
    fc.property(settings, fc.array(step, { maxLength: 60, size: 'max' }), (given, steps) => {
      const world = new World(given)
      for (const { kind, pick } of steps) {
        if (kind === 'decide' || kind === 'lead') world.decide(pick)
        else if (kind === 'agents') world.agents(pick === 0)
        else if (kind === 'clock') world.skewMs = pick - 60_000
        else world.nowMs += pick
        world.check()
      }
      // In calm all that was begun comes to an end.
      world.skewMs = Math.max(0, world.skewMs)
      for (let turn = 0; turn < 40; turn++) {
        world.decide(1_000)
        world.agents(false)
        world.nowMs += 1_000
      }
      world.check()
      if (world.begun.size + world.missed === 0 && world.nowMs > startMs + 180_000) {
        throw new Error('nothing was run')
      }
    }),
    { numRuns: 150 },
  )
  t.pass('held')
})
