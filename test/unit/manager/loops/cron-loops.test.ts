// A cron service under the leader's loops: runs come when they are due, also under the next leader, and none comes twice.
import t, { type Test } from 'tap'
import { type CronRun, isActive, isTerminal } from '../../../../proto/objects/index.ts'
import { nextTimeMs } from '../../../../proto/spec/cron-schedule.ts'
import { LoopWorld } from '../../../support/loop-world.ts'

const schedule = { schedule: '* * * * *', timeZone: 'UTC' }

async function aWorld(t: Test, mode: object = {}): Promise<LoopWorld> {
  const world = new LoopWorld()
  t.teardown(() => world.resign())
  await world.addCluster({ taskHistoryLimit: 1 })
  for (const id of ['a', 'b']) await world.addNode({ id })
  await world.addSpec('spec-1', { restart: { delayMs: 1_000 } })
  world.lead()
  await world.addService({
    mode: { kind: 'cron', keepCompleted: 100, ...schedule, ...mode },
    jobStatus: { iteration: 0, lastExecutionMs: 0 },
    cronStatus: { decidedMs: world.clock.wallMs(), forced: 0, runs: [] },
  })
  await world.quiet()
  return world
}

async function pass(world: LoopWorld, seconds: number): Promise<void> {
  for (let i = 0; i < seconds; i++) {
    await world.clock.advance(1_000)
    await world.quiet()
  }
}

function runs(world: LoopWorld): readonly CronRun[] {
  return world.store.view((tx) => [...tx.all('services')][0]?.cronStatus?.runs ?? [])
}

/** The times of the schedule in between. */
function timesIn(fromMs: number, untilMs: number): number[] {
  const times: number[] = []
  let atMs = nextTimeMs(schedule, fromMs)
  while (atMs !== undefined && atMs <= untilMs) {
    times.push(atMs)
    atMs = nextTimeMs(schedule, atMs)
  }
  return times
}

t.test('a run each minute, whoever leads', async (t) => {
  const world = await aWorld(t)
  const fromMs = world.clock.wallMs()
  for (const seconds of [50, 70, 59, 61, 45]) {
    await pass(world, seconds)
    await world.resign()
    world.lead()
    await world.quiet()
  }
  const due = timesIn(fromMs, world.clock.wallMs())
  t.ok(due.length >= 4)
  t.same(
    runs(world).map(({ scheduledMs, state }) => [scheduledMs, state]),
    due.map((atMs) => [atMs, 'completed']),
  )
  t.equal(world.tasks().length, due.length, 'their tasks are kept, whatever the history limit')
})

t.test('without a leader times are missed, and the last is run late', async (t) => {
  const world = await aWorld(t)
  const fromMs = world.clock.wallMs()
  await world.resign()
  await world.clock.advance(200_000)
  world.lead()
  await pass(world, 1)
  const due = timesIn(fromMs, world.clock.wallMs())
  t.match(runs(world), [
    { state: 'missed', times: due.length - 1 },
    { state: 'completed', scheduledMs: due.at(-1) },
  ])
})

t.test('a run that goes on keeps others out, or gives way', async (t) => {
  for (const concurrency of ['forbid', 'replace'] as const) {
    const world = await aWorld(t, { concurrency })
    world.jobsEnd = false
    await pass(world, 125)
    const states = runs(world).map(({ state }) => state)
    const expected = { forbid: ['running', 'missed'], replace: ['replaced', 'running'] }
    t.same(states.slice(0, 2), expected[concurrency])
    const atWork = world.tasks().filter((task) => isActive(task) && !isTerminal(task.state))
    t.equal(atWork.length, 1, 'never two beside one another')
    await world.resign()
  }
})
