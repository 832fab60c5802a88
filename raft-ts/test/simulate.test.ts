// The simulator itself: the same seed gives the same run, and runs add up.
import t from 'tap'
import { runSeeds, type SimResult, simulate } from '../build/testing/index.js'

const short = { faultsMs: 5000, peaceMs: 6000 }

t.test('the same seed gives the same run, event by event', async (t) => {
  const run = (seed: number): { result: SimResult; lines: readonly string[] } => {
    const lines: string[] = []
    return { result: simulate(seed, { ...short, onTrace: (line) => lines.push(line) }), lines }
  }
  for (const seed of [11, 12]) {
    const first = run(seed)
    const again = run(seed)
    t.same(again.result, first.result)
    t.same(again.lines, first.lines)
    t.ok(first.lines.length > 20)
  }
})

t.test('a run tells what it did', async (t) => {
  const result = simulate(7, short)
  t.match(result, { seed: 7, outcome: 'passed', reason: undefined, atMs: 11_000 })
  t.ok(result.events > 1500 && result.faults > 5 && result.terms >= 1)
  t.ok(result.committed > result.acknowledged && result.acknowledged > 20 && result.reads > 5)
})

t.test('no progress in peace is a failure', async (t) => {
  const result = simulate(7, { faultsMs: 2000, peaceMs: 1200 })
  t.equal(result.outcome, 'violated')
  t.match(result.reason, /makes progress/)
})

t.test('planted bugs are found', async (t) => {
  // With PreVote candidates seldom meet, so that only one run in ten sees this one.
  const twice = { bug: 'vote-twice', tuning: { preVote: false } } as const
  t.match(simulate(1, twice).reason, /a node votes once a term/)
  const reasons = [1, 2, 3].map((seed) => simulate(seed, { bug: 'skip-flush' }).reason)
  t.notOk(reasons.includes(undefined))
})

t.test('many seeds run here or on threads, with the same results', async (t) => {
  for (const threads of [0, 2]) {
    const results: SimResult[] = []
    let nowMs = 0
    const summary = await runSeeds({
      from: 20,
      seeds: 3,
      threads,
      sim: short,
      clock: { monotonicMs: () => (nowMs += 1500) },
      onResult: (result) => results.push(result),
    })
    results.sort((x, y) => x.seed - y.seed)
    t.same(
      results,
      [20, 21, 22].map((seed) => simulate(seed, short)),
    )
    t.match(summary, { runs: 3, failed: [], seconds: 1.5, runsPerSecond: 2 })
  }
})

t.test('no seeds are begun after too many failures', async (t) => {
  const summary = await runSeeds({
    from: 1,
    seeds: 50,
    threads: 0,
    failuresMax: 2,
    sim: { bug: 'vote-twice', tuning: { preVote: false } },
    clock: { monotonicMs: () => 0 },
  })
  t.equal(summary.failed.length, 2)
  t.ok(summary.runs < 50)
})
