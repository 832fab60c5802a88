// ServiceMode, JobStatus and CronStatus <-> protobuf.
import type {
  CronStatus as CronStatusProto,
  ServiceSpec as ServiceSpecProto,
} from '../gen/tsswarm/v1/objects.ts'
import type { CronRun, CronStatus } from '../objects/job.ts'
import type { CronMode, ServiceMode } from '../spec/service-mode.ts'

type ModeProto = NonNullable<ServiceSpecProto['mode']>

export function modeToProto(mode: ServiceMode): ModeProto {
  switch (mode.kind) {
    case 'replicated':
      return { $case: 'replicated', value: { replicas: mode.replicas } }
    case 'global':
      return { $case: 'global', value: {} }
    case 'replicated-job': {
      const { completions, maxConcurrent } = mode
      return { $case: 'replicatedJob', value: { completions, maxConcurrent } }
    }
    case 'global-job':
      return { $case: 'globalJob', value: {} }
    case 'cron': {
      const { kind: _, ...value } = mode
      return { $case: 'cron', value }
    }
  }
}

/** Absent: replicated, once. */
export function modeFromProto(proto: ServiceSpecProto['mode']): ServiceMode {
  switch (proto?.$case) {
    case undefined:
      return { kind: 'replicated', replicas: 1 }
    case 'replicated':
      return { kind: 'replicated', replicas: proto.value.replicas }
    case 'global':
      return { kind: 'global' }
    case 'replicatedJob':
      return { kind: 'replicated-job', ...jobOf(proto.value) }
    case 'globalJob':
      return { kind: 'global-job' }
    case 'cron': {
      const { timeZone, concurrency, ...rest } = proto.value
      return {
        kind: 'cron',
        ...rest,
        timeZone: timeZone === '' ? 'UTC' : timeZone,
        concurrency: (concurrency === '' ? 'forbid' : concurrency) as CronMode['concurrency'],
      }
    }
  }
}

function jobOf(value: { readonly completions: number; readonly maxConcurrent: number }) {
  return { completions: value.completions, maxConcurrent: value.maxConcurrent }
}

export function cronStatusToProto({ decidedMs, forced, runs }: CronStatus): CronStatusProto {
  return { decidedMs, forced, runs: runs.map((run) => ({ ...run })) }
}

export function cronStatusFromProto({ decidedMs, forced, runs }: CronStatusProto): CronStatus {
  return {
    decidedMs,
    forced,
    runs: runs.map((run) => ({
      scheduledMs: run.scheduledMs,
      iteration: run.iteration,
      state: run.state as CronRun['state'],
      startedMs: run.startedMs,
      endedMs: run.endedMs,
      message: run.message,
      times: run.times,
    })),
  }
}
