import fc from 'fast-check'
import t, { type Test } from 'tap'
import {
  isActive,
  isTerminal,
  placeOf,
  type Task,
  TaskState,
} from '../../../../proto/objects/index.ts'
import type { ServiceSpecInput } from '../../../../proto/spec/service-spec.ts'
import { calm, disturb, eventArbitrary } from '../../../support/disturbance.ts'
import { LoopWorld } from '../../../support/loop-world.ts'

type Mode = NonNullable<ServiceSpecInput['mode']>

async function aWorld(t: Test, mode: Mode): Promise<LoopWorld> {
  const world = new LoopWorld()
  t.teardown(() => world.resign())
  await world.addCluster({ taskHistoryLimit: 3 })
  for (const id of ['a', 'b', 'c']) await world.addNode({ id })
  await world.addSpec('spec-1', { restart: { delayMs: 1_000 } })
  world.lead()
  await world.addService({ mode, jobStatus: { iteration: 0, lastExecutionMs: 0 } })
  return world
}

async function runAgain(world: LoopWorld): Promise<void> {
  const [service] = world.store.view((tx) => [...tx.all('services')])
  const iteration = (service?.jobStatus?.iteration ?? 0) + 1
  await world.setService({ jobStatus: { iteration, lastExecutionMs: 0 } })
}

function done(world: LoopWorld, iteration: number): string[] {
  const own = world.tasks().filter((task) => task.jobIteration === iteration)
  const places = own.filter(({ state }) => state === TaskState.COMPLETE).map(placeOf)
  return [...new Set(places.map(String))].sort()
}

t.test('a job runs to its end, and again when it is told to', async (t) => {
  const world = await aWorld(t, { kind: 'replicated-job', completions: 5, maxConcurrent: 2 })
  await world.quiet()
  t.same(done(world, 0), ['0', '1', '2', '3', '4'])
  await runAgain(world)
  await world.quiet()
  t.same(done(world, 1), ['0', '1', '2', '3', '4'])
  t.equal(world.tasks().length, 5, 'what was before is gone')
})

t.test('a global job runs on nodes that come later, too', async (t) => {
  const world = await aWorld(t, { kind: 'global-job' })
  await world.quiet()
  t.same(done(world, 0), ['a', 'b', 'c'])
  await world.addNode({ id: 'd' })
  await world.quiet()
  t.same(done(world, 0), ['a', 'b', 'c', 'd'])
})

const modes: readonly Mode[] = [
  { kind: 'replicated-job', completions: 5, maxConcurrent: 2 },
  { kind: 'global-job' },
]

const jobEvent = fc.oneof(
  { weight: 8, arbitrary: eventArbitrary },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('again'), pick: fc.nat(1) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('finish'), pick: fc.nat(50) }) },
)

async function finish(world: LoopWorld, pick: number): Promise<void> {
  const running = world.running().filter((task) => !world.silent.has(task.nodeId ?? ''))
  const task = running[pick % (running.length || 1)]
  if (task !== undefined) await world.report(task.id, TaskState.COMPLETE)
  await world.quiet()
}

/** What must never be, whoever leads. */
function check(world: LoopWorld, mode: Mode): void {
  const tasks = world.tasks()
  const atWork = tasks.filter((task) => isActive(task) && !isTerminal(task.state))
  const places = atWork.map((task) => `${task.jobIteration}/${placeOf(task)}`)
  if (new Set(places).size < places.length) throw new Error(`twice in one place: ${places}`)
  if (mode.kind !== 'replicated-job') return
  const iteration = world.store.view((tx) => [...tx.all('services')][0]?.jobStatus?.iteration)
  const own = tasks.filter((task) => task.jobIteration === iteration)
  if (own.some(({ slot }) => slot >= 5)) throw new Error('a slot too many')
  const most = own.filter((task) => isActive(task) && !isTerminal(task.state)).length
  if (most > 2) throw new Error(`${most} at a time`)
}

/** Once a place is done it stays so, and no task is made for it. */
function checkDone(before: readonly Task[], after: readonly Task[]): void {
  const known = new Set(before.map(({ id }) => id))
  for (const old of before) {
    if (old.state !== TaskState.COMPLETE) continue
    const again = after.find(
      (task) =>
        !known.has(task.id) &&
        task.jobIteration === old.jobIteration &&
        placeOf(task) === placeOf(old),
    )
    if (again !== undefined) throw new Error(`${placeOf(old)} is run again by ${again.id}`)
  }
}

for (const mode of modes) {
  t.test(`${mode.kind}: each place ends well once, over faults and leaders`, async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(jobEvent, { maxLength: 25, size: 'max' }), async (events) => {
        const world = await aWorld(t, mode)
        world.jobsEnd = false
        for (const event of events) {
          const before = world.tasks()
          if (event.kind === 'again') await runAgain(world)
          else if (event.kind === 'finish') await finish(world, event.pick)
          else if (event.kind !== 'scale' && event.kind !== 'update') await disturb(world, event)
          check(world, mode)
          checkDone(before, world.tasks())
        }
        world.jobsEnd = true
        await calm(world)
        const [service] = world.store.view((tx) => [...tx.all('services')])
        const places = mode.kind === 'global-job' ? 'a,b,c' : '0,1,2,3,4'
        const ended = done(world, service?.jobStatus?.iteration ?? 0).join()
        if (ended !== places) throw new Error(`${ended} ended well`)
        await world.resign()
      }),
      { numRuns: 25 },
    )
    t.pass('held')
  })
}
