// Running command lines in-process, with everything they write kept.
import type { Client } from '../../cli/client.ts'
import type { Output, TerminalControl } from '../../cli/context.ts'
import { runCli } from '../../cli/run-cli.ts'
import { type Clock, systemClock } from '../../proto/lib/clock.ts'
import { seededRandom } from '../../proto/lib/random.ts'

type OnWrite = (text: string, bytes: Uint8Array) => void

export class MemoryOutput implements Output {
  readonly isTerminal: boolean
  readonly columns: number
  readonly #onWrite: OnWrite | undefined
  #bytes = Buffer.alloc(0)

  get text(): string {
    return this.#bytes.toString()
  }

  constructor(isTerminal = false, columns = 80, onWrite?: OnWrite) {
    this.isTerminal = isTerminal
    this.columns = columns
    this.#onWrite = onWrite
  }

  write(chunk: string | Uint8Array): void {
    const bytes = Buffer.from(chunk)
    this.#bytes = Buffer.concat([this.#bytes, bytes])
    this.#onWrite?.(bytes.toString(), bytes)
  }
}

export interface CliRun {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface CliSurroundings {
  readonly connect?: (socketPath: string) => Promise<Client>
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: readonly Uint8Array[]
  readonly stdinIsTerminal?: boolean
  readonly clock?: Clock
  readonly signal?: AbortSignal
  readonly terminal?: boolean
  readonly terminalControl?: TerminalControl
  /** Sees what is written to stdout as it is written. */
  readonly onOutput?: OnWrite
  readonly onErrors?: OnWrite
}

let runs = 0

async function noDaemon(): Promise<never> {
  throw new Error('this test has no daemon')
}

async function* chunks(stdin: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* stdin
}

/** The arguments as words; a text is split at blanks. */
export async function runCommandLine(
  line: string | readonly string[],
  surroundings: CliSurroundings = {},
): Promise<CliRun> {
  const stdout = new MemoryOutput(surroundings.terminal, 80, surroundings.onOutput)
  runs += 1
  const stderr = new MemoryOutput(surroundings.terminal, 80, surroundings.onErrors)
  const argv = typeof line === 'string' ? line.split(' ').filter((word) => word !== '') : line
  const code = await runCli(
    {
      stdout,
      stderr,
      stdin: Object.assign(chunks(surroundings.stdin ?? []), {
        isTerminal: surroundings.stdinIsTerminal ?? false,
      }),
      ...(surroundings.terminalControl && { terminal: surroundings.terminalControl }),
      env: surroundings.env ?? {},
      clock: surroundings.clock ?? systemClock,
      // Each run is another user: its request ids must not repeat another's.
      random: seededRandom(runs),
      signal: surroundings.signal ?? new AbortController().signal,
      connect: surroundings.connect ?? noDaemon,
    },
    argv,
  )
  return { code, stdout: stdout.text, stderr: stderr.text }
}
