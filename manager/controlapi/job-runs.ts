// How a job begins, and begins again with each update of its service.
// Source: Docker Swarm's JobStatus (swarm-semantics 1.1 jobs, 2).
import type { Service } from '../../proto/objects/index.ts'
import { type CronMode, isJob } from '../../proto/spec/service-mode.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import type { Tx } from '../store/store.ts'

type Runs = Pick<Service, 'jobStatus' | 'cronStatus'>

/** Of a new service. `wallMs`: before that no run of a cron service is due. */
export function firstRun(tx: Tx, { mode, task }: ServiceSpec, wallMs: number): Runs {
  if (!isJob(mode)) return { jobStatus: undefined, cronStatus: undefined }
  if (mode.kind === 'cron') {
    const cronStatus = { decidedMs: Math.floor(wallMs), forced: task.forceUpdate, runs: [] }
    return { jobStatus: { iteration: 0, lastExecutionMs: 0 }, cronStatus }
  }
  return { jobStatus: { iteration: 0, lastExecutionMs: tx.nowMs }, cronStatus: undefined }
}

/** Of a service that gets the spec: every update runs a job again; a cron service waits for its schedule. */
export function nextRun(tx: Tx, before: Service, { mode }: ServiceSpec, wallMs: number): Runs {
  const { jobStatus, cronStatus, spec } = before
  if (jobStatus === undefined || !isJob(mode)) return { jobStatus, cronStatus }
  if (mode.kind === 'cron') {
    const isMoved = spec.mode.kind !== 'cron' || !isSameTimes(spec.mode, mode)
    if (cronStatus === undefined || !isMoved) return { jobStatus, cronStatus }
    return { jobStatus, cronStatus: { ...cronStatus, decidedMs: Math.floor(wallMs) } }
  }
  const iteration = jobStatus.iteration + 1
  return { jobStatus: { iteration, lastExecutionMs: tx.nowMs }, cronStatus }
}

function isSameTimes(a: CronMode, b: CronMode): boolean {
  return a.schedule === b.schedule && a.timeZone === b.timeZone
}
