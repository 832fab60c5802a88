// Runs cron services: begins a run of the job when its schedule says so, once, or notes that it was missed; ends runs, and forgets old ones.
// All that was decided is in the service (CronStatus), written in the same step as it is decided, so a new leader goes on from there.
// Source: the semantics of Kubernetes' CronJob (starting deadline, concurrency policy, history limits, backoff); Swarm has no such mode.
import {
  type CronRun,
  type CronStatus,
  type DecisionEnv,
  type Plan,
  type PlanNote,
  type Service,
  type Task,
  TaskState,
} from '../../proto/objects/index.ts'
import { nextTimeMs } from '../../proto/spec/cron-schedule.ts'
import type { CronMode } from '../../proto/spec/service-mode.ts'
import { keptRuns, missedRun, withDueRuns } from './cron-runs.ts'
import { doneSlots, failedSlots, type JobRun, planRun, sizesOf } from './job.ts'
import { endedByItself, hasEndedOnItsOwn } from './restart.ts'
import { PlanDraft, type ServiceView } from './service-view.ts'
import { planOf } from './settle.ts'
import { isOutOfTheWay, type Slot } from './slot.ts'

/** A wall clock that is set anew is noticed after this long. */
const lookAgainMs = 60_000

/** Decides about a cron service. Needs all of its tasks. O(tasks). */
export function reconcileCron(view: ServiceView, env: DecisionEnv): Plan {
  const { service } = view
  const mode = service?.spec.mode
  const draft = new PlanDraft()
  if (service === undefined || mode?.kind !== 'cron') return planOf(draft, env)
  const before = statusOf(service, env)
  const ended = before.runs.map((run) => endOf(run, mode, { view, env }))
  const now = withDueRuns({ service, mode, status: { ...before, runs: ended } }, env.wallMs)
  const status = { ...now, runs: keptRuns(now.runs, mode) }
  if (!isSame(service.cronStatus, status)) draft.updateService(begun(service, status, env))
  planTasks({ service, mode, status }, view, { draft, env })
  const nextMs = nextTimeMs(mode, Math.max(status.decidedMs, env.wallMs))
  const inMs = nextMs === undefined ? lookAgainMs : Math.min(lookAgainMs, nextMs - env.wallMs)
  draft.wakeAt(env.nowMs + Math.max(1, inMs))
  return { ...planOf(draft, env), notes: notesOf(service, before.runs, now.runs) }
}

/** Of a service that was never looked at: nothing before now is due. */
function statusOf({ cronStatus, spec }: Service, env: DecisionEnv): CronStatus {
  return cronStatus ?? { decidedMs: env.wallMs, forced: spec.task.forceUpdate, runs: [] }
}

function isSame(a: CronStatus | undefined, b: CronStatus): boolean {
  return (
    a !== undefined &&
    a.decidedMs === b.decidedMs &&
    a.forced === b.forced &&
    a.runs.length === b.runs.length &&
    a.runs.every((run, i) => run === b.runs[i])
  )
}

/** With the number of the newest run, which no other run ever gets. */
function begun(service: Service, cronStatus: CronStatus, env: DecisionEnv): Service {
  const { jobStatus } = service
  const newest = Math.max(0, ...cronStatus.runs.map(({ iteration }) => iteration ?? 0))
  if (newest <= (jobStatus?.iteration ?? 0)) return { ...service, cronStatus }
  return { ...service, cronStatus, jobStatus: { iteration: newest, lastExecutionMs: env.nowMs } }
}

interface Looking {
  readonly view: ServiceView
  readonly env: DecisionEnv
}

/** The run as its tasks say. */
function endOf(run: CronRun, mode: CronMode, { view, env }: Looking): CronRun {
  if (run.state !== 'running') return run
  const own = tasksOf(run, view)
  const done = doneSlots(own.tasks).length
  if (done >= mode.completions) {
    return { ...run, state: 'completed', endedMs: env.wallMs }
  }
  const failed = failedSlots(own, (slot) => withBackoff(own, slot, mode))
  if (failed.length === 0 || done + failed.length < mode.completions) return run
  const err = failed.map(({ head }) => head.err).find((text) => text !== '') ?? ''
  const tries = `${failed.length} of ${mode.completions} tasks failed`
  const message = err === '' ? tries : `${tries}: ${err}`
  return { ...run, state: 'failed', endedMs: env.wallMs, message }
}

function tasksOf({ iteration }: CronRun, view: ServiceView): ServiceView {
  return { ...view, tasks: view.tasks.filter((task) => task.jobIteration === iteration) }
}

/** The restart policy of a run: so many tries, ever further apart. */
function withBackoff(view: ServiceView, slot: Slot, mode: CronMode): ServiceView {
  const failures = slot.tasks.filter((task) => endedByItself(task, view)).length
  return {
    ...view,
    taskSpec: (hash) => {
      const spec = view.taskSpec(hash)
      if (spec === undefined) return undefined
      const { restart } = spec
      const doubled = restart.delayMs * 2 ** Math.min(30, Math.max(0, failures - 1))
      const delayMs = Math.max(restart.delayMs, Math.min(mode.backoffMaxMs, doubled))
      const hasFailed = hasEndedOnItsOwn(slot.head)
      const condition = mode.retries === 0 && hasFailed ? 'none' : restart.condition
      const maxAttempts = mode.retries
      return { ...spec, restart: { condition, delayMs, maxAttempts, windowMs: 0 } }
    },
  }
}

interface Runs {
  readonly service: Service
  readonly mode: CronMode
  readonly status: CronStatus
}

/** Tasks of runs that go on are made and tried again; those of runs that nobody keeps go away. */
function planTasks(
  { service, mode, status }: Runs,
  view: ServiceView,
  drafting: { readonly draft: PlanDraft; readonly env: DecisionEnv },
): void {
  const kept = new Map(status.runs.map((run) => [run.iteration, run]))
  const leaving: Task[] = []
  for (const task of view.tasks) {
    const run = kept.get(task.jobIteration)
    if (run !== undefined && run.state !== 'replaced') continue
    leaving.push(task)
    if (task.desiredState >= TaskState.REMOVE) continue
    drafting.draft.update({ ...task, desiredState: TaskState.REMOVE })
  }
  // A run that replaces another does not work beside it.
  const mustWait =
    mode.concurrency === 'replace' && leaving.some((task) => !isOutOfTheWay(task, view))
  for (const run of status.runs) {
    if (run.state !== 'running' || run.iteration === undefined) continue
    const own = tasksOf(run, view)
    if (mustWait && own.tasks.length === 0) continue
    const viewOf = (slot: Slot) => withBackoff(own, slot, mode)
    const job: JobRun = { service, iteration: run.iteration, ...sizesOf(mode), viewOf }
    planRun(job, own, drafting)
  }
}

function notesOf(
  { id, spec }: Service,
  before: readonly CronRun[],
  now: readonly CronRun[],
): readonly PlanNote[] {
  const known = new Set(before)
  const missed = now.filter((run) => run.state === 'missed' && !known.has(run))
  return missed.map(({ scheduledMs, times, message }) => ({
    message: missedRun,
    fields: { serviceId: id, service: spec.name, scheduledMs, times, why: message },
  }))
}
