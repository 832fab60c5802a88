// A health check as Docker's API shows it. Http and Tcp are ours.
import type { HealthcheckSpec } from '../spec/healthcheck-spec.ts'
import { type Json, nanoseconds, omitEmpty } from './json.ts'

/** Docker's HealthConfig; empty for none. */
export function healthcheckJson(spec: HealthcheckSpec | undefined): Json {
  if (spec === undefined) return {}
  const { http, tcp } = spec
  return omitEmpty({
    Test: spec.test,
    Interval: nanoseconds(spec.intervalMs),
    Timeout: nanoseconds(spec.timeoutMs),
    StartPeriod: nanoseconds(spec.startPeriodMs),
    StartInterval: nanoseconds(spec.startIntervalMs),
    Retries: spec.retries,
    Http: http && { Port: http.port, Path: http.path },
    Tcp: tcp && { Port: tcp.port },
  })
}
