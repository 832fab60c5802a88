// Clients in a network namespace (load.c), as their parent sees them: what they are to ask, and what came of it.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { systemClock } from '../../proto/lib/clock.ts'

export interface LoadWish {
  readonly address: string
  readonly port: number
  /** New connections a second with a request that the server answers after `fastMs`. */
  readonly perSecond: number
  readonly fastMs: number
  /** More of them, answered after `slowMs`. */
  readonly slowPerSecond: number
  readonly slowMs: number
  /** Connections that are used again and again. */
  readonly keepAlive: number
  /** A request that waits so much longer than the server was told to take has failed. */
  readonly waitMs: number
}

export type RequestKind = 'fresh' | 'slow' | 'kept'

export interface Failure {
  readonly kind: RequestKind
  /** Wall clock. */
  readonly startedAtMs: number
  readonly endedAtMs: number
  readonly cause: string
}

export interface LoadOutcome {
  readonly sent: Readonly<Record<RequestKind, number>>
  readonly answered: Readonly<Record<RequestKind, number>>
  /** By kind and cause. */
  readonly failed: Readonly<Record<string, number>>
  /** Requests on a used connection that ended without a byte of the answer, asked once more on a new one; by cause. */
  readonly retried: Readonly<Record<string, number>>
  /** Kept connections that the server asked to close, and that it closed while nothing was asked. */
  readonly closes: { readonly asked: number; readonly idle: number }
  /** The first 5,000, told at the end. */
  readonly failures: readonly Failure[]
  /** The longest time of a fresh request that was answered. */
  readonly slowestMs: number
  /** How many servers answered, by their names. */
  readonly servers: number
  readonly cpuMs: number
}

export interface GeneratorPlace {
  readonly name: string
  /** argv that runs what follows it where the clients are to be. */
  readonly enter: readonly string[]
  readonly wish: LoadWish
}

/** What came of all, in how much time. */
export interface GeneratorResult extends LoadOutcome {
  readonly name: string
  readonly seconds: number
}

/** Before everything else on a busy machine: a client that is late looks like a server that is. */
const first = ['nice', '-n', '-10']

export class Generator {
  readonly name: string
  readonly #child: ChildProcessWithoutNullStreams
  readonly #closed: Promise<number | null>
  readonly #startMs = systemClock.monotonicMs()
  #last: (LoadOutcome & { readonly isOver: boolean }) | undefined
  #stderr = ''

  private constructor(program: string, { name, enter, wish }: GeneratorPlace) {
    this.name = name
    const { address, port, perSecond, fastMs, slowPerSecond, slowMs, keepAlive, waitMs } = wish
    const numbers = [port, perSecond, fastMs, slowPerSecond, slowMs, keepAlive, waitMs]
    const [command = '', ...args] = [...first, ...enter, program, address, ...numbers.map(String)]
    this.#child = spawn(command, args)
    this.#child.stdin.on('error', () => {})
    this.#child.stderr.on('data', (text: Buffer) => {
      this.#stderr = `${this.#stderr}${text}`.slice(-2_000)
    })
    createInterface(this.#child.stdout).on('line', (line) => {
      this.#last = JSON.parse(line) as LoadOutcome & { readonly isOver: boolean }
    })
    this.#closed = new Promise((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('close', resolve)
    })
    this.#closed.catch(() => {})
  }

  /** `program`: load.c, compiled. */
  static start(program: string, place: GeneratorPlace): Generator {
    return new Generator(program, place)
  }

  /** What was counted up to now; undefined before it has begun. Errors: when it ended by itself. */
  get line(): LoadOutcome | undefined {
    const { exitCode } = this.#child
    if (exitCode !== null) throw new Error(`${this.name}: exit ${exitCode}: ${this.#stderr}`)
    return this.#last
  }

  /** Asks for no more, and waits for what is still to be answered. */
  async end(): Promise<GeneratorResult> {
    const seconds = (systemClock.monotonicMs() - this.#startMs) / 1000
    this.#child.stdin.end()
    const code = await this.#closed
    const line = this.#last
    if (line?.isOver !== true) throw new Error(`${this.name}: exit ${code}: ${this.#stderr}`)
    const { isOver: _, ...outcome } = line
    return { ...outcome, name: this.name, seconds }
  }

  /** At once; what was counted is lost. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }
}
