// `service inspect --pretty`, in docker's layout.
import { genericText, type Service } from '../../proto/objects/index.ts'
import { nextTimeMs, runTime } from '../../proto/spec/cron-schedule.ts'
import { type PayloadKind, payloadTarget } from '../../proto/spec/payload-spec.ts'
import { isJob, type ServiceMode } from '../../proto/spec/service-mode.ts'
import type {
  ContainerSpec,
  MountSpec,
  PlacementSpec,
  PortSpec,
  ResourceSpec,
  RestartPolicy,
  TaskSpec,
  UpdatePolicy,
} from '../../proto/spec/service-spec.ts'
import { binarySize, cpuCount, goDuration } from './human.ts'
import { familiarImage } from './image-name.ts'
import { mapLines } from './pretty.ts'
import { rightsLines, runningLines, settingLines, tuningLines } from './service-options-pretty.ts'

/** `networks`: names by id. */
export function prettyService(
  service: Service,
  networks: ReadonlyMap<string, string> = new Map(),
): string {
  const { spec } = service
  const { task } = spec
  const lines = [
    '',
    `ID:\t\t${service.id}`,
    `Name:\t\t${spec.name}`,
    ...mapLines('Labels:', spec.labels).map((line) => line.replace(/^ - /, ' ')),
    ...modeLines(spec.mode),
    ...statusLines(service),
    ...runLines(service),
    ...placementLines(task.placement),
    ...(isJob(spec.mode)
      ? []
      : [
          ...policyLines('UpdateConfig:', spec.update),
          ...policyLines('RollbackConfig:', spec.rollback),
        ]),
    ...restartLines(task.restart),
    ...containerLines(task.container),
    ...settingLines(task),
    ...mountLines(task.container.mounts),
    ...dependencyLines(task),
    ...payloadLines(task.container),
    ...logLines(task.container),
    ...resourceLines(task.limits, task.reservations),
    ...tuningLines(task.tuning),
    ...networkLines(service, networks),
    ...portLines(service),
  ]
  return `${lines.join('\n')}\n`
}

function modeLines(mode: ServiceMode): readonly string[] {
  switch (mode.kind) {
    case 'replicated':
      return ['Service Mode:\tReplicated', ` Replicas:\t${mode.replicas}`]
    case 'global':
      return ['Service Mode:\tGlobal']
    case 'replicated-job':
      return ['Service Mode:\tReplicated Job', ...sizeLines(mode)]
    case 'global-job':
      return ['Service Mode:\tGlobal Job']
    case 'cron':
      return [
        'Service Mode:\tCron',
        ` Schedule:\t${mode.schedule} (${mode.timeZone})`,
        ` Concurrency:\t${mode.concurrency}`,
        ` Missed Window:\t${goDuration(mode.missedWindowMs)}`,
        ...sizeLines(mode),
        ` Retries:\t${mode.retries}, at most ${goDuration(mode.backoffMaxMs)} apart`,
        ` Kept Runs:\t${mode.keepCompleted} completed, ${mode.keepFailed} failed`,
      ]
  }
}

function sizeLines(mode: {
  readonly completions: number
  readonly maxConcurrent: number
}): readonly string[] {
  return [` Max Concurrent:\t${mode.maxConcurrent}`, ` Total Completions:\t${mode.completions}`]
}

function statusLines({ updateStatus }: Service): readonly string[] {
  if (updateStatus === undefined) return []
  const { state, startedAtMs, completedAtMs, message } = updateStatus
  return [
    'UpdateStatus:',
    ` State:\t\t${state}`,
    ` Started:\t${new Date(startedAtMs).toISOString()}`,
    ...(completedAtMs === 0 ? [] : [` Completed:\t${new Date(completedAtMs).toISOString()}`]),
    ` Message:\t${message}`,
  ]
}

/** Runs of a cron service, the newest first. */
function runLines({ cronStatus, spec: { mode } }: Service): readonly string[] {
  if (cronStatus === undefined || mode.kind !== 'cron') return []
  const nextMs = nextTimeMs(mode, cronStatus.decidedMs)
  const runs = [...cronStatus.runs].reverse().map((run) => {
    const times = run.times === 1 ? '' : ` (${run.times} times)`
    const why = run.message === '' ? '' : `: ${run.message}`
    return `  ${runTime(run.scheduledMs)}\t${run.state}${times}${why}`
  })
  return [
    'Runs:',
    ` Next:\t\t${nextMs === undefined ? 'never' : runTime(nextMs)}`,
    ...(runs.length === 0 ? [] : [' Last:', ...runs]),
  ]
}

function policyLines(heading: string, policy: UpdatePolicy): readonly string[] {
  return [
    heading,
    ` Parallelism:\t${policy.parallelism}`,
    ...(policy.delayMs === 0 ? [] : [` Delay:\t\t${goDuration(policy.delayMs)}`]),
    ` On failure:\t${policy.failureAction}`,
    ` Monitoring Period: ${goDuration(policy.monitorMs)}`,
    ` Max failure ratio: ${policy.maxFailureRatio}`,
    ` ${heading === 'UpdateConfig:' ? 'Update order:     ' : 'Rollback order:   '} ${policy.order}`,
  ]
}

function placementLines(placement: PlacementSpec): readonly string[] {
  const lines = ['Placement:']
  if (placement.constraints.length > 0) {
    lines.push(` Constraints:\t[${placement.constraints.join(' ')}]`)
  }
  if (placement.spread.length > 0) lines.push(` Preferences:\t${placement.spread.join(', ')}`)
  if (placement.strategy !== '') lines.push(` Strategy:\t${placement.strategy}`)
  if (placement.maxReplicasPerNode > 0) {
    lines.push(` Max Replicas Per Node:\t${placement.maxReplicasPerNode}`)
  }
  return lines.length === 1 ? [] : lines
}

function restartLines(restart: RestartPolicy): readonly string[] {
  return [
    'RestartPolicy:',
    ` Condition:\t${restart.condition}`,
    ` Delay:\t\t${goDuration(restart.delayMs)}`,
    ...(restart.maxAttempts > 0 ? [` Max attempts:\t${restart.maxAttempts}`] : []),
    ...(restart.windowMs > 0 ? [` Window:\t${goDuration(restart.windowMs)}`] : []),
  ]
}

function containerLines(container: ContainerSpec): readonly string[] {
  const fields: readonly (readonly [string, string])[] = [
    ['Image:\t\t', familiarImage(container.image, false)],
    ['Command:\t', container.command.join(' ')],
    ['Args:\t\t', container.args.join(' ')],
    ['Env:\t\t', container.env.join(' ')],
    ['Dir:\t\t', container.workdir],
    ['User:\t\t', container.user],
    ['Hostname:\t', container.hostname],
    ['CapabilityAdd:\t', container.capAdd.join(' ')],
    ['CapabilityDrop:\t', container.capDrop.join(' ')],
  ]
  return [
    'ContainerSpec:',
    ...fields.filter(([, value]) => value !== '').map(([head, value]) => ` ${head}${value}`),
    ...runningLines(container),
    ...rightsLines(container),
  ]
}

function mountLines(mounts: readonly MountSpec[]): readonly string[] {
  if (mounts.length === 0) return []
  return [
    'Mounts:',
    ...mounts.flatMap((mount) => [
      ` Target:\t${mount.target}`,
      ...(mount.source === '' ? [] : [`  Source:\t${mount.source}`]),
      `  ReadOnly:\t${mount.readOnly}`,
      `  Type:\t\t${mount.kind}`,
      ...volumeLines(mount),
    ]),
  ]
}

function volumeLines(mount: MountSpec): readonly string[] {
  const { volumeDriver, volumeOptions, volumeLabels, volumeSubpath, volumeAffinity } = mount
  const { consistency } = mount
  const options = Object.entries(volumeOptions).map(([key, value]) => `${key}=${value}`)
  const labels = Object.entries(volumeLabels).map(([key, value]) => `${key}=${value}`)
  const fields: readonly (readonly [string, string])[] = [
    ['Driver:\t', volumeDriver],
    ['Options:\t', options.join(' ')],
    ['Labels:\t', labels.join(' ')],
    ['Subpath:\t', volumeSubpath],
    ['Affinity:\t', volumeAffinity],
    ['Consistency:\t', consistency],
  ]
  return fields.filter(([, value]) => value !== '').map(([head, value]) => `  ${head}${value}`)
}

function dependencyLines({ dependsOn }: TaskSpec): readonly string[] {
  if (dependsOn.length === 0) return []
  return ['DependsOn:', ...dependsOn.map(({ service, condition }) => ` ${service}:\t${condition}`)]
}

function payloadLines(container: ContainerSpec): readonly string[] {
  const lines = (kind: PayloadKind, uses: ContainerSpec['secrets']): readonly string[] =>
    uses.flatMap((use) => [
      ` Target:\t${payloadTarget(kind, use)}`,
      `  Source:\t${use.name} (${use.source})`,
      `  Mode:\t\t0${use.mode.toString(8)} ${use.uid}:${use.gid}`,
    ])
  const { secrets, configs } = container
  return [
    ...(secrets.length === 0 ? [] : ['Secrets:', ...lines('secret', secrets)]),
    ...(configs.length === 0 ? [] : ['Configs:', ...lines('config', configs)]),
  ]
}

function logLines({ logDriver }: ContainerSpec): readonly string[] {
  if (logDriver === undefined) return []
  return [
    'Log Driver:',
    ` Name:\t\t${logDriver.name}`,
    ...mapLines(' LogOpts:', logDriver.options).map((line) => line.replace(/^ - /, '  ')),
  ]
}

function resourceLines(limits: ResourceSpec, reservations: ResourceSpec): readonly string[] {
  const lines = [...amounts(' Reservations:', reservations), ...amounts(' Limits:', limits)]
  return lines.length === 0 ? [] : ['Resources:', ...lines]
}

function amounts(heading: string, resources: ResourceSpec): readonly string[] {
  const lines = [
    ...(resources.nanoCpus > 0 ? [`  CPU:\t\t${cpuCount(resources.nanoCpus)}`] : []),
    ...(resources.memoryBytes > 0 ? [`  Memory:\t${binarySize(resources.memoryBytes)}`] : []),
    ...(resources.pids > 0 ? [`  Pids:\t\t${resources.pids}`] : []),
    ...(resources.generic ?? []).map((one) => `  Generic:\t${genericText(one)}`),
  ]
  return lines.length === 0 ? [] : [heading, ...lines]
}

function networkLines({ spec }: Service, names: ReadonlyMap<string, string>): readonly string[] {
  const { networks } = spec.task
  const words = networks.map(({ target }) => names.get(target) ?? target)
  return [
    ...(words.length === 0 ? [] : [`Networks: ${words.join(' ')}`]),
    `Endpoint Mode:\t${spec.endpointMode}`,
  ]
}

/** Ingress ports as they were given. */
function portLines({ spec, endpoint }: Service): readonly string[] {
  const wished = spec.task.ports.filter(({ mode }) => mode === 'ingress')
  const ingress = endpoint.ports.map((port, i) => ({
    ...{ bindAddress: '', sources: [] },
    ...wished[i],
    ...port,
    mode: 'ingress' as const,
  }))
  const ports: readonly Omit<
    PortSpec,
    'name' | 'isMasqueraded' | 'isLocalFirst' | 'isFirewallFirst'
  >[] = [...spec.task.ports.filter(({ mode }) => mode === 'host'), ...ingress]
  if (ports.length === 0) return []
  return [
    'Ports:',
    ...ports.flatMap((port) => [
      ` PublishedPort = ${port.publishedPort === 0 ? 'any' : port.publishedPort}`,
      `  Protocol = ${port.protocol}`,
      `  TargetPort = ${port.targetPort}`,
      `  PublishMode = ${port.mode}`,
      ...(port.bindAddress === '' ? [] : [`  BindAddress = ${port.bindAddress}`]),
      ...(port.sources.length === 0 ? [] : [`  Sources = ${port.sources.join(' ')}`]),
    ]),
  ]
}
