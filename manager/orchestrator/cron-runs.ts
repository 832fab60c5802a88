// Which runs of a cron service are due, what becomes of each under the concurrency policy, and which are kept. About the list of runs alone,
// not about tasks (cron.ts).
import type { CronRun, CronStatus, Service } from '../../proto/objects/index.ts'
import { lastTimeMs, nextTimeMs, type Schedule } from '../../proto/spec/cron-schedule.ts'
import type { CronMode } from '../../proto/spec/service-mode.ts'

/** Of the log. */
export const missedRun = 'a run of a cron service was missed'

/** Times that are counted one by one; of more only so many are told. */
const timesMax = 100
/** Runs of one service that go on beside one another. */
const runningMax = 100
/** Missed and replaced runs that are remembered. */
const missedMax = 10

interface Deciding {
  readonly service: Service
  readonly mode: CronMode
  readonly status: CronStatus
}

/** The status with all runs that are due by then, each begun or missed. Of several that are due only the last is begun. */
export function withDueRuns({ service, mode, status }: Deciding, wallMs: number): CronStatus {
  let { runs, decidedMs, forced } = status
  const due = dueTimes(mode, decidedMs, wallMs)
  if (due !== undefined) {
    decidedMs = due.lastMs
    const isLate = wallMs - due.lastMs > mode.missedWindowMs
    const missed = isLate ? due.times : due.times - 1
    if (missed > 0) runs = [...runs, missedTimes({ ...due, times: missed }, isLate)]
    if (!isLate) runs = withRun(runs, due.lastMs, { service, mode, status }, wallMs)
  }
  const { forceUpdate } = service.spec.task
  if (forceUpdate > forced) {
    forced = forceUpdate
    runs = withRun(runs, wallMs, { service, mode, status }, wallMs)
  }
  return { runs, decidedMs, forced }
}

interface Due {
  readonly lastMs: number
  readonly times: number
  /** The last of those that are missed when the last of all is begun. */
  readonly beforeMs: number
}

/** The times of the schedule after one moment, up to another; undefined: there are none. O(timesMax). */
function dueTimes(schedule: Schedule, afterMs: number, untilMs: number): Due | undefined {
  let times = 0
  let [beforeMs, lastMs] = [0, 0]
  let atMs = nextTimeMs(schedule, afterMs)
  while (atMs !== undefined && atMs <= untilMs && times < timesMax) {
    times += 1
    ;[beforeMs, lastMs] = [lastMs, atMs]
    atMs = nextTimeMs(schedule, atMs)
  }
  if (times === 0) return undefined
  const hasMore = atMs !== undefined && atMs <= untilMs
  if (hasMore) lastMs = lastTimeMs(schedule, untilMs) ?? lastMs
  return { times, lastMs, beforeMs }
}

function missedTimes({ lastMs, beforeMs, times }: Due, isLate: boolean): CronRun {
  const many = times >= timesMax - 1 ? ' (that many or more)' : ''
  const why = isLate
    ? 'no manager could begin it within its window'
    : 'a later one was due at the same time'
  return {
    scheduledMs: isLate ? lastMs : beforeMs,
    iteration: undefined,
    state: 'missed',
    startedMs: 0,
    endedMs: 0,
    message: `${why}${many}`,
    times,
  }
}

/** With one more run, begun or missed as the concurrency policy says. */
function withRun(
  runs: readonly CronRun[],
  scheduledMs: number,
  { service, mode }: Deciding,
  wallMs: number,
): readonly CronRun[] {
  const going = runs.filter(({ state }) => state === 'running')
  const miss = (message: string): readonly CronRun[] => {
    const times = { startedMs: 0, endedMs: 0, times: 1 }
    return [...runs, { scheduledMs, iteration: undefined, state: 'missed', message, ...times }]
  }
  if (mode.concurrency === 'forbid' && going.length > 0) return miss('the run before it goes on')
  if (going.length >= runningMax) return miss(`${going.length} runs go on already`)
  const numbers = runs.map(({ iteration }) => iteration ?? 0)
  const iteration = Math.max(service.jobStatus?.iteration ?? 0, ...numbers) + 1
  const times = { startedMs: wallMs, endedMs: 0, times: 1 }
  const run: CronRun = { scheduledMs, iteration, state: 'running', message: '', ...times }
  if (mode.concurrency !== 'replace') return [...runs, run]
  const message = `run ${iteration} took its place`
  const replaced = runs.map(
    (one): CronRun =>
      one.state === 'running' ? { ...one, state: 'replaced', endedMs: wallMs, message } : one,
  )
  return [...replaced, run]
}

/** Those that go on, and of the others the newest, as many of each kind as the service keeps. */
export function keptRuns(runs: readonly CronRun[], mode: CronMode): readonly CronRun[] {
  const left = {
    completed: mode.keepCompleted,
    failed: mode.keepFailed,
    missed: missedMax,
    replaced: missedMax,
    running: runningMax,
  }
  const kept: CronRun[] = []
  for (const run of [...runs].reverse()) {
    if (left[run.state] <= 0) continue
    left[run.state] -= 1
    kept.push(run)
  }
  return kept.length === runs.length ? runs : kept.reverse()
}
