import t from 'tap'
import { reapSpecs, specReaperLoop } from '../../../../manager/loops/spec-reaper-loop.ts'
import { createMemoryStore } from '../../../../manager/store/memory-store.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { seededRandom } from '../../../../proto/lib/random.ts'
import { aService, aSpecRecord, aTask } from '../../../support/objects.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

async function aWorld() {
  const clock = new VirtualClock()
  const random = seededRandom(1)
  const store = createMemoryStore({ clock, random })
  await store.update((tx) => {
    for (const hash of ['of-service', 'of-task', 'unused']) {
      tx.create('taskSpecs', aSpecRecord(hash, {}))
    }
    tx.create('services', aService({ specHash: 'of-service' }))
    tx.create('tasks', aTask({ specHash: 'of-task' }))
  })
  const hashes = (): string[] =>
    store.view((tx) => [...tx.all('taskSpecs')].map((record) => record.hash).sort())
  return { clock, deps: { store, clock, random, log: silentLogger }, hashes }
}

t.test('specs that neither a service nor a task uses are deleted', async (t) => {
  const { deps, hashes } = await aWorld()
  t.equal(await reapSpecs(deps), 1)
  t.same(hashes(), ['of-service', 'of-task'])
  await deps.store.update((tx) => tx.remove('tasks', 'task-1'))
  t.equal(await reapSpecs(deps), 1)
  t.same(hashes(), ['of-service'])
})

t.test('the loop does so every minute', async (t) => {
  const { clock, deps, hashes } = await aWorld()
  const stop = new AbortController()
  const running = specReaperLoop(deps).run(stop.signal)
  await clock.advance(59_000)
  t.equal(hashes().length, 3)
  await clock.advance(2_000)
  t.equal(hashes().length, 2)
  stop.abort()
  await running
})
