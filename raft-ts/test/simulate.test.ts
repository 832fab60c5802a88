// The simulator itself: the same seed gives the same run, and runs add up.
import t from 'tap'
import { minimise, runSeeds, type SimResult, simulate } from '../build/testing/index.js'

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
  t.ok(result.events > 1500 && result.script.steps.length > 5 && result.terms >= 1)
  t.ok(result.committed > result.acknowledged && result.acknowledged > 20 && result.reads > 5)
})

t.test('no progress in peace is a failure', async (t) => {
  const script = { steps: [{ kind: 'crash-all', downMs: 1, atMs: 1990 }], endMs: 2000 } as const
  const result = simulate(7, { script, peaceMs: 1200 })
  t.equal(result.outcome, 'violated')
  t.match(result.reason, /makes progress/)
})

t.test('a run in which hardly anything happened has enough events nevertheless', async (t) => {
  const stops = ['n1', 'n2', 'n3', 'n4', 'n5'].map(
    (who) => ({ kind: 'stop', who, forMs: 60_000, atMs: 10 }) as const,
  )
  const { events, outcome } = simulate(7, { script: { steps: stops, endMs: 22_000 } })
  t.equal(outcome, 'passed')
  t.ok(events >= 3000, `${events}`)
})

t.test('a script plays the same run again, and another one another', async (t) => {
  const drawn = simulate(5, short)
  const played = simulate(5, { ...short, script: drawn.script })
  // A moment in which chance drew nothing is an event too.
  t.same({ ...played, events: drawn.events }, drawn)
  const calm = simulate(5, { ...short, script: { steps: [], endMs: drawn.script.endMs } })
  t.equal(calm.outcome, 'passed')
  t.match(calm.coverage, { crashes: 0, electionsWon: 1, truncations: 0 })
})

t.test('a bug is planted for one run alone', async (t) => {
  const before = simulate(1, short)
  t.equal(simulate(1, { bug: 'apply-out-of-order' }).promise, inOrder)
  t.same(simulate(1, short), before)
})

const inOrder = 'state machines apply in order, without gaps'

t.test(
  'a failing script is shortened to what is needed, and plays the failure again',
  async (t) => {
    const bug = 'vote-twice'
    const failed = [1, 2, 3, 4, 5, 6, 7, 8]
      .map((seed) => simulate(seed, { bug }))
      .find(({ promise, script }) => promise === oneVote && script.steps.length >= 6)
    if (failed === undefined) throw new Error('no seed found the bug')
    const { result, runs } = minimise(failed, { bug, runsMax: 60 })
    t.ok(runs <= 60)
    t.ok(result.script.steps.length * 2 <= failed.script.steps.length, 'half as long or less')
    const again = simulate(failed.seed, { bug, script: result.script })
    t.match(again, { promise: oneVote, reason: result.reason })
    t.equal(simulate(failed.seed, { script: result.script }).outcome, 'passed', 'without the bug')
  },
)

const oneVote = 'a node votes once a term'

t.test('a run that passed has nothing to shorten', async (t) => {
  t.throws(() => minimise(simulate(7, short)), RangeError)
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
    t.equal(summary.eventsMin, Math.min(...results.map(({ events }) => events)))
    const elections = results.map(({ coverage }) => coverage.electionsWon)
    t.equal(
      summary.coverage.electionsWon,
      elections.reduce((sum, n) => sum + n, 0),
    )
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
