// What a command is: one object. Parsing, help, completion and the reference are made from it.
import type { CommandContext } from './context.ts'
import type { Completion, Flags, FlagValues } from './flags.ts'

export interface ArgumentsSpec {
  /** As shown in help, "SERVICE [SERVICE...]". */
  readonly usage: string
  readonly min: number
  readonly max: number
  /** Everything from the first argument on belongs to the container, flags too. */
  readonly stopAtFirst?: boolean
  readonly completes?: Completion | readonly string[]
  /** Of the arguments behind the first; default: as the first. */
  readonly thenCompletes?: Completion
}

export interface Example {
  readonly what: string
  /** Without the `$ `. */
  readonly command: string
}

/** The flags and arguments a user gave. */
export interface Given<F extends Flags> {
  readonly flags: FlagValues<F>
  readonly args: readonly string[]
}

export interface Command<F extends Flags = Flags> {
  /** Without the program: "service create". */
  readonly name: string
  readonly summary: string
  /** More than the summary, for help; paragraphs separated by an empty line. */
  readonly description?: string
  readonly args: ArgumentsSpec
  readonly flags: F
  readonly examples: readonly Example[]
  /** What to use instead of a flag that Swarm has and this version has not; undefined for other words. */
  readonly absent?: (name: string) => string | undefined
  /** Returns the exit code; nothing is 0. A method, so that commands with other flags share a table. */
  run(ctx: CommandContext, given: Given<F>): Promise<number | undefined>
}

/** Takes no arguments. */
export const noArguments: ArgumentsSpec = { usage: '', min: 0, max: 0 }

/** Keeps the types of a command's flags for its `run`. */
export function defineCommand<F extends Flags>(command: Command<F>): Command<F> {
  return command
}
