// Reading the text of a flag with a parser of its own; what is wrong becomes an error of the command line.
import { usage } from './parse-args.ts'

/** Runs a parser of a flag's text. Errors: USAGE that names the flag and the reason. */
export function read<T>(flag: string, parse: () => T, value?: string): T {
  try {
    return parse()
  } catch (err) {
    const why = err instanceof Error ? err.message : String(err)
    const given = value === undefined ? '' : `${JSON.stringify(value)} `
    throw usage(`invalid argument ${given}for "--${flag}" flag: ${why}`, err)
  }
}
