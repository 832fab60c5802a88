// When a container is asked, and what is told of it, on a virtual clock.
import t from 'tap'
import { SwarmError } from '../../../../proto/errors.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { type TaskHealth, taskId } from '../../../../proto/objects/index.ts'
import { HealthWatch, type WatchedContainer } from '../../../../worker/health/health-watch.ts'
import { ProbeSlots } from '../../../../worker/health/probe-slots.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

type Answer = 'well' | 'ill' | 'impossible' | 'hangs'

class World {
  readonly clock = new VirtualClock()
  readonly askedAtMs: number[] = []
  readonly told: TaskHealth[] = []
  readonly controller = new AbortController()
  readonly watch: HealthWatch
  answer: Answer = 'well'

  constructor(more: Partial<WatchedContainer> = {}, policy: object = {}) {
    const { clock } = this
    this.watch = new HealthWatch(
      {
        slots: new ProbeSlots(clock),
        clock,
        random: seededRandom(1),
        log: silentLogger,
        ask: (signal) => this.#ask(signal),
        onTold: async (health) => void this.told.push(health),
      },
      {
        taskId: taskId('a'),
        check: {
          probe: { kind: 'tcp', port: 1 },
          policy: {
            intervalMs: 10_000,
            timeoutMs: 1_000,
            retries: 2,
            startPeriodMs: 0,
            startIntervalMs: 1_000,
            ...policy,
          },
        },
        startedAtMs: clock.wallMs(),
        known: undefined,
        hasRun: false,
        ...more,
      },
    )
  }

  async run(): Promise<TaskHealth['state']> {
    await this.watch.run(this.controller.signal)
    return this.watch.health.state
  }

  async #ask(signal: AbortSignal) {
    this.askedAtMs.push(this.clock.monotonicMs())
    if (this.answer === 'impossible') throw new SwarmError('UNAVAILABLE', 'no helper')
    if (this.answer === 'hangs') {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      throw new SwarmError('CANCELLED', 'given up')
    }
    return { isHealthy: this.answer === 'well', output: this.answer }
  }
}

t.test('a started container is first asked after an interval', async (t) => {
  const world = new World()
  const running = world.run()
  await world.clock.advance(8_999)
  t.same(world.askedAtMs, [])
  t.match(world.told, [{ state: 'starting' }])
  await world.clock.advance(1_001)
  t.equal(await running, 'healthy')
  t.equal(world.askedAtMs.length, 1)
  t.match(world.told, [{ state: 'starting' }, { state: 'healthy', failures: 0 }])
})

t.test('in its start period it is asked more often', async (t) => {
  const world = new World({}, { startPeriodMs: 5_500 })
  world.answer = 'ill'
  const running = world.run()
  await world.clock.advance(5_500)
  t.ok(world.askedAtMs.length >= 5 && world.askedAtMs.length <= 6, `${world.askedAtMs.length}`)
  t.match(world.watch.health, { state: 'starting', failures: 0, output: 'ill' })
  world.answer = 'well'
  await world.clock.advance(10_000)
  t.equal(await running, 'healthy')
})

t.test('failures in a row end it, and are told of', async (t) => {
  const world = new World({ hasRun: true })
  world.answer = 'ill'
  const running = world.run()
  await world.clock.advance(20_000)
  t.equal(await running, 'unhealthy')
  t.match(world.told, [
    { state: 'healthy', failures: 0 },
    { state: 'healthy', failures: 1, output: 'ill' },
    { state: 'unhealthy', failures: 2, output: 'ill' },
  ])
  await world.run()
  t.equal(world.askedAtMs.length, 2, 'nobody asks an unhealthy one')
})

t.test('what is known goes on: a healthy one does not start again', async (t) => {
  const known = { state: 'healthy', failures: 1, failedAtMs: 5, output: 'ill' } as const
  const world = new World({ known, hasRun: true, startedAtMs: 0 })
  world.answer = 'ill'
  const running = world.run()
  t.same(world.told, [], 'nothing new')
  await world.clock.advance(10_000)
  t.equal(await running, 'unhealthy', 'its former failure counts')
})

t.test('a probe that cannot be made says nothing of the container', async (t) => {
  const world = new World({ hasRun: true })
  world.answer = 'impossible'
  const running = world.run()
  await world.clock.advance(100_000)
  t.ok(world.askedAtMs.length >= 9)
  t.match(world.watch.health, { state: 'healthy', failures: 0 })
  world.controller.abort()
  await running
})

t.test('one that is given up counts for nothing', async (t) => {
  const world = new World({ hasRun: true })
  world.answer = 'hangs'
  const running = world.run()
  await world.clock.advance(10_000)
  t.equal(world.askedAtMs.length, 1)
  world.controller.abort()
  t.equal(await running, 'healthy')
  t.match(world.watch.health, { failures: 0 })
})

t.test(
  'waiting for a turn is not a failure, and hanging probes do not keep others waiting',
  async (t) => {
    const clock = new VirtualClock()
    const slots = new ProbeSlots(clock)
    let free = (): void => {}
    const hangs = new Promise<void>((resolve) => {
      free = resolve
    })
    let begun = 0
    const hanging = Array.from({ length: 20 }, () =>
      slots.run(async () => {
        begun += 1
        await hangs
      }),
    )
    await clock.advance(1)
    t.equal(begun, 4, 'few are in their first moment')
    let isDone = false
    const quick = slots.run(async () => {
      isDone = true
    })
    await clock.advance(2_600)
    t.equal(begun, 20)
    t.equal(isDone, true)
    free()
    await Promise.all([...hanging, quick])
    await t.rejects(
      slots.run(() => Promise.reject(new Error('odd'))),
      /odd/,
    )
  },
)
