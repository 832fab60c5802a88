// Cron services: each time of the schedule is begun once or told as missed, whoever leads; runs go on beside one another only where that is
// allowed; what ended stays ended. Times are counted here by themselves: the schedules of a simulation say every minute.
import type { Change, ReadTx } from '../../../../manager/store/store.ts'
import {
  type CronRun,
  type CronStatus,
  type Service,
  type Task,
  TaskState,
} from '../../../../proto/objects/index.ts'
import type { Findings, Rule } from './rule.ts'

export const everyMinute = '* * * * *'

const minuteMs = 60_000
/** Beyond these they are told as that many or more. */
const timesMax = 100

export class CronRule implements Rule {
  readonly #findings: Findings
  /** Times that were begun, as `service/time`. */
  readonly #begun = new Set<string>()

  constructor(findings: Findings) {
    this.#findings = findings
  }

  committed(changes: readonly Change[], tx: ReadTx): void {
    for (const change of changes) {
      if (change.table === 'services' && change.kind === 'update') {
        if (change.object.spec.mode.kind === 'cron') this.#service(change.old, change.object, tx)
      } else if (change.table === 'tasks' && change.kind === 'create') this.#task(change.object, tx)
    }
  }

  #service({ cronStatus: before }: Service, now: Service, tx: ReadTx): void {
    const { cronStatus: after } = now
    if (before === after) return
    if (after === undefined) this.#fail(now, 'forgot its runs')
    else if (before !== undefined) {
      this.#times(now, before, after)
      this.#ends(now, before, after, tx)
    }
  }

  /** What was decided about now: as many times as there are. */
  #times(service: Service, before: CronStatus, after: CronStatus): void {
    const due = minuteOf(after.decidedMs) - minuteOf(before.decidedMs)
    if (due < 0)
      this.#fail(service, `was decided up to ${before.decidedMs}, then ${after.decidedMs}`)
    const known = new Set(before.runs.map(keyOf))
    const fresh = after.runs.filter((run) => !known.has(keyOf(run)))
    const told = fresh.reduce((sum, { times }) => sum + times, 0)
    if (told !== Math.min(due, timesMax)) {
      this.#fail(service, `was due ${due} times after ${before.decidedMs}, and ${told} were told`)
    }
    const newest = Math.max(0, ...before.runs.map(({ iteration }) => iteration ?? 0))
    for (const run of fresh) {
      if (run.iteration === undefined) this.#findings.note('cron time missed', run.times)
      else this.#run(service, run, { before, after, newest })
    }
  }

  #run(
    service: Service,
    { scheduledMs, iteration = 0, startedMs }: CronRun,
    at: { readonly before: CronStatus; readonly after: CronStatus; readonly newest: number },
  ): void {
    this.#findings.note('cron run begun')
    const name = `${service.id}/${scheduledMs}`
    if (this.#begun.has(name)) this.#fail(service, `was run twice for ${scheduledMs}`)
    this.#begun.add(name)
    const isOfTime = scheduledMs > at.before.decidedMs && scheduledMs <= at.after.decidedMs
    if (!isOfTime || scheduledMs % minuteMs !== 0)
      this.#fail(service, `was not due at ${scheduledMs}`)
    if (iteration <= at.newest) this.#fail(service, `gave number ${iteration} to a second run`)
    const { mode } = service.spec
    if (mode.kind === 'cron' && startedMs - scheduledMs > mode.missedWindowMs) {
      this.#fail(service, `began the run of ${scheduledMs} too late, at ${startedMs}`)
    }
    const going = at.after.runs.filter(({ state }) => state === 'running').length
    if (mode.kind === 'cron' && mode.concurrency !== 'allow' && going > 1) {
      this.#fail(service, `began a run beside ${going - 1} others`)
    }
  }

  #ends(service: Service, before: CronStatus, after: CronStatus, tx: ReadTx): void {
    for (const run of before.runs) {
      const now = after.runs.find((other) => keyOf(other) === keyOf(run))
      if (now === undefined && run.state === 'running' && !isHistoryFull(service, after)) {
        this.#fail(service, `forgot run ${run.iteration}, which goes on`)
      }
      if (now === undefined || now.state === run.state) continue
      if (run.state !== 'running')
        this.#fail(service, `has a run ${now.state} that was ${run.state}`)
      if (now.state === 'completed') this.#completed(service, now, tx)
      else if (now.state === 'failed') this.#findings.note('cron run failed')
      else if (now.state === 'replaced') this.#findings.note('cron run replaced')
    }
  }

  #completed(service: Service, { iteration }: CronRun, tx: ReadTx): void {
    this.#findings.note('cron run completed')
    const { mode } = service.spec
    if (mode.kind !== 'cron') return
    const done = new Set<number>()
    for (const task of tx.find('tasks', 'byService', service.id)) {
      if (task.jobIteration === iteration && task.state === TaskState.COMPLETE) done.add(task.slot)
    }
    if (done.size < mode.completions) {
      this.#fail(service, `called run ${iteration} completed with ${done.size} tasks`)
    }
  }

  /** Tasks are of runs that go on. */
  #task({ id, serviceId, jobIteration }: Task, tx: ReadTx): void {
    const service = tx.get('services', serviceId)
    if (service?.spec.mode.kind !== 'cron') return
    const run = service.cronStatus?.runs.find(({ iteration }) => iteration === jobIteration)
    if (run?.state === 'running') return
    this.#fail(service, `has a new task ${id} of run ${jobIteration}, which is ${run?.state}`)
  }

  #fail({ spec }: Service, what: string): void {
    this.#findings.fail(`cron service ${spec.name} ${what}`)
  }
}

/** Whether a run may have ended and be beyond what is kept, in one step. */
function isHistoryFull({ spec: { mode } }: Service, { runs }: CronStatus): boolean {
  if (mode.kind !== 'cron') return false
  const count = (wanted: CronRun['state']): number =>
    runs.filter(({ state }) => state === wanted).length
  return count('completed') >= mode.keepCompleted || count('failed') >= mode.keepFailed
}

function minuteOf(ms: number): number {
  return Math.floor(ms / minuteMs)
}

/** The same for one run, or one note of missed times, as long as it is there. */
function keyOf({ scheduledMs, iteration, times, message }: CronRun): string {
  return iteration === undefined ? `${scheduledMs} ${times} ${message}` : String(iteration)
}
