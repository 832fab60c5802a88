// The words after `npm run bench --`. Pure.

export interface BenchArguments {
  /** In the order they are run. */
  readonly names: readonly string[]
  readonly asJson: boolean
  /** Whether Docker is measured beside ours where it is installed. */
  readonly peer: boolean
}

const flags = ['--json', '--no-peer']

/** Without names: all that are known. Answers with the text for the user when a word is none of them. */
export function parseBenchArguments(
  args: readonly string[],
  known: readonly string[],
): BenchArguments | string {
  const unknown = args.find((arg) => !flags.includes(arg) && !known.includes(arg))
  if (unknown !== undefined) {
    return `unknown argument "${unknown}": benchmarks are ${known.join(', ')}; flags are ${flags.join(', ')}`
  }
  const named = args.filter((arg) => !flags.includes(arg))
  return {
    names: named.length > 0 ? named : known,
    asJson: args.includes('--json'),
    peer: !args.includes('--no-peer'),
  }
}
