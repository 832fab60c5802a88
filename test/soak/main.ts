// `npm run test:soak -- [--minutes 30] [--rate 50]`. Exit code 0: nothing of a daemon grows with time; 1: something does, or
// changes failed; 125: wrong arguments.
import { parseArgs } from 'node:util'
import { type DaemonHistory, runSoak } from './run.ts'
import { leastOfEach, type Seen, trendOf } from './slope.ts'

const wrongArguments = 125
const usage = 'usage: [--minutes 30] [--rate CHANGES_PER_MINUTE]'
/** By so much in an hour it may grow by chance: memory comes and goes with the collector. */
const perHourMax = {
  residentMB: 60,
  heapMB: 10,
  descriptors: 20,
  helpers: 4,
  helpersMB: 60,
} as const
/** Of the whole time, the first part is left to warming up: the list of events is full after some 800 changes. */
const settledPart = 0.6
/** The least of each such part of the time counts: a minute of half an hour. */
const parts = 30

interface Arguments {
  readonly minutes: number
  readonly rate: number
}

function readArguments(args: readonly string[]): Arguments | undefined {
  try {
    const string = { type: 'string' } as const
    const { values } = parseArgs({ args: [...args], options: { minutes: string, rate: string } })
    const [minutes, rate] = [Number(values.minutes ?? 30), Number(values.rate ?? 50)]
    return minutes > 0 && rate > 0 && rate <= 600 ? { minutes, rate } : undefined
  } catch {
    return undefined
  }
}

/** A line for each thing that was looked at. */
function judged(history: DaemonHistory, minutes: number): readonly string[] {
  const kinds = ['residentMB', 'heapMB', 'descriptors', 'helpers', 'helpersMB'] as const
  return kinds.map((kind) => {
    const all: readonly Seen[] = history[kind]
    const { first, last, greatest } = trendOf(all)
    const settledAtMs = (all[0]?.atMs ?? 0) + minutes * 60_000 * settledPart
    const settled = all.filter(({ atMs }) => atMs >= settledAtMs)
    const { perHour } = trendOf(leastOfEach(settled, (minutes * 60_000) / parts))
    const verdict = perHour > perHourMax[kind] ? 'GROWS' : 'ok'
    const text = (value: number): string => value.toFixed(kind.endsWith('MB') ? 1 : 0)
    return `${verdict} ${history.host} ${kind}: ${text(first)} first, ${text(last)} last, ${text(greatest)} at most, ${text(perHour)} an hour`
  })
}

async function main(args: readonly string[]): Promise<number> {
  const read = readArguments(args)
  if (read === undefined) {
    process.stderr.write(`${usage}\n`)
    return wrongArguments
  }
  const interrupted = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort())
  const { minutes, rate } = read
  const { changes, failures, histories } = await runSoak({
    minutes,
    changesPerMinute: rate,
    signal: interrupted.signal,
    say: (line) => process.stdout.write(`${line}\n`),
  })
  const verdicts = histories.flatMap((history) => judged(history, minutes))
  for (const line of [...verdicts, ...failures.map((text) => `FAILED ${text}`)]) {
    process.stdout.write(`${line}\n`)
  }
  process.stdout.write(`${changes} changes, ${failures.length} failed\n`)
  const isWell = failures.length === 0 && verdicts.every((line) => line.startsWith('ok'))
  return isWell ? 0 : 1
}

process.exitCode = await main(process.argv.slice(2))
