// The services that clients of a simulation make: images, modes, mounts, what they wait for.
import { serviceSpecToProto } from '../../../proto/codec/service.ts'
import type { ServiceSpec } from '../../../proto/gen/tsswarm/v1/objects.ts'
import { type ServiceSpecInput, serviceSpec } from '../../../proto/spec/service-spec.ts'
import { everyMinute } from './rules/cron-rule.ts'
import type { ClientPlan, SimMode } from './run-plan.ts'
import type { Surroundings } from './sim-host.ts'
import { simSecret } from './sim-secret.ts'

/** What of a service its client decides at each change. */
export interface Wish {
  readonly name: string
  /** Counts the changes, from 1. */
  readonly seq: number
  readonly kind: SimMode
  /** Of a job and of a run: how many tasks must end well. */
  readonly replicas: number
  /** Counts a client's services, from anywhere: some things only every other one has. */
  readonly round: number
  /** Its program works: only those of updates may not. */
  readonly isSound: boolean
}

/** With a task spec that is another now and then. */
export function specOf(wish: Wish, plan: ClientPlan, random: Surroundings['random']): ServiceSpec {
  const { name, seq, kind, round } = wish
  const { dependsOn, hasVolumes = false } = plan
  const isJob = kind !== 'replicated' && kind !== 'global'
  const secrets = round % 2 === 1 ? [{ source: simSecret, target: 'sim' }] : []
  const source = `data-${name}-{{.Task.Slot}}`
  const mounts = hasVolumes ? [{ kind: 'volume' as const, source, target: '/data' }] : []
  const parallelism = 1 + (round % 3)
  const container = {
    image: imageOf(wish, plan, random),
    env: [`SEQ=${random.chance(plan.update === undefined ? 0.3 : 0.7) ? seq : 0}`],
    stopGraceMs: 1_000,
    secrets,
    mounts,
  }
  return serviceSpecToProto(
    serviceSpec.parse({
      name,
      labels: { seq: String(seq) },
      mode: modeOf(wish, random),
      ...(isJob ? {} : policiesOf(plan, parallelism)),
      task: {
        container,
        restart: { condition: 'any', delayMs: 200 },
        ...(dependsOn === undefined ? {} : { dependsOn: [dependsOn] }),
      },
    }),
  )
}

function policiesOf(
  { update = { order: 'stop-first', failureAction: 'continue' } }: ClientPlan,
  parallelism: number,
): Pick<ServiceSpecInput, 'update' | 'rollback'> {
  const pace = { parallelism, monitorMs: 500, delayMs: 100 * (parallelism - 1) }
  const { order } = update
  return { update: { ...pace, ...update }, rollback: { ...pace, order, failureAction: 'continue' } }
}

/** Some services are asked for their health; some runs of a schedule last long, and some fail. */
function imageOf(
  { kind, round, isSound }: Wish,
  { isAsked = round % 3 === 2, update }: ClientPlan,
  random: Surroundings['random'],
): string {
  if (kind === 'cron') return random.pick(['batch', 'slow', 'slow', 'broken']) ?? 'batch'
  if (kind === 'replicated-job' || kind === 'global-job') return 'batch'
  // One that falls ill would end an update for no reason of its own.
  if (update !== undefined) return isSound || random.chance(0.6) ? 'hello' : 'broken'
  return isAsked ? 'asked' : 'hello'
}

function modeOf(
  { kind, replicas }: Wish,
  random: Surroundings['random'],
): ServiceSpecInput['mode'] {
  switch (kind) {
    case 'replicated':
      return { kind, replicas }
    case 'global':
    case 'global-job':
      return { kind }
    case 'replicated-job':
      return { kind, completions: replicas, maxConcurrent: 2 }
    case 'cron':
      return {
        kind,
        schedule: everyMinute,
        missedWindowMs: random.pick([1_000, 30_000, 3_600_000]) ?? 1_000,
        concurrency: random.pick(['allow', 'forbid', 'replace']) ?? 'forbid',
        completions: 1 + (replicas % 2),
        retries: 2,
        backoffMaxMs: 400,
      }
  }
}
