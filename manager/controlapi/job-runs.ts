// How a job begins, and begins again with each update of its service.
// Source: Docker Swarm's JobStatus (swarm-semantics 1.1 jobs, 2).
import type { Service } from '../../proto/objects/index.ts'
import { isJob } from '../../proto/spec/service-mode.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import type { Tx } from '../store/store.ts'

type Runs = Pick<Service, 'jobStatus' | 'cronStatus'>

/** Of a new service. */
export function firstRun(tx: Tx, { mode }: ServiceSpec): Runs {
  if (!isJob(mode)) return { jobStatus: undefined, cronStatus: undefined }
  return { jobStatus: { iteration: 0, lastExecutionMs: tx.nowMs }, cronStatus: undefined }
}

/** Of a service that gets the spec: every update runs a job again. */
export function nextRun(tx: Tx, { jobStatus, cronStatus }: Service, { mode }: ServiceSpec): Runs {
  if (jobStatus === undefined || !isJob(mode)) return { jobStatus, cronStatus }
  const iteration = jobStatus.iteration + 1
  return { jobStatus: { iteration, lastExecutionMs: tx.nowMs }, cronStatus }
}
