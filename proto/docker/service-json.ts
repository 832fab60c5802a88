// A service and its spec as Docker's API shows them.
import type { CronRun, Service, UpdateStatus } from '../objects/index.ts'
import { nextTimeMs } from '../spec/cron-schedule.ts'
import { type CronMode, isJob, type ServiceMode } from '../spec/service-mode.ts'
import type { PortSpec, ServiceSpec, UpdatePolicy } from '../spec/service-spec.ts'
import { type Json, metaJson, omitEmpty } from './json.ts'
import { taskSpecJson } from './task-spec-json.ts'

/** Docker's Service. `subnets`: of its networks, by id; without them addresses have no prefix length. */
export function serviceJson(
  service: Service,
  subnets: ReadonlyMap<string, readonly string[]> = new Map(),
): Json {
  return {
    ID: service.id,
    ...metaJson(service),
    Spec: serviceSpecJson(service.spec),
    ...(service.previousSpec === undefined
      ? {}
      : { PreviousSpec: serviceSpecJson(service.previousSpec) }),
    ...(service.updateStatus === undefined
      ? {}
      : { UpdateStatus: updateStatusJson(service.updateStatus) }),
    ...jobStatusJson(service),
    ...cronStatusJson(service),
    Endpoint: {
      Spec: endpointSpecJson(service.spec),
      ...omitEmpty({ Ports: publishedJson(service), VirtualIPs: vipsJson(service, subnets) }),
    },
  }
}

function jobStatusJson({ jobStatus }: Service): object {
  if (jobStatus === undefined) return {}
  const { iteration, lastExecutionMs } = jobStatus
  const at = lastExecutionMs === 0 ? {} : { LastExecution: new Date(lastExecutionMs).toISOString() }
  return { JobStatus: { JobIteration: { Index: iteration }, ...at } }
}

/** Nothing of Docker's. */
function cronStatusJson({ cronStatus, spec: { mode } }: Service): object {
  if (cronStatus === undefined || mode.kind !== 'cron') return {}
  const nextMs = nextTimeMs(mode, cronStatus.decidedMs)
  const next = nextMs === undefined ? {} : { NextRun: new Date(nextMs).toISOString() }
  return { CronStatus: { ...next, Runs: [...cronStatus.runs].reverse().map(cronRunJson) } }
}

function cronRunJson(run: CronRun): Json {
  const at = (ms: number): string | undefined => (ms === 0 ? undefined : new Date(ms).toISOString())
  return {
    Scheduled: new Date(run.scheduledMs).toISOString(),
    State: run.state,
    ...omitUndefined({
      Iteration: run.iteration,
      Started: at(run.startedMs),
      Ended: at(run.endedMs),
      Message: run.message === '' ? undefined : run.message,
      Times: run.times === 1 ? undefined : run.times,
    }),
  }
}

function omitUndefined(values: Readonly<Record<string, string | number | undefined>>): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined))
}

/** Docker's ServiceSpec. */
export function serviceSpecJson(spec: ServiceSpec): Json {
  return {
    Name: spec.name,
    Labels: spec.labels,
    TaskTemplate: taskSpecJson(spec.task),
    Mode: modeJson(spec.mode),
    ...(isJob(spec.mode)
      ? {}
      : { UpdateConfig: policyJson(spec.update), RollbackConfig: policyJson(spec.rollback) }),
    EndpointSpec: endpointSpecJson(spec),
  }
}

/** Durations in nanoseconds. */
function policyJson(policy: UpdatePolicy): Json {
  return {
    Parallelism: policy.parallelism,
    ...(policy.delayMs === 0 ? {} : { Delay: policy.delayMs * 1_000_000 }),
    FailureAction: policy.failureAction,
    Monitor: policy.monitorMs * 1_000_000,
    MaxFailureRatio: policy.maxFailureRatio,
    Order: policy.order,
  }
}

function updateStatusJson({ state, startedAtMs, completedAtMs, message }: UpdateStatus): Json {
  return {
    State: state,
    StartedAt: new Date(startedAtMs).toISOString(),
    ...(completedAtMs === 0 ? {} : { CompletedAt: new Date(completedAtMs).toISOString() }),
    Message: message,
  }
}

function modeJson(mode: ServiceMode): Json {
  switch (mode.kind) {
    case 'replicated':
      return { Replicated: { Replicas: mode.replicas } }
    case 'global':
      return { Global: {} }
    case 'replicated-job': {
      const { maxConcurrent, completions } = mode
      return { ReplicatedJob: { MaxConcurrent: maxConcurrent, TotalCompletions: completions } }
    }
    case 'global-job':
      return { GlobalJob: {} }
    case 'cron':
      return { Cron: cronJson(mode) }
  }
}

/** No mode of Docker's; durations as there. */
function cronJson(mode: CronMode): Json {
  return {
    Schedule: mode.schedule,
    TimeZone: mode.timeZone,
    MissedWindow: mode.missedWindowMs * 1_000_000,
    Concurrency: mode.concurrency,
    MaxConcurrent: mode.maxConcurrent,
    TotalCompletions: mode.completions,
    KeepCompleted: mode.keepCompleted,
    KeepFailed: mode.keepFailed,
    Retries: mode.retries,
    BackoffMax: mode.backoffMaxMs * 1_000_000,
  }
}

function endpointSpecJson({ endpointMode, task }: ServiceSpec): Json {
  return { Mode: endpointMode, ...omitEmpty({ Ports: task.ports.map(portJson) }) }
}

/** Host ports as they are wished, ingress ports as they were given. */
function publishedJson({ spec, endpoint }: Service): readonly Json[] {
  const { ports } = spec.task
  const given = endpoint.ports.map(({ protocol, targetPort, publishedPort }) => ({
    Protocol: protocol,
    TargetPort: targetPort,
    PublishedPort: publishedPort,
    PublishMode: 'ingress',
  }))
  return [...ports.filter(({ mode }) => mode === 'host').map(portJson), ...given]
}

function vipsJson(
  { endpoint }: Service,
  subnets: ReadonlyMap<string, readonly string[]>,
): readonly Json[] {
  return endpoint.vips.flatMap(({ networkId, addresses }) =>
    addresses.map((address) => ({
      NetworkID: networkId,
      Addr: withPrefix(address, subnets.get(networkId) ?? []),
    })),
  )
}

function withPrefix(address: string, subnets: readonly string[]): string {
  const own = subnets.find((subnet) => subnet.includes(':') === address.includes(':'))
  return own === undefined ? address : `${address}/${own.split('/')[1] ?? ''}`
}

function portJson(port: PortSpec): Json {
  return {
    ...(port.name === '' ? {} : { Name: port.name }),
    Protocol: port.protocol,
    TargetPort: port.targetPort,
    ...(port.publishedPort === 0 ? {} : { PublishedPort: port.publishedPort }),
    PublishMode: port.mode,
    ...omitEmpty({
      BindAddress: port.bindAddress,
      Sources: port.sources,
      Masquerade: port.isMasqueraded,
      LocalFirst: port.isLocalFirst,
      FirewallFirst: port.isFirewallFirst,
    }),
  }
}
