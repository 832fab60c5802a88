// Where a job stands, and the runs of a cron service.

export interface JobStatus {
  /** Counts how often the job was begun, from 0. */
  readonly iteration: number
  /** When it was begun last; cluster time. */
  readonly lastExecutionMs: number
}

export type CronRunState = 'running' | 'completed' | 'failed' | 'replaced' | 'missed'

/** A run that was begun, or times at which none was. */
export interface CronRun {
  /** When it was to begin; of several missed times the last. */
  readonly scheduledMs: number
  /** That of its tasks; undefined: it was missed and has none. */
  readonly iteration: number | undefined
  readonly state: CronRunState
  readonly startedMs: number
  /** 0: it goes on. */
  readonly endedMs: number
  /** Why it failed or was missed. */
  readonly message: string
  /** How many times of the schedule it stands for. */
  readonly times: number
}

export interface CronStatus {
  /** All times of the schedule up to this one have been decided about; wall clock. */
  readonly decidedMs: number
  /** Up to which task.forceUpdate a run was begun. */
  readonly forced: number
  /** Those that go on, and the last of those that ended or were missed; oldest first. */
  readonly runs: readonly CronRun[]
}
