// What one part of the service model promises, looked at in every commit of a run.
import type { Change, ReadTx } from '../../../../manager/store/store.ts'

export interface Rule {
  /** Called once for each commit, by the first manager that applies it; `tx` shows the state right after it. */
  committed(changes: readonly Change[], tx: ReadTx): void
}

/** What a run may come to; a simulation that never does proves nothing about it. */
export const reachable = [
  'cron run begun',
  'cron run completed',
  'cron run failed',
  'cron run replaced',
  'cron time missed',
  'task waits for a service',
  'task starts after it waited',
  'task goes where its volume is',
  'volume of a slot that came back',
  'healthy',
  'unhealthy',
  'job task done',
  'update completed',
  'update paused',
  'update rolled back',
  'rollback completed',
  'new task beside the former',
  'task on a node that joined',
  'task moved to where few are',
] as const

export type Reached = (typeof reachable)[number]

/** What rules say, and to whom. */
export interface Findings {
  readonly fail: (what: string) => void
  readonly note: (what: Reached, times?: number) => void
}
