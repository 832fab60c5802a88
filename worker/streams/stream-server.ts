// Follows the managers' orders: for each it opens a tunnel, on the connection of the session, and serves what is asked for in
// it. A tunnel is an HTTP/2 stream of its own, so the transport's flow control bounds each one by itself, and a keystroke
// never waits behind an archive.
import { SwarmError } from '../../proto/errors.ts'
import type {
  AgentStreamsMessage,
  StreamFrame,
  StreamOpen,
  TunnelOrder,
} from '../../proto/gen/tsswarm/v1/streams.ts'
import { createBackoff } from '../../proto/lib/backoff.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { MessageStream } from '../../proto/lib/message-stream.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { ManagerAddress } from '../state-records.ts'
import type { ContainerStreams } from './container-streams.ts'
import { serveAttach } from './serve-attach.ts'
import { serveCopy } from './serve-copy.ts'
import { serveExec, serveForward } from './serve-exec.ts'
import { serveTop, serveUsage } from './serve-figures.ts'
import type { StreamIo } from './stream-io.ts'

export type OrderStream = MessageStream<AgentStreamsMessage, TunnelOrder>

export interface TunnelStream extends MessageStream<StreamFrame, StreamFrame> {
  /** Aborted when the other end is gone, also while nothing is read. */
  readonly ended: AbortSignal
}

export interface StreamsTransport {
  openStreams(manager: ManagerAddress, signal: AbortSignal): OrderStream
  openTunnel(manager: ManagerAddress, signal: AbortSignal): TunnelStream
}

export interface StreamServerDeps {
  readonly transport: StreamsTransport
  readonly containers: ContainerStreams
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

const tunnelsMax = 256
/** How long the manager has to take note of the end. */
const lingerMs = 10_000

/** Keeps the stream of orders open until the signal aborts; then all tunnels end. */
export async function serveStreams(
  deps: StreamServerDeps,
  manager: ManagerAddress,
  signal: AbortSignal,
): Promise<void> {
  const backoff = createBackoff({ firstMs: 200, maxMs: 5_000, random: deps.random })
  while (!signal.aborted) {
    const { controller, release } = childController(signal)
    const orders = deps.transport.openStreams(manager, controller.signal)
    try {
      await new StreamServer(deps, manager, orders, controller.signal).run()
    } catch (err) {
      if (!signal.aborted) deps.log.debug({ manager: manager.address, err }, 'orders ended')
    }
    controller.abort()
    release()
    await wait(deps.clock, backoff.nextMs(), signal)
  }
}

class StreamServer {
  readonly #deps: StreamServerDeps
  readonly #manager: ManagerAddress
  readonly #orders: OrderStream
  readonly #signal: AbortSignal
  /** How to end each that is open. */
  readonly #tunnels = new Map<string, () => void>()

  constructor(
    deps: StreamServerDeps,
    manager: ManagerAddress,
    orders: OrderStream,
    signal: AbortSignal,
  ) {
    this.#deps = deps
    this.#manager = manager
    this.#orders = orders
    this.#signal = signal
  }

  async run(): Promise<void> {
    try {
      await this.#orders.send({ kind: { $case: 'ready', value: {} } })
      for await (const { tunnelId, gone } of this.#orders.incoming) {
        if (gone) this.#tunnels.get(tunnelId)?.()
        else this.#follow(tunnelId)
      }
    } finally {
      this.#orders.close()
    }
  }

  #follow(tunnelId: string): void {
    if (this.#tunnels.size >= tunnelsMax) {
      const err = `this node serves ${tunnelsMax} streams already: end some of them`
      // A stream that breaks shows where it is read.
      this.#orders.send({ kind: { $case: 'refusal', value: { tunnelId, err } } }).catch(() => {})
      return
    }
    const { controller, release } = childController(this.#signal)
    this.#tunnels.set(tunnelId, () => controller.abort())
    this.#serve(tunnelId, controller)
      .catch((err: unknown) => this.#deps.log.debug({ err, tunnelId }, 'tunnel broke'))
      .finally(() => {
        controller.abort()
        release()
        this.#tunnels.delete(tunnelId)
      })
      .catch(() => {})
  }

  async #serve(tunnelId: string, controller: AbortController): Promise<void> {
    const { transport, clock } = this.#deps
    const tunnel = transport.openTunnel(this.#manager, controller.signal)
    const gone = (): void => controller.abort()
    tunnel.ended.addEventListener('abort', gone, { once: true })
    if (tunnel.ended.aborted) gone()
    try {
      await tunnel.send({ kind: { $case: 'tunnelId', value: tunnelId } })
      const frames = tunnel.incoming[Symbol.asyncIterator]()
      const first = await frames.next()
      const kind = first.done === true ? undefined : first.value.kind
      if (kind?.$case !== 'open') return
      const io: StreamIo = {
        frames: { [Symbol.asyncIterator]: () => ({ next: () => frames.next() }) },
        send: (one) => tunnel.send({ kind: one }),
        signal: controller.signal,
        clock,
      }
      await this.#answer(kind.value, io)
      // The manager ends it; if it were closed here, what was sent last might be lost.
      await Promise.race([drained(frames), wait(clock, lingerMs, controller.signal)])
    } finally {
      tunnel.ended.removeEventListener('abort', gone)
      tunnel.close()
    }
  }

  async #answer(open: StreamOpen, io: StreamIo): Promise<void> {
    try {
      await serve(this.#deps.containers, open, io)
    } catch (err) {
      if (io.signal.aborted) return
      const code = err instanceof SwarmError ? err.code : 'INTERNAL'
      if (code === 'INTERNAL') this.#deps.log.warn({ err, what: open.what?.$case }, 'stream failed')
      const text = err instanceof Error ? err.message : String(err)
      await io.send({ $case: 'ended', value: { exitCode: 0, err: text, code } })
    }
  }
}

function serve(containers: ContainerStreams, open: StreamOpen, io: StreamIo): Promise<void> {
  const { what, taskId: id } = open
  switch (what?.$case) {
    case 'exec':
      return serveExec(containers, { id, exec: what.value }, io)
    case 'attach':
      return serveAttach(containers, { id, attach: what.value }, io)
    case 'copy':
      return serveCopy(containers, { id, copy: what.value }, io)
    case 'forward':
      return serveForward(containers, { id, port: what.value.port }, io)
    case 'top':
      return serveTop(containers, id, io)
    case 'usage':
      return serveUsage(containers, what.value, io)
    default:
      throw new SwarmError(
        'UNSUPPORTED',
        'this node does not know what it is asked to do: upgrade it',
      )
  }
}

/** Until the other end ends it or breaks it. */
async function drained(frames: AsyncIterator<StreamFrame>): Promise<void> {
  try {
    for (let next = await frames.next(); next.done !== true; next = await frames.next());
  } catch {
    // Gone is as good as ended.
  }
}
