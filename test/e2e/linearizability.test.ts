// Real members in network namespaces under faults: their history is linearizable. And the proof that it would be noticed
// if it were not. `npm run test:linearizability` is the same for longer.
import t from 'tap'
import { faultKinds } from '../linearizability/faults.ts'
import { reportOf, writeHistory } from '../linearizability/report.ts'
import { type RunOptions, type RunResult, runLinearizability } from '../linearizability/run.ts'

t.setTimeout(900_000)

/** At least so many, on any machine: with fewer a verdict would say little. */
const acknowledgedPerSecondMin = 10

async function run(options: RunOptions): Promise<RunResult> {
  const result = await runLinearizability(options)
  for (const line of [...result.events, ...reportOf(result).split('\n')]) t.comment(line)
  return result
}

/** A wrong member is caught by chance, mostly within seconds: with another seed when a run has not done it. */
async function verdictOfWrong(options: RunOptions): Promise<RunResult['verdict']> {
  for (const seed of [options.seed, options.seed + 10]) {
    const { verdict } = await run({ ...options, seed })
    if (verdict.kind === 'violation') return verdict
  }
  return (await run({ ...options, seed: options.seed + 20 })).verdict
}

t.test('a minute of every fault', async (t) => {
  const result = await run({ seed: 20_260_727, seconds: 60 })
  const { verdict, counts, seconds } = result
  if (verdict.kind !== 'linearizable') {
    t.fail(`${verdict.kind}: ${verdict.text}`, { history: await writeHistory(result) })
  }
  t.ok(counts.ok > seconds * acknowledgedPerSecondMin, `${counts.ok} operations acknowledged`)
  t.ok(counts.unknown > 0, 'some outcomes are unknown')
  t.ok(result.leaders > 1 && result.terms > 2, `${result.leaders} led in ${result.terms} terms`)
  t.ok(result.checks > result.keys, 'keys were checked while it ran')
  for (const kind of faultKinds) {
    t.ok((result.faults.get(kind)?.proven ?? 0) > 0, `${kind} struck`)
  }
})

t.test('reads that a leader answers without asking the quorum are noticed', async (t) => {
  const verdict = await verdictOfWrong({
    seed: 2,
    seconds: 60,
    voters: 3,
    kinds: ['cut-leader', 'stop-leader'],
    readsLocally: true,
  })
  t.match(verdict, { kind: 'violation', text: /no order of the operations explains/ })
})

t.test('a lost acknowledgement that counts as a failure is noticed', async (t) => {
  const verdict = await verdictOfWrong({
    seed: 3,
    seconds: 60,
    voters: 3,
    kinds: ['kill-leader', 'stop-leader', 'cut-leader'],
    takesUnknownForFailed: true,
  })
  t.match(verdict, { kind: 'violation', text: /no order of the operations explains/ })
})
