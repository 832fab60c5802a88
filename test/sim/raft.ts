// The simulation of raft-ts from the command line: many seeds, or one with everything that happens in it.
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import {
  type Coverage,
  type FaultScript,
  minimise,
  type PlainSimOptions,
  type PlantedBug,
  plantedBugs,
  runSeeds,
  type SimResult,
  simulate,
} from 'raft-ts/testing'
import { systemClock } from '../../proto/lib/clock.ts'

const usage = `usage: raft [--seeds N] [--from S] [--threads T] [--trace] [--script S] [--bug B]
  --seeds N    how many seeds (default 100)
  --from S     the first one (default 1)
  --threads T  default: one a core
  --trace      prints all that happens
  --script S   plays these faults instead of drawing them: JSON, or a file that holds it
  --bug B      plants a bug, to see that it is found: ${plantedBugs.join(', ')}
`

/** Failing seeds whose scripts are shortened: it takes many runs. */
const minimisedMax = 2

/** Exit code 0: all seeds passed. 1: at least one did not. 125: wrong arguments. */
export async function simulateRaft(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (options === undefined) {
    process.stderr.write(usage)
    return 125
  }
  const { from, seeds, threads, trace, sim } = options
  if (trace) return traced(options)
  const summary = await runSeeds({
    from,
    seeds,
    threads,
    sim,
    clock: systemClock,
    onResult: (result) => {
      if (result.outcome === 'violated') report(result, sim)
    },
  })
  const { runs, failed, seconds, runsPerSecond, eventsPerRun, eventsMin, coverage } = summary
  for (const result of failed.slice(0, minimisedMax)) reportShortest(result, sim)
  process.stdout.write(coverageText(coverage))
  process.stdout.write(
    `seeds ${from} to ${from + seeds - 1}: ${runs} runs in ${seconds.toFixed(1)} s, ` +
      `${runsPerSecond.toFixed(1)} runs/s, ${eventsPerRun.toFixed(0)} events a run ` +
      `(${eventsMin} at least), ${failed.length} failed` +
      `${failed.length > 0 ? `, first seed ${firstOf(failed)}` : ''}\n`,
  )
  return failed.length === 0 ? 0 : 1
}

/** What happened how often, a few to the line. */
export function coverageText(coverage: Coverage): string {
  const words = Object.entries(coverage).map(([name, count]) => `${name} ${count}`)
  const lines: string[] = []
  while (words.length > 0) lines.push(`  ${words.splice(0, 5).join(', ')}\n`)
  return lines.join('')
}

/** A script and the command that plays it again, step by step. */
export function scriptText(result: SimResult, sim: PlainSimOptions): string {
  const { seed, script } = result
  const steps = script.steps.map((step) => `  ${JSON.stringify(step)}\n`).join('')
  return `${steps}again: ${command(seed, sim)} --trace --script '${JSON.stringify(script)}'\n`
}

function firstOf(failed: readonly SimResult[]): number {
  return Math.min(...failed.map(({ seed }) => seed))
}

interface Options {
  readonly from: number
  readonly seeds: number
  readonly threads: number
  readonly trace: boolean
  readonly sim: PlainSimOptions
}

function traced({ from, seeds, sim }: Options): number {
  let failed = 0
  for (let seed = from; seed < from + seeds; seed++) {
    const onTrace = (line: string): void => void process.stdout.write(`${line}\n`)
    const result = simulate(seed, { ...sim, onTrace })
    if (result.outcome === 'violated') failed += 1
    report(result, sim)
  }
  return failed === 0 ? 0 : 1
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
        script: { type: 'string' },
        bug: { type: 'string' },
      },
    })
    const [seeds, from, threads] = [values.seeds, values.from, values.threads].map(Number)
    const bug = plantedBugs.find((known) => known === values.bug)
    if (!isCount(seeds) || !isCount(from) || !isCount(threads)) return undefined
    if (values.bug !== undefined && bug === undefined) return undefined
    const script = values.script === undefined ? undefined : readScript(values.script)
    const sim = { ...(bug !== undefined && { bug }), ...(script !== undefined && { script }) }
    return { seeds, from, threads, trace: values.trace, sim }
  } catch {
    return undefined
  }
}

/** Throws when it is not JSON, or the file cannot be read. */
function readScript(text: string): FaultScript {
  return JSON.parse(text.startsWith('{') ? text : readFileSync(text, 'utf8'))
}

function isCount(n: number | undefined): n is number {
  return n !== undefined && Number.isSafeInteger(n) && n > 0
}

function command(seed: number, { bug }: { readonly bug?: PlantedBug }): string {
  const planted = bug === undefined ? '' : ` --bug ${bug}`
  return `node build/test/sim/main.js raft --seeds 1 --from ${seed}${planted}`
}

function report(result: SimResult, sim: PlainSimOptions): void {
  const { seed, reason, promise, atMs, script, coverage, ...figures } = result
  const text = reason === undefined ? 'passed' : `failed at ${atMs.toFixed(0)} ms: ${reason}`
  process.stdout.write(`seed ${seed} ${text}\n`)
  process.stdout.write(`${JSON.stringify({ ...figures, faults: script.steps.length })}\n`)
  if (reason !== undefined) process.stdout.write(`again: ${command(seed, sim)} --trace\n`)
  else process.stdout.write(coverageText(coverage))
}

function reportShortest(failed: SimResult, sim: PlainSimOptions): void {
  const { result, runs } = minimise(failed, sim)
  process.stdout.write(
    `seed ${failed.seed}: ${failed.promise}\n` +
      `the shortest script that breaks it, ${result.script.steps.length} of ` +
      `${failed.script.steps.length} faults, found in ${runs} runs:\n` +
      scriptText(result, sim),
  )
}
