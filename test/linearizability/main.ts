// `npm run test:linearizability -- [--seconds 600] [--seed S] [--voters 5] [--clients 10] [--quiet]`. Exit code 0:
// linearizable; 1: not; 125: wrong arguments.
import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import { reportOf, writeHistory } from './report.ts'
import { runLinearizability } from './run.ts'

const wrongArguments = 125
const usage = 'usage: [--seconds 600] [--seed S] [--voters 5] [--clients 10] [--quiet]'

interface Arguments {
  readonly seconds: number
  readonly seed: number
  readonly voters: number
  readonly clients: number
  readonly isQuiet: boolean
}

function readArguments(args: readonly string[]): Arguments | undefined {
  try {
    const string = { type: 'string' } as const
    const { values } = parseArgs({
      args: [...args],
      options: {
        seconds: string,
        seed: string,
        voters: string,
        clients: string,
        quiet: { type: 'boolean' },
      },
    })
    const number = (text: string | undefined, otherwise: number): number =>
      text === undefined ? otherwise : Number(text)
    const read = {
      seconds: number(values.seconds, 600),
      seed: number(values.seed, randomInt(2 ** 31)),
      voters: number(values.voters, 5),
      clients: number(values.clients, 10),
      isQuiet: values.quiet ?? false,
    }
    const isWhole = [read.seed, read.voters, read.clients].every(Number.isSafeInteger)
    const isInRange = read.seconds > 0 && read.seed >= 0 && read.voters >= 2 && read.clients >= 1
    return isWhole && isInRange ? read : undefined
  } catch {
    return undefined
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
  print(`${read.voters} members, ${read.clients} clients, ${read.seconds} s, seed ${read.seed}`)
  const { isQuiet, ...options } = read
  const result = await runLinearizability({
    ...options,
    signal: interrupted.signal,
    ...(!isQuiet && { say: print }),
  })
  print(`\n${reportOf(result)}`)
  if (result.verdict.kind === 'linearizable') return 0
  print(`history       ${await writeHistory(result)}`)
  return 1
}

process.exitCode = await main(process.argv.slice(2))
