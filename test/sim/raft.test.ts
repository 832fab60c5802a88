// Raft under faults, from a fixed set of seeds and a few new ones every time.
import { randomInt } from 'node:crypto'
import { runSeeds } from 'raft-ts/testing'
import t from 'tap'
import { systemClock } from '../../proto/lib/clock.ts'

const clock = systemClock

function summed(results: readonly { readonly reason: string | undefined }[]): readonly string[] {
  return results.map(({ reason = 'passed' }) => reason)
}

t.test('a hundred fixed seeds pass', { timeout: 600_000 }, async (t) => {
  const summary = await runSeeds({ from: 1, seeds: 100, threads: 2, clock })
  t.same(summed(summary.failed), [])
  t.equal(summary.runs, 100)
  t.ok(summary.eventsPerRun >= 3000, `${summary.eventsPerRun} events a run`)
  t.comment(`${summary.runsPerSecond.toFixed(1)} runs/s, ${summary.eventsPerRun} events a run`)
})

t.test('ten new seeds pass', { timeout: 600_000 }, async (t) => {
  const from = randomInt(2 ** 40)
  t.comment(
    `seeds ${from} to ${from + 9}: node build/test/sim/main.js raft --from ${from} --seeds 10`,
  )
  const summary = await runSeeds({ from, seeds: 10, threads: 2, clock })
  t.same(summed(summary.failed), [])
  t.equal(summary.runs, 10)
})

t.test('a planted bug is found: votes given twice in a term', { timeout: 600_000 }, async (t) => {
  const summary = await runSeeds({
    from: 1,
    seeds: 20,
    threads: 2,
    failuresMax: 1,
    clock,
    sim: { bug: 'vote-twice' },
  })
  t.match(summary.failed[0]?.reason, /a node votes once a term/)
})

t.test('a planted bug is found: flushes that do nothing', { timeout: 600_000 }, async (t) => {
  const summary = await runSeeds({
    from: 1,
    seeds: 20,
    threads: 2,
    failuresMax: 20,
    clock,
    sim: { bug: 'skip-flush' },
  })
  t.equal(summary.failed.length, 20, 'by every seed')
  t.ok(
    summary.failed.some(({ reason = '' }) => reason.includes('Violation')),
    'also where the log itself cannot know',
  )
})
