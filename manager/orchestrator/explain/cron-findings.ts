// What a cron service did last, and when and whether it runs next.
import type { CronRun, CronStatus, Service } from '../../../proto/objects/index.ts'
import { nextTimeMs, runTime } from '../../../proto/spec/cron-schedule.ts'
import type { CronMode } from '../../../proto/spec/service-mode.ts'
import { type Finding, spanText } from './finding.ts'

/** Of other services: nothing. Times of runs are wall time. */
export function cronFindings({ spec, cronStatus }: Service, wallMs: number): readonly Finding[] {
  const { mode, name } = spec
  if (mode.kind !== 'cron') return []
  return [
    withName(name, nextRun(mode, cronStatus, wallMs)),
    ...suspended(mode).map((one) => withName(name, one)),
    ...goingRuns(mode, cronStatus, wallMs),
    ...lastRun(mode, cronStatus, wallMs),
    ...missedRuns(mode, cronStatus, wallMs).map((one) => withName(name, one)),
  ]
}

/** What to do, to be typed as it is. */
function withName(name: string, finding: Finding): Finding {
  const { remedy } = finding
  return remedy === undefined ? finding : { ...finding, remedy: remedy.replace('SERVICE', name) }
}

function nextRun(mode: CronMode, status: CronStatus | undefined, wallMs: number): Finding {
  const schedule = `"${mode.schedule}" (${mode.timeZone})`
  const nextMs = nextTimeMs(mode, Math.max(status?.decidedMs ?? 0, wallMs))
  if (nextMs === undefined) {
    const remedy = '"tsswarm service update --schedule … SERVICE"'
    return { code: 'NEXT_RUN', text: `its schedule ${schedule} has no time to come`, remedy }
  }
  const dueMs = status === undefined ? undefined : nextTimeMs(mode, status.decidedMs)
  if (dueMs !== undefined && dueMs <= wallMs) {
    const text = `a run was due ${spanText(wallMs - dueMs)} ago and is about to be decided: its schedule is ${schedule}`
    return { code: 'NEXT_RUN', text }
  }
  const text = `its next run is due in ${spanText(nextMs - wallMs)}, at ${runTime(nextMs)}: its schedule is ${schedule}`
  return { code: 'NEXT_RUN', text }
}

function suspended({ completions }: CronMode): readonly Finding[] {
  if (completions > 0) return []
  const text = 'it is suspended: its runs have no tasks, because its replicas are 0'
  return [{ code: 'SUSPENDED', text, remedy: '"tsswarm service update --replicas 1 SERVICE"' }]
}

/** What goes on now decides about the run that is due next. */
function goingRuns(
  { concurrency }: CronMode,
  status: CronStatus | undefined,
  wallMs: number,
): readonly Finding[] {
  const effect = {
    forbid: 'a run that is due meanwhile is missed (concurrency forbid)',
    replace: 'the next run takes its place (concurrency replace)',
    allow: 'the next run goes on beside it (concurrency allow)',
  }[concurrency]
  return ofState(status, 'running').map(({ scheduledMs, startedMs }) => ({
    code: 'RUN',
    text: `its run of ${runTime(scheduledMs)} goes on since ${spanText(wallMs - startedMs)}: ${effect}`,
  }))
}

function lastRun(
  { retries }: CronMode,
  status: CronStatus | undefined,
  wallMs: number,
): readonly Finding[] {
  const ended = ['completed', 'failed', 'replaced'] as const
  const last = status?.runs.findLast(({ state }) => ended.some((one) => one === state))
  if (last === undefined) {
    const none = ofState(status, 'running').length === 0
    return none ? [{ code: 'LAST_RUN', text: 'no run of it has ended yet' }] : []
  }
  const why = last.message === '' ? '' : `: ${last.message}`
  const ago = spanText(wallMs - last.endedMs)
  const text = `its run of ${runTime(last.scheduledMs)} was ${last.state} ${ago} ago${why}`
  const isFailed = last.state === 'failed'
  const causes = isFailed ? [`a failed task is tried again ${retries} times in a run`] : []
  return [{ code: 'LAST_RUN', text, causes }]
}

function missedRuns(
  { missedWindowMs, concurrency }: CronMode,
  status: CronStatus | undefined,
  wallMs: number,
): readonly Finding[] {
  const last = ofState(status, 'missed').at(-1)
  if (last === undefined) return []
  const { scheduledMs, times, message } = last
  const more = times === 1 ? '' : ` and ${times - 1} before it`
  const ago = spanText(wallMs - scheduledMs)
  return [
    {
      code: 'MISSED_RUN',
      text: `its run of ${runTime(scheduledMs)}${more} was missed ${ago} ago: ${message}`,
      causes: [`a run may begin ${spanText(missedWindowMs)} late; concurrency is ${concurrency}`],
      remedy: '"tsswarm service update --force SERVICE" begins a run at once',
    },
  ]
}

function ofState(status: CronStatus | undefined, wanted: CronRun['state']): readonly CronRun[] {
  return (status?.runs ?? []).filter(({ state }) => state === wanted)
}
