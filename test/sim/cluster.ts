// The simulation of whole clusters from the command line: many seeds, or one with everything that is logged in it.
import { parseArgs } from 'node:util'
import { systemClock } from '../../proto/lib/clock.ts'
import { allMeddlings } from './cluster/meddling.ts'
import { reachable } from './cluster/rules/rule.ts'
import type { RunLength } from './cluster/run-plan.ts'
import type { PlantedBug } from './cluster/sim-host.ts'
import { type ClusterRun, simulateCluster } from './cluster/simulate.ts'

const bugs: readonly PlantedBug[] = [
  'skip-flush',
  'new-request-ids',
  'lose-writes',
  'forget-secrets',
  ...allMeddlings,
]

const lengths: readonly RunLength[] = ['short', 'long']

const usage = `usage: cluster [--seeds N] [--from S] [--length L] [--trace] [--bug B]
  --seeds N   how many seeds (default 100)
  --from S    the first one (default 1)
  --length L  short or long; left out: every 80th is long
  --trace     prints all that is logged
  --bug B     plants a bug, to see that it is found: ${bugs.join(', ')}
`

interface Options {
  readonly seeds: number
  readonly from: number
  readonly length: RunLength | undefined
  readonly trace: boolean
  readonly bug: PlantedBug | undefined
}

/** Exit code 0: all seeds passed. 1: at least one did not. 125: wrong arguments. */
export async function simulateClusters(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (options === undefined) {
    process.stderr.write(usage)
    return 125
  }
  const { from, seeds, trace, bug, length } = options
  const startMs = systemClock.monotonicMs()
  const runs: ClusterRun[] = []
  const failed: number[] = []
  for (let seed = from; seed < from + seeds; seed++) {
    try {
      const chosen = { ...(bug && { bug }), ...(length && { length }) }
      const run = { seed, ...chosen, ...(trace && { onLine: print }) }
      runs.push(await simulateCluster(run))
    } catch (err) {
      failed.push(seed)
      print(err instanceof Error ? err.message : String(err))
    }
  }
  report(runs, seeds, (systemClock.monotonicMs() - startMs) / 1000)
  if (failed.length > 0) print(`failed seeds: ${failed.join(' ')}`)
  return failed.length === 0 ? 0 : 1
}

function report(runs: readonly ClusterRun[], seeds: number, seconds: number): void {
  const sum = (of: (run: ClusterRun) => number): number =>
    runs.reduce((total, run) => total + of(run), 0)
  const settles = runs.map(({ settleMs }) => settleMs).sort((a, b) => a - b)
  const lines = [
    `${runs.length} of ${seeds} runs passed, ${(seeds / seconds).toFixed(2)} runs/s`,
    `${sum((run) => run.events)} events, ${sum((run) => run.script.length)} faults, ` +
      `${sum((run) => run.elections)} elections`,
    `${sum((run) => run.acknowledged)} changes acknowledged, ${sum((run) => run.repeated)} attempts repeated`,
    `settled after ${settles[settles.length >> 1]?.toFixed(0)} ms (median), ${settles.at(-1)?.toFixed(0)} ms (longest)`,
  ]
  for (const line of lines) print(line)
  const reached = new Map(reachable.map((what) => [what, 0]))
  for (const run of runs) {
    for (const [what, times] of run.reached) reached.set(what, (reached.get(what) ?? 0) + times)
  }
  print(`reached: ${[...reached].map(([what, times]) => `${what} ${times}`).join(', ')}`)
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

function readOptions(args: readonly string[]): Options | undefined {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seeds: { type: 'string', default: '100' },
        from: { type: 'string', default: '1' },
        trace: { type: 'boolean', default: false },
        bug: { type: 'string' },
        length: { type: 'string' },
      },
    })
    const [seeds, from] = [Number(values.seeds), Number(values.from)]
    const bug = bugs.find((known) => known === values.bug)
    const length = lengths.find((known) => known === values.length)
    if (values.bug !== undefined && bug === undefined) return undefined
    if (values.length !== undefined && length === undefined) return undefined
    if (!Number.isSafeInteger(seeds) || !Number.isSafeInteger(from)) return undefined
    return { seeds, from, trace: values.trace, bug, length }
  } catch {
    return undefined
  }
}
