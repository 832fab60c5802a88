// What happens to the leader's loops in property tests: nodes a, b, c come and go, tasks fail, users change the service, leadership changes.
import fc from 'fast-check'
import { specHash, TaskState } from '../../proto/objects/index.ts'
import type { LoopWorld } from './loop-world.ts'

export const eventArbitrary = fc.record({
  kind: fc.constantFrom(
    'fail',
    'fail',
    'down',
    'up',
    'drain',
    'active',
    'scale',
    'update',
    'lead',
    'pass',
    'hold',
    'free',
  ),
  pick: fc.nat(50),
})

export async function disturb(
  world: LoopWorld,
  { kind, pick }: { readonly kind: string; readonly pick: number },
): Promise<void> {
  const node = ['a', 'b', 'c'][pick % 3] ?? 'a'
  const tasks = world.tasks()
  const task = tasks[pick % (tasks.length || 1)]
  const mayFail = task?.state === TaskState.RUNNING && !world.silent.has(task.nodeId ?? '')
  if (kind === 'fail' && mayFail && task !== undefined)
    await world.report(task.id, TaskState.FAILED)
  if (kind === 'down') {
    world.silent.add(node)
    await world.setNode(node, { state: 'down' })
  }
  if (kind === 'up') {
    world.silent.delete(node)
    await world.setNode(node, { state: 'ready' })
  }
  if (kind === 'drain' || kind === 'active') await world.setAvailability(node, kind)
  if (kind === 'scale') await world.scale(pick % 6)
  if (kind === 'update') {
    const hash = specHash(`spec-${1 + (pick % 2)}`)
    await world.setService({ specHash: hash, specVersion: 100 + pick })
  }
  if (kind === 'hold' && task !== undefined) world.held.add(task.id)
  if (kind === 'free') world.held.clear()
  if (kind === 'pass') await world.pass(pick * 20)
  if (kind === 'lead') {
    await world.resign()
    world.lead()
  }
  if (pick % 2 === 0) await world.quiet()
}

/** Everything is mended, and time passes. */
export async function calm(world: LoopWorld): Promise<void> {
  world.held.clear()
  world.silent.clear()
  for (const id of ['a', 'b', 'c']) {
    await world.setNode(id, { state: 'ready' })
    await world.setAvailability(id, 'active')
  }
  for (let turn = 0; turn < 40; turn++) {
    await world.clock.advance(1_000)
    await world.quiet()
  }
}
