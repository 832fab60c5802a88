// `npm run test:churn -- [--lives 2000] [--alive 300] [--partitions 20] [--rate 1] [--probers 4] [--heartbeat 5s] [--seed S] [--keep]`. Exit code 0: every kernel healed in
// time and no payload reached the wrong task; 1: not; 125: wrong arguments.
import { randomInt } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { faultsOf, reportOf } from './report.ts'
import { type RunOptions, runChurn } from './run.ts'

const wrongArguments = 125
const usage =
  'usage: [--lives 2000] [--alive 300] [--partitions 20] [--rate 1] [--probers 4] [--heartbeat DURATION] [--seed S] [--quiet] [--keep]'

interface Arguments {
  readonly options: RunOptions
  readonly isQuiet: boolean
  /** The lab of a run that failed stays. */
  readonly isKept: boolean
}

function readArguments(args: readonly string[]): Arguments | undefined {
  try {
    const string = { type: 'string' } as const
    const { values } = parseArgs({
      args: [...args],
      options: {
        lives: string,
        alive: string,
        partitions: string,
        rate: string,
        probers: string,
        heartbeat: string,
        seed: string,
        quiet: { type: 'boolean' },
        keep: { type: 'boolean' },
      },
    })
    const number = (text: string | undefined, otherwise: number): number =>
      text === undefined ? otherwise : Number(text)
    const options: RunOptions = {
      lives: number(values.lives, 2_000),
      alive: number(values.alive, 300),
      partitions: number(values.partitions, 20),
      livesPerSecond: number(values.rate, 1),
      probers: number(values.probers, 4),
      seed: number(values.seed, randomInt(2 ** 31)),
      probesPerSecond: 40,
      ...(values.heartbeat !== undefined && { heartbeat: values.heartbeat }),
    }
    const { lives, alive, partitions, probers, seed, livesPerSecond } = options
    const isWhole = [lives, alive, partitions, probers, seed].every(Number.isSafeInteger)
    const isInRange = probers >= 1 && probers <= 8 && alive >= probers + 10 && livesPerSecond > 0
    const { quiet: isQuiet = false, keep: isKept = false } = values
    return isWhole && isInRange ? { options, isQuiet, isKept } : undefined
  } catch {
    return undefined
  }
}

/**
 * What looks must not itself be late on a busy machine: this session goes before those of daemons and containers. Where the
 * kernel shares out processors otherwise, nothing changes. Returns what takes it back. Source: sched(7), autogroup.
 */
function goFirst(): () => void {
  const file = '/proc/self/autogroup'
  try {
    const [, before = '0'] = / nice (-?\d+)/.exec(readFileSync(file, 'utf8')) ?? []
    writeFileSync(file, '-15')
    return () => writeFileSync(file, before)
  } catch {
    return () => {}
  }
}

async function main(args: readonly string[]): Promise<number> {
  const read = readArguments(args)
  if (read === undefined) {
    process.stderr.write(`${usage}\n`)
    return wrongArguments
  }
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => interrupted.abort())
  }
  const print = (line: string): void => {
    process.stdout.write(`${line}\n`)
  }
  const giveBack = goFirst()
  const { lives, alive, partitions, seed } = read.options
  print(`${lives} lives, ${alive} at once, ${partitions} partitions, seed ${seed}`)
  const result = await runChurn({
    ...read.options,
    signal: interrupted.signal,
    ...(!read.isQuiet && { say: print }),
    isLeft: (run) => read.isKept && faultsOf(run).length > 0,
  }).finally(giveBack)
  print(`\n${reportOf(result)}`)
  const faults = faultsOf(result)
  for (const fault of faults) print(fault)
  const { left } = result
  if (left !== undefined) print(`the lab is left below ${left}; the next run removes it`)
  return faults.length === 0 ? 0 : 1
}

process.exitCode = await main(process.argv.slice(2))
