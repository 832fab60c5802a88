// Questions that are not ours: asked of the asker's name servers or the host's, one after the other until one answers, with bounds on how
// many at once. Answers are handed on as they came, but for the id.
import type { Clock } from '../../../proto/lib/clock.ts'
import type { Random } from '../../../proto/lib/random.ts'
import { type Exchange, exchangeTcp, exchangeUdp } from './exchange.ts'
import { type Query, responseCodes } from './query.ts'
import { encodeEmpty } from './response.ts'
import type { Upstream, Upstreams } from './upstreams.ts'

export interface ForwardRequest {
  readonly message: Buffer
  readonly query: Query
  readonly asker: string
  readonly isTcp: boolean
}

export interface Forwarder {
  /** The answer, or SERVFAIL. Never rejects; takes no longer than the deadline. */
  forward(request: ForwardRequest): Promise<Buffer>
  readonly inFlight: number
}

export interface ForwarderOptions {
  /** Of an asker, by its address. */
  readonly upstreamsOf: (asker: string) => Upstreams
  readonly clock: Clock
  /** Of ids; must not be guessed. */
  readonly random: Random
  /** Default 1,024. */
  readonly inFlightMax?: number
  /** Default 256. */
  readonly askerInFlightMax?: number
  /** Then the next server is asked as well; default 1,500. */
  readonly tryMs?: number
  /** Default 4,500: the C library waits for 5 s. */
  readonly deadlineMs?: number
}

const triesMax = 3

export function createForwarder(options: ForwarderOptions): Forwarder {
  return new UpstreamForwarder(options)
}

class UpstreamForwarder implements Forwarder {
  readonly #options: ForwarderOptions
  readonly #byAsker = new Map<string, number>()
  inFlight = 0

  constructor(options: ForwarderOptions) {
    this.#options = options
  }

  async forward(request: ForwardRequest): Promise<Buffer> {
    const { inFlightMax = 1_024, askerInFlightMax = 256 } = this.#options
    const ofAsker = this.#byAsker.get(request.asker) ?? 0
    if (this.inFlight >= inFlightMax || ofAsker >= askerInFlightMax) return refuse(request)
    this.inFlight += 1
    this.#byAsker.set(request.asker, ofAsker + 1)
    try {
      return (await this.#ask(request)) ?? refuse(request)
    } finally {
      this.inFlight -= 1
      const left = (this.#byAsker.get(request.asker) ?? 1) - 1
      if (left === 0) this.#byAsker.delete(request.asker)
      else this.#byAsker.set(request.asker, left)
    }
  }

  async #ask(request: ForwardRequest): Promise<Buffer | undefined> {
    const { clock, tryMs = 1_500, deadlineMs = 4_500 } = this.#options
    const upstreams = this.#options.upstreamsOf(request.asker)
    const endMs = clock.monotonicMs() + deadlineMs
    const open = new Set<Exchange>()
    let second: Buffer | undefined
    const settle = new Settling()
    try {
      for (const upstream of planOf(upstreams)) {
        const timeoutMs = Math.max(0, endMs - clock.monotonicMs())
        const message = this.#withNewId(request)
        const ask = request.isTcp ? exchangeTcp : exchangeUdp
        const exchange = ask({ upstream, message, timeoutMs, clock })
        open.add(exchange)
        settle.add(
          exchange.answer.then((answer) => {
            open.delete(exchange)
            if (answer !== undefined && isUseful(answer)) {
              upstreams.worked(upstream)
              return answer
            }
            if (answer !== undefined) second ??= answer
            upstreams.failed(upstream)
            return undefined
          }),
        )
        // The earlier ones may still answer while the next is asked.
        const answer = await settle.first(clock, tryMs)
        if (answer !== undefined) return restore(request, answer)
      }
      const answer = (await settle.first(clock, endMs - clock.monotonicMs())) ?? second
      return answer === undefined ? undefined : restore(request, answer)
    } finally {
      for (const exchange of open) exchange.cancel()
    }
  }

  #withNewId({ message, query }: ForwardRequest): Buffer {
    const copy = Buffer.from(message.subarray(0, query.end))
    copy.set(this.#options.random.bytes(2))
    return copy
  }
}

/** Each server once, and again the first ones. */
function planOf(upstreams: Upstreams): readonly Upstream[] {
  const servers = upstreams.inOrder()
  return [...servers, ...servers, ...servers].slice(0, Math.max(servers.length, triesMax))
}

/** Waits for the first useful answer among exchanges that are added one by one. */
class Settling {
  #waiting = 0
  #answer: Buffer | undefined
  #notify: () => void = () => {}

  add(outcome: Promise<Buffer | undefined>): void {
    this.#waiting += 1
    void outcome.then((answer) => {
      this.#waiting -= 1
      this.#answer ??= answer
      if (this.#answer !== undefined || this.#waiting === 0) this.#notify()
    })
  }

  /** Undefined when the time is over or all have failed. */
  async first(clock: Clock, timeoutMs: number): Promise<Buffer | undefined> {
    if (this.#answer !== undefined || this.#waiting === 0) return this.#answer
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(Math.max(0, timeoutMs), resolve)
      this.#notify = () => {
        timer.cancel()
        resolve()
      }
    })
    return this.#answer
  }
}

function isUseful(answer: Buffer): boolean {
  const code = (answer[3] ?? 0) & 15
  return code !== responseCodes.serverFailure && code !== responseCodes.refused
}

function refuse({ message, query }: ForwardRequest): Buffer {
  return encodeEmpty(message, query, responseCodes.serverFailure)
}

function restore({ query }: ForwardRequest, answer: Buffer): Buffer {
  const copy = Buffer.from(answer)
  copy.writeUInt16BE(query.id, 0)
  return copy
}
