// The simulation of whole clusters from the command line: many seeds, or one with everything that is logged in it.
import { parseArgs } from 'node:util'
import { systemClock } from '../../proto/lib/clock.ts'
import type { PlantedBug } from './cluster/sim-host.ts'
import { type ClusterRun, simulateCluster } from './cluster/simulate.ts'

const usage = `usage: cluster [--seeds N] [--from S] [--trace] [--bug B]
  --seeds N  how many seeds (default 20)
  --from S   the first one (default 1)
  --trace    prints all that is logged
  --bug B    plants a bug, to see that it is found: skip-flush, new-request-ids, state-goes-back or lose-writes
`

const bugs: readonly PlantedBug[] = [
  'skip-flush',
  'new-request-ids',
  'state-goes-back',
  'lose-writes',
]

interface Options {
  readonly seeds: number
  readonly from: number
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
  const { from, seeds, trace, bug } = options
  const startMs = systemClock.monotonicMs()
  const runs: ClusterRun[] = []
  const failed: number[] = []
  for (let seed = from; seed < from + seeds; seed++) {
    try {
      const run = { seed, ...(bug && { bug }), ...(trace && { onLine: print }) }
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
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

function readOptions(args: readonly string[]): Options | undefined {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seeds: { type: 'string', default: '20' },
        from: { type: 'string', default: '1' },
        trace: { type: 'boolean', default: false },
        bug: { type: 'string' },
      },
    })
    const [seeds, from] = [Number(values.seeds), Number(values.from)]
    const bug = bugs.find((known) => known === values.bug)
    if (values.bug !== undefined && bug === undefined) return undefined
    if (!Number.isSafeInteger(seeds) || !Number.isSafeInteger(from)) return undefined
    return { seeds, from, trace: values.trace, bug }
  } catch {
    return undefined
  }
}
