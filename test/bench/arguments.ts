// The words after `npm run bench --`. Pure.

export interface BenchArguments {
  /** In the order they are run. */
  readonly names: readonly string[]
  readonly asJson: boolean
  /** Whether Docker is measured beside ours where it is installed. */
  readonly peer: boolean
  /** Left out: each benchmark's own. */
  readonly tries?: number
}

const flags = ['--json', '--no-peer', '--tries=N']
const triesMax = 1_000

/** Without names: all that are known. Answers with the text for the user when a word is none of them. */
export function parseBenchArguments(
  args: readonly string[],
  known: readonly string[],
): BenchArguments | string {
  const given = args.filter((arg) => arg.startsWith('--tries='))
  const tries = given.map((arg) => Number(arg.slice('--tries='.length))).at(-1)
  const isCount = tries === undefined || (Number.isInteger(tries) && tries > 0 && tries <= triesMax)
  if (!isCount) return `${given.at(-1)}: the number of tries is from 1 to ${triesMax}`
  const isFlag = (arg: string): boolean => flags.includes(arg) || given.includes(arg)
  const unknown = args.find((arg) => !isFlag(arg) && !known.includes(arg))
  if (unknown !== undefined) {
    return `unknown argument "${unknown}": benchmarks are ${known.join(', ')}; flags are ${flags.join(', ')}`
  }
  const named = args.filter((arg) => !isFlag(arg))
  return {
    names: named.length > 0 ? named : known,
    asJson: args.includes('--json'),
    peer: !args.includes('--no-peer'),
    ...(tries !== undefined && { tries }),
  }
}
