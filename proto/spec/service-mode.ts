// How many tasks a service has, and whether they serve or run to an end. Defaults are Swarm's where Swarm has the mode.
import { z } from 'zod'
import { isTimeZone, whyNoSchedule } from './cron-schedule.ts'
import { durationMs, text } from './text.ts'

export const replicasMax = 100_000
const keptMax = 1_000

const replicas = z.number().int().min(0).max(replicasMax)
const concurrent = z.number().int().min(1).max(replicasMax)

/** How many tasks of a job must end well, and how many of them run at a time. */
const jobFields = { completions: replicas.default(1), maxConcurrent: concurrent.default(1) }

/** A replicated job that is run again and again. */
const cronFields = {
  schedule: z.string().max(256).check(z.superRefine(refuseSchedule)),
  /** IANA name. */
  timeZone: text
    .refine(isTimeZone, 'is no time zone: write a name such as UTC or Europe/Berlin')
    .default('UTC'),
  /** A run begins at most this late, after the cluster had no leader; later it counts as missed. */
  missedWindowMs: durationMs.default(3_600_000),
  /** When a run is due while the one before it goes on: both run; it is missed; or it ends the one before it. */
  concurrency: z.enum(['allow', 'forbid', 'replace']).default('forbid'),
  ...jobFields,
  /** Ended runs that are kept with their tasks. */
  keepCompleted: z.number().int().min(0).max(keptMax).default(3),
  keepFailed: z.number().int().min(0).max(keptMax).default(1),
  /** How often a task that failed is tried again in one run. */
  retries: z.number().int().min(0).max(keptMax).default(6),
  /** The delay between tries is task.restart.delayMs, and doubles up to this. */
  backoffMaxMs: durationMs.default(300_000),
}

export const serviceMode = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('replicated'), replicas: replicas.default(1) }).readonly(),
  z.object({ kind: z.literal('global') }).readonly(),
  z.object({ kind: z.literal('replicated-job'), ...jobFields }).readonly(),
  z.object({ kind: z.literal('global-job') }).readonly(),
  z.object({ kind: z.literal('cron'), ...cronFields }).readonly(),
])

function refuseSchedule(schedule: string, ctx: z.RefinementCtx): void {
  const why = whyNoSchedule(schedule)
  if (why !== undefined) ctx.addIssue({ code: 'custom', message: why })
}

export type ServiceMode = z.infer<typeof serviceMode>
export type ServiceKind = ServiceMode['kind']
export type CronMode = Extract<ServiceMode, { readonly kind: 'cron' }>

/** Whether its tasks run to an end instead of serving. */
export function isJob({ kind }: ServiceMode): boolean {
  return kind === 'replicated-job' || kind === 'global-job' || kind === 'cron'
}
