// What a command may use of the outside world, as arguments, so that tests run commands in-process.
import type { Clock } from '../proto/lib/clock.ts'
import type { Random } from '../proto/lib/random.ts'
import type { Client } from './client.ts'

export interface Output {
  /** Bytes are written as they are. */
  write(text: string | Uint8Array): void
  readonly isTerminal: boolean
  /** Width of the terminal in characters; 80 when it is none. */
  readonly columns: number
  /** Resolves when what was written has gone far enough for more; absent: at once. */
  drained?(): Promise<void>
}

export interface Input extends AsyncIterable<Uint8Array> {
  readonly isTerminal: boolean
  /** Nothing more is read. */
  close?(): void
}

/** The terminal of this program, beyond reading and writing. */
export interface TerminalControl {
  /** Undefined: it has none. */
  size(): { readonly rows: number; readonly columns: number } | undefined
  /** The result ends it. */
  onResize(listener: () => void): () => void
  /** Keys come as they are typed, and are not shown. */
  setRaw(on: boolean): void
  /** While there is a listener, signals do not interrupt the command. The result ends it. */
  onSignal(listener: (name: string) => void): () => void
}

export interface CommandContext {
  readonly stdout: Output
  readonly stderr: Output
  readonly stdin: Input
  /** Absent where there is none to control. */
  readonly terminal?: TerminalControl
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly random: Random
  /** Aborts when the user interrupts (Ctrl-C) or the terminal goes away. */
  readonly signal: AbortSignal
  /** Path of the daemon's socket. */
  readonly socketPath: string
  /** The daemon, connected on first use. Errors: DAEMON_NOT_RUNNING, PERMISSION_DENIED. */
  connect(): Promise<Client>
}
