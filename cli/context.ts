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
}

export interface Input extends AsyncIterable<Uint8Array> {
  readonly isTerminal: boolean
}

export interface CommandContext {
  readonly stdout: Output
  readonly stderr: Output
  readonly stdin: Input
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
