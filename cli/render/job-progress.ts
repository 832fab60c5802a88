// How far a job is, for whoever waits for it. Not for services, which run on (progress.ts).

import { modeFromProto } from '../../proto/codec/service-mode.ts'
import type { WatchServiceResponse } from '../../proto/gen/tsswarm/v1/control.ts'

/** What kind of end the service is waited for. */
export type Waiting =
  | { readonly kind: 'running' }
  /** `total`: how many tasks must end well. */
  | { readonly kind: 'completed'; readonly total: number; readonly iteration: number }
  /** Nothing: its runs begin when they are due. */
  | { readonly kind: 'scheduled'; readonly nextRunMs: number }

export function waitingOf(update: WatchServiceResponse): Waiting {
  const { service, desiredTasks = 0, completedTasks = 0, nextRunMs = 0 } = update.service ?? {}
  const mode = modeFromProto(service?.spec?.mode)
  const iteration = service?.jobStatus?.iteration ?? 0
  switch (mode.kind) {
    case 'replicated':
    case 'global':
      return { kind: 'running' }
    case 'replicated-job':
      return { kind: 'completed', total: mode.completions, iteration }
    case 'global-job':
      return { kind: 'completed', total: desiredTasks + completedTasks, iteration }
    case 'cron':
      return { kind: 'scheduled', nextRunMs }
  }
}
