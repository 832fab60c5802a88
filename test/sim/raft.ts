// The simulation of raft-ts from the command line: many seeds, or one with everything that happens in it.
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { type PlantedBug, runSeeds, type SimResult, simulate } from 'raft-ts/testing'
import { systemClock } from '../../proto/lib/clock.ts'

const usage = `usage: raft [--seeds N] [--from S] [--threads T] [--trace] [--bug skip-flush|vote-twice]
  --seeds N    how many seeds (default 100)
  --from S     the first one (default 1)
  --threads T  default: one a core
  --trace      with one seed: prints all that happens
  --bug B      plants a bug, to see that it is found
`

const bugs: readonly PlantedBug[] = ['skip-flush', 'vote-twice']

/** Exit code 0: all seeds passed. 1: at least one did not. 125: wrong arguments. */
export async function simulateRaft(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (options === undefined) {
    process.stderr.write(usage)
    return 125
  }
  const { from, seeds, threads, trace, bug } = options
  const sim = bug === undefined ? {} : { bug }
  if (trace) {
    for (let seed = from; seed < from + seeds; seed++) {
      report(simulate(seed, { ...sim, onTrace: (line) => process.stdout.write(`${line}\n`) }))
    }
    return 0
  }
  const summary = await runSeeds({
    from,
    seeds,
    threads,
    sim,
    clock: systemClock,
    onResult: (result) => {
      if (result.outcome === 'violated') report(result)
    },
  })
  const { runs, failed, seconds, runsPerSecond, eventsPerRun } = summary
  process.stdout.write(
    `seeds ${from} to ${from + seeds - 1}: ${runs} runs in ${seconds.toFixed(1)} s, ` +
      `${runsPerSecond.toFixed(1)} runs/s, ${eventsPerRun.toFixed(0)} events a run, ` +
      `${failed.length} failed\n`,
  )
  return failed.length === 0 ? 0 : 1
}

interface Options {
  readonly from: number
  readonly seeds: number
  readonly threads: number
  readonly trace: boolean
  readonly bug: PlantedBug | undefined
}

function readOptions(args: readonly string[]): Options | undefined {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seeds: { type: 'string', default: '100' },
        from: { type: 'string', default: '1' },
        threads: { type: 'string', default: String(availableParallelism()) },
        trace: { type: 'boolean', default: false },
        bug: { type: 'string' },
      },
    })
    const [seeds, from, threads] = [values.seeds, values.from, values.threads].map(Number)
    const bug = bugs.find((known) => known === values.bug)
    if (!isCount(seeds) || !isCount(from) || !isCount(threads)) return undefined
    if (values.bug !== undefined && bug === undefined) return undefined
    return { seeds, from, threads, trace: values.trace, bug }
  } catch {
    return undefined
  }
}

function isCount(n: number | undefined): n is number {
  return n !== undefined && Number.isSafeInteger(n) && n > 0
}

function report(result: SimResult): void {
  const { seed, reason, atMs, ...figures } = result
  const text = reason === undefined ? 'passed' : `failed at ${atMs.toFixed(0)} ms: ${reason}`
  process.stdout.write(`seed ${seed} ${text}\n${JSON.stringify(figures)}\n`)
  if (reason !== undefined) {
    process.stdout.write(
      `again: node build/test/sim/main.js raft --trace --seeds 1 --from ${seed}\n`,
    )
  }
}
