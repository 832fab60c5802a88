// Raft under faults: a fixed set of seeds and new ones every time, and planted bugs, which must be found.
import { randomInt } from 'node:crypto'
import { availableParallelism } from 'node:os'
import {
  coverageNames,
  minimise,
  type PlantedBug,
  plantedBugs,
  type RunSummary,
  runSeeds,
} from 'raft-ts/testing'
import t, { type Test } from 'tap'
import { systemClock } from '../../proto/lib/clock.ts'
import { coverageText, scriptText } from './raft.ts'

const clock = systemClock
const threads = availableParallelism()
/** A good minute on two quiet cores. */
const fixedSeeds = 1000
/** New seeds are begun for so long. */
const newSeedsMs = 20_000
/** Every batch begins with fresh threads, which are slow at first. */
const batchSeeds = 150

/** Why they failed; of the first one the shortest script is printed. */
function reasonsOf(t: Test, { failed }: RunSummary): readonly string[] {
  const [first] = failed
  if (first !== undefined) {
    const { result } = minimise(first, { runsMax: 150 })
    t.comment(`seed ${first.seed} in short:\n${scriptText(result, {})}`)
  }
  return failed.map(({ seed, reason = 'passed' }) => `${seed}: ${reason}`)
}

t.test(
  'fixed seeds pass, and reach all that is worth reaching',
  { timeout: 1_500_000 },
  async (t) => {
    const summary = await runSeeds({ from: 1, seeds: fixedSeeds, threads, clock })
    const { runs, runsPerSecond, eventsPerRun, eventsMin, coverage } = summary
    t.comment(`${runs} runs, ${runsPerSecond.toFixed(1)} a second, ${eventsPerRun} events each`)
    t.comment(coverageText(coverage))
    t.same(reasonsOf(t, summary), [])
    t.equal(runs, fixedSeeds)
    t.ok(eventsMin >= 3000, `${eventsMin} events in the shortest run`)
    for (const name of coverageNames) t.ok(coverage[name] > 0, name)
  },
)

t.test('new seeds pass', { timeout: 1_500_000 }, async (t) => {
  const start = randomInt(2 ** 40)
  const endMs = clock.monotonicMs() + newSeedsMs
  let from = start
  let failed: readonly string[] = []
  while (clock.monotonicMs() < endMs && failed.length === 0) {
    const summary = await runSeeds({ from, seeds: batchSeeds, threads, clock })
    failed = reasonsOf(t, summary)
    from += batchSeeds
  }
  const runs = from - start
  const seconds = (clock.monotonicMs() - endMs + newSeedsMs) / 1000
  t.comment(
    `seeds ${start} to ${from - 1}, ${(runs / seconds).toFixed(1)} a second: ` +
      `node build/test/sim/main.js raft --from ${start} --seeds ${runs}`,
  )
  t.same(failed, [])
})

/** Which promises each bug breaks, and within how many seeds that must be seen. */
const expected: Readonly<Record<PlantedBug, { seeds: number; promises: readonly string[] }>> = {
  'skip-flush': { seeds: 10, promises: ['what was flushed survives a crash'] },
  'vote-twice': { seeds: 30, promises: ['a node votes once a term'] },
  // Only the whole plot of figure 8 of the Raft paper shows it.
  'commit-old-term': {
    seeds: 300,
    promises: [
      'a leader holds all committed entries',
      'a committed entry is never truncated',
      'nodes commit the same entries',
    ],
  },
  'ignore-conf': { seeds: 20, promises: ['a node uses the newest configuration in its log'] },
  'apply-out-of-order': {
    seeds: 10,
    promises: ['state machines apply in order, without gaps'],
  },
  'forget-truncation': {
    seeds: 30,
    promises: [
      'a leader commits what a quorum has on disk',
      'nodes commit the same entries',
      'state machines apply the same entries',
    ],
  },
}

for (const bug of plantedBugs) {
  t.test(`a planted bug is found: ${bug}`, { timeout: 1_500_000 }, async (t) => {
    const { seeds, promises } = expected[bug]
    const summary = await runSeeds({ from: 1, seeds, threads, failuresMax: 1, clock, sim: { bug } })
    const broken = summary.failed.map(({ promise }) => promise)
    t.comment(`in ${summary.runs} runs: ${broken.join(', ')}`)
    t.ok(
      broken.some((promise) => promises.some((known) => known === promise)),
      `broken: ${broken.join()}`,
    )
  })
}
