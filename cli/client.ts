// The daemon as commands see it: calls that are repeated while the cluster has no leader, and errors as SwarmErrors.
import { errorCodeKey, errorDetailsKey, errorFromStatus } from '../proto/codec/grpc-status.ts'
import { hasCode, SwarmError } from '../proto/errors.ts'
import { createBackoff } from '../proto/lib/backoff.ts'
import { type Clock, wait } from '../proto/lib/clock.ts'
import type { Random } from '../proto/lib/random.ts'
import { connectError } from './connect-error.ts'
import { type CallStatus, type Channel, type Method, openChannel } from './grpc-channel.ts'

/** How long one call may take, and whether it may be repeated. */
export interface CallOptions {
  /** For one try. Default 30 s. */
  readonly timeoutMs?: number
  /**
   * Repeat while there is no leader or the outcome is unknown; needs a request that may be repeated:
   * a read, or one with a requestId. Default true.
   */
  readonly retry?: boolean
}

/** A connection to the daemon's local socket, as commands use it. Errors are SwarmError. */
export interface Client {
  /** One answer. Errors: those of the daemon; UNAVAILABLE and its kin only after retries. */
  call<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    options?: CallOptions,
  ): Promise<Response>
  /** All answers of a list, as one. Repeated as a whole, like call. Errors: as call. */
  collect<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    options?: CallOptions,
  ): Promise<readonly Response[]>
  /** Answers until the daemon ends them, or the user or the signal interrupts (CANCELLED). Not repeated. */
  stream<Request, Response>(
    method: Method<Request, Response>,
    requests: AsyncIterable<Request> | readonly Request[],
    signal?: AbortSignal,
  ): AsyncIterable<Response>
  /** For good: calls under way and later ones fail. */
  close(): void
}

export interface ClientOptions {
  readonly socketPath: string
  readonly clock: Clock
  readonly random: Random
  readonly signal: AbortSignal
  /** Retries end this long after the first try. */
  readonly retryMs?: number
  /** How long a call may take that says nothing else; default 30,000. */
  readonly callTimeoutMs?: number
}

const defaultCallTimeoutMs = 30_000
const defaultRetryMs = 15_000

/** Connects to the daemon of this host. Errors: DAEMON_NOT_RUNNING, PERMISSION_DENIED. */
export async function connectClient(options: ClientOptions): Promise<Client> {
  const client = new DaemonClient(options)
  await client.channel()
  return client
}

class DaemonClient implements Client {
  readonly #options: ClientOptions
  #channel: Channel | undefined
  #closed = false

  constructor(options: ClientOptions) {
    this.#options = options
  }

  async channel(): Promise<Channel> {
    // Whoever still resumes a stream must not open a connection again.
    if (this.#closed) throw new SwarmError('CANCELLED', 'the connection to the daemon was closed')
    if (this.#channel?.usable()) return this.#channel
    const { socketPath, clock } = this.#options
    try {
      this.#channel = await openChannel(socketPath, clock, toError)
    } catch (err) {
      throw connectError(socketPath, err)
    }
    return this.#channel
  }

  async call<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    options?: CallOptions,
  ): Promise<Response> {
    const answer = (await this.collect(method, request, options)).at(-1)
    if (answer !== undefined) return answer
    throw new SwarmError('INTERNAL', `the daemon answered ${method.path} with nothing`)
  }

  async collect<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    options: CallOptions = {},
  ): Promise<readonly Response[]> {
    const { clock, random, signal, retryMs = defaultRetryMs } = this.#options
    const timeoutMs = options.timeoutMs ?? this.#options.callTimeoutMs ?? defaultCallTimeoutMs
    const endMs = clock.monotonicMs() + retryMs
    const backoff = createBackoff({ firstMs: 50, maxMs: 500, random })
    while (true) {
      try {
        return await this.#once(method, request, timeoutMs)
      } catch (err) {
        const delayMs = backoff.nextMs()
        const late = clock.monotonicMs() + delayMs > endMs
        if (options.retry === false || !isWorthRetrying(err) || late) throw err
        await wait(clock, delayMs, signal)
        if (signal.aborted) throw new SwarmError('CANCELLED', 'interrupted', { cause: err })
      }
    }
  }

  async *stream<Request, Response>(
    method: Method<Request, Response>,
    requests: AsyncIterable<Request> | readonly Request[],
    signal = this.#options.signal,
  ): AsyncGenerator<Response, void, undefined> {
    const channel = await this.channel()
    yield* channel.call(method, requests, { signal })
  }

  close(): void {
    this.#closed = true
    this.#channel?.close()
  }

  async #once<Request, Response>(
    method: Method<Request, Response>,
    request: Request,
    timeoutMs: number,
  ): Promise<readonly Response[]> {
    const channel = await this.channel()
    const answers = channel.call(method, [request], { signal: this.#options.signal, timeoutMs })
    const all: Response[] = []
    for await (const value of answers) all.push(value)
    return all
  }
}

/** Whether the same request may succeed soon. The daemon answers a repeated requestId with the first result. */
function isWorthRetrying(err: unknown): boolean {
  return hasCode(
    err,
    'NOT_LEADER',
    'NO_LEADER',
    'UNAVAILABLE',
    'OUTCOME_UNKNOWN',
    'DAEMON_NOT_RUNNING',
  )
}

function toError({ code, message, trailers }: CallStatus): SwarmError {
  const details = trailers[errorDetailsKey]
  return errorFromStatus({
    code,
    message,
    errorCode: trailers[errorCodeKey],
    details: details === undefined ? undefined : Buffer.from(details, 'base64'),
  })
}
