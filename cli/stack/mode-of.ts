// How many tasks a compose service has and whether they run to an end: deploy.mode, deploy.replicas, x-schedule.
// Source: swarm-semantics 3.1 and 4; cron services are beyond Swarm.

import { hasCode } from '../../proto/errors.ts'
import { parseSpec } from '../../proto/spec/parse-spec.ts'
import { type ServiceMode, serviceMode } from '../../proto/spec/service-mode.ts'
import type { ServiceSpecInput } from '../../proto/spec/service-spec.ts'
import { defined } from '../service/defined.ts'
import { countOf, durationOf, refuseOthers, textOf } from './extras.ts'
import type { Section } from './section.ts'

type ModeInput = ServiceSpecInput['mode']

const kinds = ['replicated', 'global', 'replicated-job', 'global-job', 'cron'] as const

/** Undefined: it is wrong, which is told where the section's findings are kept. */
export function modeOf(service: Section): ModeInput {
  const deploy = service.section('deploy')
  const word = deploy?.text('mode') ?? ''
  const given = kinds.find((kind) => kind === word)
  if (deploy !== undefined && word !== '' && given === undefined) {
    return deploy.fault('mode', `must be one of ${kinds.join(', ')}, not "${word}"`)
  }
  if (service.has('x-schedule')) return scheduleOf(service, deploy, given)
  const kind = given ?? 'replicated'
  const replicas = deploy?.number('replicas')
  switch (kind) {
    case 'cron':
      return deploy?.fault(
        'mode',
        'cron needs a schedule: write x-schedule: {cron: "30 2 * * *"} beside "deploy"',
      )
    case 'global':
    case 'global-job':
      if (replicas === undefined || replicas === 0) return { kind }
      return deploy?.fault(
        'replicas',
        `goes with mode replicated and replicated-job only, not ${kind}`,
      )
    case 'replicated':
      return parsed({ kind, replicas: replicas ?? 1 }, () => [deploy, 'replicas'])
    case 'replicated-job':
      return parsed({ kind, ...sizesOf(replicas) }, () => [deploy, 'replicas'])
  }
}

/** As Swarm's client: all that are to end well run at a time. */
function sizesOf(replicas = 1): { readonly completions: number; readonly maxConcurrent: number } {
  return { completions: replicas, maxConcurrent: Math.max(replicas, 1) }
}

const schedulePlaces: Readonly<Record<string, string>> = {
  schedule: 'cron',
  timeZone: 'time_zone',
  missedWindowMs: 'missed_window',
  concurrency: 'concurrency',
  maxConcurrent: 'max_concurrent',
  keepCompleted: 'keep_completed',
  keepFailed: 'keep_failed',
  retries: 'retries',
  backoffMaxMs: 'backoff_max',
}

/** `x-schedule: {cron: "0 3 * * *", time_zone: UTC}`: the service is a job that is run again and again. */
function scheduleOf(
  service: Section,
  deploy: Section | undefined,
  mode: (typeof kinds)[number] | undefined,
): ModeInput {
  const wish = service.section('x-schedule')
  if (wish === undefined) {
    return service.fault('x-schedule', 'must be a mapping such as {cron: "30 2 * * *"}')
  }
  if (mode !== undefined && mode !== 'cron' && mode !== 'replicated-job') {
    deploy?.fault('mode', `${mode} does not go with x-schedule: leave it out, or write cron`)
  }
  refuseOthers(wish, Object.values(schedulePlaces))
  const schedule = textOf(wish, 'cron')
  if (!wish.has('cron')) wish.fault('cron', 'is required, such as cron: "30 2 * * *"')
  if (schedule === undefined) return undefined
  const sizes = sizesOf(deploy?.number('replicas'))
  const input = {
    kind: 'cron',
    schedule,
    ...sizes,
    ...defined({
      timeZone: textOf(wish, 'time_zone'),
      missedWindowMs: durationOf(wish, 'missed_window'),
      concurrency: textOf(wish, 'concurrency'),
      maxConcurrent: countOf(wish, 'max_concurrent'),
      keepCompleted: countOf(wish, 'keep_completed'),
      keepFailed: countOf(wish, 'keep_failed'),
      retries: countOf(wish, 'retries'),
      backoffMaxMs: durationOf(wish, 'backoff_max'),
    }),
  }
  return parsed(input, (field) => {
    const key = Object.hasOwn(schedulePlaces, field) ? schedulePlaces[field] : undefined
    return key === undefined ? [deploy, 'replicas'] : [wish, key]
  })
}

/** `placeOf` tells which key a field comes from. */
function parsed(
  input: object,
  placeOf: (field: string) => readonly [Section | undefined, string],
): ServiceMode | undefined {
  try {
    return parseSpec(serviceMode, input, 'mode')
  } catch (err) {
    if (!hasCode(err, 'INVALID_ARGUMENT')) throw err
    const [section, key] = placeOf(String(err.details['field'] ?? ''))
    return section?.fault(key, String(err.details['reason'] ?? err.message))
  }
}
