// The state machine of a container's health, against Docker's rules written down once more (swarm-semantics 7.5, Docker's HEALTHCHECK).
import fc from 'fast-check'
import t from 'tap'
import type { TaskHealth } from '../../../../proto/objects/index.ts'
import type { HealthPolicy } from '../../../../worker/health/health-policy.ts'
import {
  adoptedHealth,
  adoptedProbeMs,
  afterProbe,
  isWorthTelling,
  nextProbeMs,
  type ProbeResult,
  startingHealth,
} from '../../../../worker/health/health-state.ts'

const policy: HealthPolicy = {
  intervalMs: 10_000,
  timeoutMs: 1_000,
  retries: 3,
  startPeriodMs: 0,
  startIntervalMs: 1_000,
}

function result(isHealthy: boolean, sinceStartMs = 0): ProbeResult {
  return { isHealthy, sinceStartMs, atMs: 1_000 + sinceStartMs, output: isHealthy ? '' : 'no' }
}

function after(from: TaskHealth, results: readonly ProbeResult[], more = policy): TaskHealth {
  return results.reduce((health, one) => afterProbe(health, one, more), from)
}

const times = (count: number, one: ProbeResult): readonly ProbeResult[] =>
  Array.from({ length: count }, () => one)

t.test('one success is healthy, as many failures in a row as retries are not', async (t) => {
  t.match(after(startingHealth, [result(true)]), { state: 'healthy', failures: 0 })
  t.match(after(startingHealth, times(2, result(false))), { state: 'starting', failures: 2 })
  t.match(after(startingHealth, times(3, result(false))), { state: 'unhealthy', failures: 3 })
  t.match(after(adoptedHealth, times(2, result(false))), { state: 'healthy', failures: 2 })
  const flaps = [...times(2, result(false)), result(true), ...times(2, result(false))]
  t.match(after(adoptedHealth, flaps), { state: 'healthy', failures: 2, output: 'no' })
  t.match(after(adoptedHealth, times(3, result(false, 7))), { failedAtMs: 1_007, output: 'no' })
})

t.test('in the start period failures count from the first success on only', async (t) => {
  const patient = { ...policy, startPeriodMs: 60_000 }
  const early = times(9, result(false, 59_999))
  t.match(after(startingHealth, early, patient), { state: 'starting', failures: 0, output: 'no' })
  const late = [...early, ...times(3, result(false, 60_000))]
  t.match(after(startingHealth, late, patient), { state: 'unhealthy' })
  const well = [result(true, 1), ...times(3, result(false, 2))]
  t.match(after(startingHealth, well, patient), { state: 'unhealthy' })
})

t.test('unhealthy is the end', async (t) => {
  const ill = after(startingHealth, times(3, result(false)))
  t.equal(afterProbe(ill, result(true), policy), ill)
})

t.test('what a probe says is kept in part', async (t) => {
  const long = { ...result(false), output: 'x'.repeat(5_000) }
  t.equal(afterProbe(startingHealth, long, policy).output.length, 512)
})

t.test('waits are those of the policy, a little shortened', async (t) => {
  const patient = { ...policy, startPeriodMs: 60_000 }
  t.equal(nextProbeMs(startingHealth, 0, policy, 0), 10_000)
  t.equal(nextProbeMs(startingHealth, 0, patient, 0), 1_000)
  t.equal(nextProbeMs(startingHealth, 60_000, patient, 0), 10_000)
  t.equal(nextProbeMs(adoptedHealth, 0, patient, 0), 10_000)
  t.equal(nextProbeMs(adoptedHealth, 0, patient, 0.5), 9_500)
  t.equal(adoptedProbeMs(policy, 0.25), 2_500)
})

t.test('details are told now and then, states always', async (t) => {
  const failing = { ...adoptedHealth, failures: 1, output: 'no' }
  const never = Number.NEGATIVE_INFINITY
  const told = (health: TaskHealth | undefined, detailAtMs = never) => ({ health, detailAtMs })
  t.equal(isWorthTelling(told(undefined), startingHealth, 0), true)
  t.equal(isWorthTelling(told(startingHealth), startingHealth, 0), false)
  t.equal(isWorthTelling(told(startingHealth, 0), adoptedHealth, 1), true)
  t.equal(isWorthTelling(told(adoptedHealth), failing, 0), true, 'the first one at once')
  t.equal(isWorthTelling(told(failing, 0), { ...failing, failures: 2 }, 29_999), false)
  t.equal(isWorthTelling(told(failing, 0), { ...failing, failures: 2 }, 30_000), true)
  t.equal(isWorthTelling(told(failing, 0), { ...failing, failures: 0 }, 30_000), true)
})

const anyPolicy: fc.Arbitrary<HealthPolicy> = fc.record({
  intervalMs: fc.integer({ min: 1, max: 100_000 }),
  timeoutMs: fc.integer({ min: 1, max: 100_000 }),
  retries: fc.integer({ min: 1, max: 5 }),
  startPeriodMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 200_000 })),
  startIntervalMs: fc.integer({ min: 1, max: 10_000 }),
})

interface Run {
  readonly sinceStartMs: number
  readonly isHealthy: boolean
  readonly health: TaskHealth
}

/** A container asked as it says itself, each probe taking some time. */
function runOf(
  policy: HealthPolicy,
  answers: readonly {
    readonly isHealthy: boolean
    readonly chance: number
    readonly tookMs: number
  }[],
): readonly Run[] {
  const runs: Run[] = []
  let health: TaskHealth = startingHealth
  let nowMs = 0
  for (const { isHealthy, chance, tookMs } of answers) {
    const waitMs = nextProbeMs(health, nowMs, policy, chance)
    const isEarly = health.state === 'starting' && nowMs < policy.startPeriodMs
    const wholeMs = isEarly ? policy.startIntervalMs : policy.intervalMs
    if (waitMs > wholeMs || waitMs < wholeMs * 0.9) throw new Error(`waits ${waitMs} ms`)
    nowMs += waitMs
    health = afterProbe(health, result(isHealthy, nowMs), policy)
    runs.push({ sinceStartMs: nowMs, isHealthy, health })
    nowMs += tookMs
  }
  return runs
}

/** Docker's rule, read off the whole run and not step by step. */
function expected(runs: readonly Run[], policy: HealthPolicy): TaskHealth['state'] {
  let inRow = 0
  let hasBeenHealthy = false
  for (const { isHealthy, sinceStartMs } of runs) {
    const isForgiven = !hasBeenHealthy && sinceStartMs < policy.startPeriodMs
    if (isHealthy) hasBeenHealthy = true
    inRow = isHealthy ? 0 : isForgiven ? inRow : inRow + 1
    if (inRow >= policy.retries) return 'unhealthy'
  }
  return hasBeenHealthy ? 'healthy' : 'starting'
}

t.test('any run of probes ends in the state that Docker gives it', async (t) => {
  const answer = fc.record({
    isHealthy: fc.boolean(),
    chance: fc.double({ min: 0, max: 0.999, noNaN: true }),
    tookMs: fc.integer({ min: 0, max: 50_000 }),
  })
  const property = fc.property(
    anyPolicy,
    fc.array(answer, { maxLength: 30 }),
    (policy, answers) => {
      const runs = runOf(policy, answers)
      for (let at = 1; at <= runs.length; at += 1) {
        const health = runs[at - 1]?.health
        if (health?.state !== expected(runs.slice(0, at), policy)) return false
        // Once healthy or unhealthy it never starts again; unhealthy it stays.
        const before = runs[at - 2]?.health.state
        if (before !== undefined && before !== 'starting' && health.state === 'starting')
          return false
        if (before === 'unhealthy' && health.state !== 'unhealthy') return false
      }
      return true
    },
  )
  fc.assert(property, { numRuns: 1_000 })
  t.pass()
})
