// Health checks of specs, and what is known of a task's health <-> protobuf.
import type {
  HealthcheckSpec as HealthcheckSpecProto,
  TaskHealth as TaskHealthProto,
} from '../gen/tsswarm/v1/objects.ts'
import type { TaskHealth } from '../objects/task.ts'
import type { HealthcheckSpec } from '../spec/healthcheck-spec.ts'

export function healthcheckToProto(spec: HealthcheckSpec): HealthcheckSpecProto {
  return { ...spec, http: spec.http, tcp: spec.tcp }
}

/** The field of a container spec: none when it was not written. */
export function healthcheckFromProto(proto: HealthcheckSpecProto | undefined): {
  readonly healthcheck?: HealthcheckSpec
} {
  if (proto === undefined) return {}
  const { http, tcp, ...same } = proto
  return {
    healthcheck: {
      ...same,
      ...(http === undefined ? {} : { http: { ...http, path: http.path || '/' } }),
      ...(tcp === undefined ? {} : { tcp }),
    },
  }
}

/** A state that this version does not know reads as starting: nobody is stopped for it. */
export function taskHealthFromProto(proto: TaskHealthProto | undefined): TaskHealth | undefined {
  if (proto === undefined) return undefined
  const { state, failures, failedAtMs, output } = proto
  const known = state === 'healthy' || state === 'unhealthy' ? state : 'starting'
  return { state: known, failures, failedAtMs, output }
}

export function taskHealthToProto(health: TaskHealth | undefined): TaskHealthProto | undefined {
  return health === undefined ? undefined : { ...health }
}
