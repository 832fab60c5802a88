// How a container's health follows from its probes, and when it is asked next: a pure state machine. Not for asking
// (health-watch.ts).
// Source: Docker's health monitor (daemon/health.go); swarm-semantics 7.5. What differs: waits are shortened a little, each by chance,
// so that containers that began together are not asked together; and unhealthy is an end, because Swarm stops such a container.
import type { TaskHealth } from '../../proto/objects/index.ts'
import type { HealthPolicy } from './health-policy.ts'

/** Of one probe that was made. One that could not be made says nothing of the container. */
export interface ProbeResult {
  readonly isHealthy: boolean
  /** When it began, from the start of the container. */
  readonly sinceStartMs: number
  /** The same on the wall clock. */
  readonly atMs: number
  /** What came of it, for people. */
  readonly output: string
}

/** Of a container that has just been started. */
export const startingHealth: TaskHealth = {
  state: 'starting',
  failures: 0,
  failedAtMs: 0,
  output: '',
}

/** Of one that was known to run, or to be healthy, before this daemon asked. */
export const adoptedHealth: TaskHealth = { ...startingHealth, state: 'healthy' }

/** Bytes would do; these are seen by people and kept by the managers. */
const outputCharactersMax = 512

/** The health after one more probe. */
export function afterProbe(
  health: TaskHealth,
  result: ProbeResult,
  policy: HealthPolicy,
): TaskHealth {
  if (health.state === 'unhealthy') return health
  if (result.isHealthy) return { ...health, state: 'healthy', failures: 0 }
  const output = result.output.slice(0, outputCharactersMax)
  const failed = { ...health, failedAtMs: result.atMs, output }
  // A container that was never healthy is given its start period.
  if (health.state === 'starting' && result.sinceStartMs < policy.startPeriodMs) return failed
  const failures = health.failures + 1
  return { ...failed, failures, state: failures >= policy.retries ? 'unhealthy' : health.state }
}

/** A wait is at least this share of what was asked for. */
const leastShare = 0.9

/** From the end of one probe, or the start of the container, to the next. `chance`: in [0, 1). */
export function nextProbeMs(
  health: TaskHealth,
  sinceStartMs: number,
  policy: HealthPolicy,
  chance: number,
): number {
  const isStarting = health.state === 'starting' && sinceStartMs < policy.startPeriodMs
  const wholeMs = isStarting ? policy.startIntervalMs : policy.intervalMs
  return wholeMs * (1 - (1 - leastShare) * chance)
}

/** For the first probe of a container that ran before: all of a restarted daemon are spread over their interval. */
export function adoptedProbeMs(policy: HealthPolicy, chance: number): number {
  return policy.intervalMs * chance
}

/** What was told of a health, and when its failures were told last. */
export interface Told {
  readonly health: TaskHealth | undefined
  /** Monotonic. */
  readonly detailAtMs: number
}

/** The managers keep what they are told, so details are told this seldom. */
const detailMs = 30_000

/** Whether to tell of it now: of each change of state, and of how probes fail now and then. */
export function isWorthTelling(told: Told, health: TaskHealth, nowMs: number): boolean {
  const before = told.health
  if (before?.state !== health.state) return true
  if (before.failures === health.failures && before.output === health.output) return false
  return nowMs - told.detailAtMs >= detailMs
}
