// The mode of a service from its flags: which flags go with which mode, and what becomes of the mode when they are given again.
// Source: Docker's client, where it has the mode (swarm-semantics 3.1).
import { replicasMax, type ServiceKind, type ServiceMode } from '../../proto/spec/service-mode.ts'
import { choice, duration, type Flags, type FlagValues, integer, text } from '../flags.ts'
import { usage } from '../parse-args.ts'
import { defined } from './defined.ts'

const kinds = ['replicated', 'global', 'replicated-job', 'global-job', 'cron'] as const
const tasks = { min: 0, max: replicasMax }
const kept = { min: 0, max: 1_000 }

/** Of a service that is there as well. */
export const modeFlags = {
  replicas: integer(
    'Number of tasks; of a job and of each cron run: how many must end well',
    tasks,
  ),
  'max-concurrent': integer(
    'Number of tasks of a job that run at a time (default equal to --replicas)',
    { min: 1, max: replicasMax },
  ),
  schedule: text('When runs of a cron service begin: five fields, or @daily and the like', {
    takes: 'cron',
  }),
  'time-zone': text('Time zone of the schedule, such as Europe/Berlin', { takes: 'zone' }),
  'cron-missed-window': duration('How late a run may begin before it counts as missed'),
  'cron-concurrency': choice(
    'When a run is due while another goes on: forbid (it is missed), allow, or replace',
    ['forbid', 'allow', 'replace'],
  ),
  'cron-keep-completed': integer('Number of completed runs whose tasks are kept', kept),
  'cron-keep-failed': integer('Number of failed runs whose tasks are kept', kept),
  'cron-retries': integer('How often a task that failed is tried again in one run', kept),
  'cron-backoff-max': duration('The delay between tries doubles from --restart-delay up to this'),
} satisfies Flags

const shown: Readonly<Record<string, string>> = {
  replicas: '1',
  'time-zone': 'UTC',
  'cron-missed-window': '1h',
  'cron-concurrency': 'forbid',
  'cron-keep-completed': '3',
  'cron-keep-failed': '1',
  'cron-retries': '6',
  'cron-backoff-max': '5m',
}

/** Of a new service. */
export const newModeFlags = {
  ...(Object.fromEntries(
    Object.entries(modeFlags).map(([name, flag]) => [name, { ...flag, shown: shown[name] ?? '' }]),
  ) as typeof modeFlags),
  mode: choice(`Service mode: ${kinds.join(', ')}`, kinds, { shown: 'replicated' }),
} satisfies Flags

export type ModeFlags = FlagValues<typeof modeFlags>

const cronOnly = Object.keys(modeFlags).filter(
  (name) => name !== 'replicas' && name !== 'max-concurrent',
)

/** Errors: USAGE for a flag that is not for the mode. */
export function newMode(flags: FlagValues<typeof newModeFlags>): ModeInput {
  const kind = flags.mode ?? 'replicated'
  refuseOthers(kind, flags)
  switch (kind) {
    case 'replicated':
      return { kind, replicas: flags.replicas ?? 1 }
    case 'global':
    case 'global-job':
      return { kind }
    case 'replicated-job':
      return { kind, ...jobSizes(flags) }
    case 'cron': {
      const { schedule } = flags
      if (schedule === undefined) throw usage('--mode cron needs --schedule, such as "30 2 * * *"')
      return { kind, ...jobSizes(flags), schedule, ...cronInput(flags) }
    }
  }
}

/** What the schema makes a mode of. */
type ModeInput =
  | Exclude<ServiceMode, { readonly kind: 'cron' }>
  | (Partial<Extract<ServiceMode, { readonly kind: 'cron' }>> & {
      readonly kind: 'cron'
      readonly schedule: string
    })

function jobSizes({ replicas, 'max-concurrent': most }: ModeFlags): {
  readonly completions: number
  readonly maxConcurrent: number
} {
  const completions = replicas ?? 1
  return { completions, maxConcurrent: most ?? Math.max(1, completions) }
}

function cronInput(flags: ModeFlags) {
  return defined({
    timeZone: flags['time-zone'],
    missedWindowMs: flags['cron-missed-window'],
    concurrency: flags['cron-concurrency'],
    keepCompleted: flags['cron-keep-completed'],
    keepFailed: flags['cron-keep-failed'],
    retries: flags['cron-retries'],
    backoffMaxMs: flags['cron-backoff-max'],
  })
}

/** The mode with what the flags say. Errors: USAGE for a flag that is not for it. */
export function changedMode(mode: ServiceMode, flags: ModeFlags): ServiceMode {
  refuseOthers(mode.kind, flags)
  const { replicas, 'max-concurrent': maxConcurrent, schedule } = flags
  switch (mode.kind) {
    case 'replicated':
      return { ...mode, ...defined({ replicas }) }
    case 'global':
    case 'global-job':
      return mode
    case 'replicated-job':
      return { ...mode, ...defined({ completions: replicas, maxConcurrent }) }
    case 'cron': {
      const sizes = defined({ completions: replicas, maxConcurrent, schedule })
      return { ...mode, ...sizes, ...cronInput(flags) }
    }
  }
}

function refuseOthers(kind: ServiceKind, flags: ModeFlags): void {
  const given: Readonly<Record<string, unknown>> = flags
  const refuse = (name: string, modes: string): void => {
    if (given[name] === undefined) return
    throw usage(`--${name} can only be used with ${modes} mode, and the service is ${kind}`)
  }
  if (kind === 'global' || kind === 'global-job') {
    refuse('replicas', 'replicated, replicated-job or cron')
  }
  if (kind !== 'replicated-job' && kind !== 'cron') {
    refuse('max-concurrent', 'replicated-job or cron')
  }
  if (kind !== 'cron') for (const name of cronOnly) refuse(name, 'cron')
}

/** How many tasks the service is to have; of a job, how many must end well. Errors: USAGE for a mode without replicas. */
export function scaledMode(mode: ServiceMode, replicas: number): ServiceMode {
  switch (mode.kind) {
    case 'replicated':
      return { ...mode, replicas }
    case 'replicated-job':
    case 'cron':
      return { ...mode, completions: replicas }
    case 'global':
    case 'global-job':
      throw usage(
        `scale can only be used with replicated or replicated-job mode, and the service is ${mode.kind}: ` +
          'it has one task on each node that fits',
      )
  }
}
