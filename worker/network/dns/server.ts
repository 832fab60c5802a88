// The server: takes questions from UDP and TCP sockets that it is given, answers what is ours, has the rest forwarded. Bounds
// what strangers can make it hold or do.
import type { RemoteInfo, Socket as UdpSocket } from 'node:dgram'
import type { Server as TcpServer } from 'node:net'
import type { Clock } from '../../../proto/lib/clock.ts'
import type { Random } from '../../../proto/lib/random.ts'
import { type Decision, decide, type Names } from './answer.ts'
import type { Forwarder } from './forwarder.ts'
import { plainUdpBytesMax, type Query } from './query.ts'
import { RateLimiter } from './rate.ts'
import { encodeEmpty } from './response.ts'
import { TcpConnections, type TcpLimits } from './tcp-connections.ts'

/** Since the start. */
export interface ServerCounts {
  readonly queries: number
  readonly forwarded: number
  /** Over an asker's rate. */
  readonly limited: number
  /** Not a query, or one that nothing was answered to for a fault of ours. */
  readonly dropped: number
}

export interface DnsServerOptions {
  /** As they are now. */
  readonly names: () => Names
  readonly forwarder: Forwarder
  readonly clock: Clock
  /** Of the order of addresses. */
  readonly random: Random
  /** Told of errors that nobody else hears of. */
  readonly onError: (err: Error) => void
  /** Of one asker; default 10,000. */
  readonly queriesPerSecond?: number
  readonly tcp?: Partial<TcpLimits>
}

/** To a question over UDP that came before a hand-over. */
export interface LateAnswer {
  readonly bytes: Buffer
  readonly address: string
  readonly port: number
}

const askersMax = 4_096

export class DnsServer {
  readonly #options: DnsServerOptions
  readonly #rate: RateLimiter
  readonly #connections: TcpConnections
  readonly #udp = new Set<UdpSocket>()
  readonly #tcp = new Set<TcpServer>()
  #relay: (answer: LateAnswer) => void = () => {}
  #counts = { queries: 0, forwarded: 0, limited: 0, dropped: 0 }

  constructor(options: DnsServerOptions) {
    const { queriesPerSecond = 10_000 } = options
    this.#options = options
    this.#rate = new RateLimiter({
      perSecond: queriesPerSecond,
      burst: queriesPerSecond,
      askersMax,
    })
    this.#connections = new TcpConnections({
      clock: options.clock,
      limits: options.tcp ?? {},
      handle: (message, address) => this.#handle(message, address, true),
    })
  }

  get counts(): ServerCounts {
    return this.#counts
  }

  /** Takes the bound socket over. */
  serveUdp(socket: UdpSocket): void {
    this.#udp.add(socket)
    socket.on('message', (message, from) => this.#takeDatagram(socket, message, from))
    socket.on('error', this.#options.onError)
  }

  /** Takes the listening server over. */
  serveTcp(server: TcpServer): void {
    this.#tcp.add(server)
    server.on('connection', (socket) => this.#connections.add(socket))
    server.on('error', this.#options.onError)
  }

  get sockets(): { readonly udp: readonly UdpSocket[]; readonly tcp: readonly TcpServer[] } {
    return { udp: [...this.#udp], tcp: [...this.#tcp] }
  }

  /** Questions that wait for an answer, and connections. */
  get open(): number {
    return this.#options.forwarder.inFlight + this.#connections.size
  }

  /** Takes no more questions. Those that wait for an answer over UDP are answered through `relay`; connections go on. */
  handOver(relay: (answer: LateAnswer) => void): void {
    this.#relay = relay
    for (const server of this.#tcp) server.close()
    for (const socket of this.#udp) socket.close()
    this.#udp.clear()
    this.#tcp.clear()
  }

  /** Sends what another process worked out. */
  sendLate({ bytes, address, port }: LateAnswer): void {
    const [socket] = this.#udp
    socket?.send(bytes, port, address, () => {})
  }

  close(): void {
    this.handOver(() => {})
    this.#connections.close()
  }

  #takeDatagram(socket: UdpSocket, message: Buffer, from: RemoteInfo): void {
    const outcome = this.#handle(message, from.address, false)
    if (outcome === undefined) return
    if (outcome instanceof Promise) void outcome.then((bytes) => this.#send(socket, bytes, from))
    else this.#send(socket, outcome, from)
  }

  #send(socket: UdpSocket, bytes: Buffer | undefined, from: RemoteInfo): void {
    if (bytes === undefined) return
    const { address, port } = from
    if (this.#udp.has(socket)) socket.send(bytes, port, address, () => {})
    else this.#relay({ bytes, address, port })
  }

  #handle(
    message: Buffer,
    address: string,
    isTcp: boolean,
  ): Buffer | Promise<Buffer | undefined> | undefined {
    this.#counts.queries += 1
    if (!this.#rate.takes(address, this.#options.clock.monotonicMs())) {
      this.#counts.limited += 1
      return undefined
    }
    const decision = this.#decide(message, address, isTcp)
    if (decision.kind === 'reply') return decision.bytes
    if (decision.kind === 'forward') {
      return this.#forward({ message, query: decision.query, asker: address, isTcp })
    }
    this.#counts.dropped += 1
    return undefined
  }

  /** Whatever a stranger sends, the process goes on. */
  #decide(message: Buffer, address: string, isTcp: boolean): Decision {
    const { names, random, onError } = this.#options
    try {
      return decide(names(), message, { address, isTcp }, random)
    } catch (err) {
      onError(err instanceof Error ? err : new Error(String(err)))
      return { kind: 'drop' }
    }
  }

  async #forward(request: Parameters<Forwarder['forward']>[0]): Promise<Buffer | undefined> {
    this.#counts.forwarded += 1
    const answer = await this.#options.forwarder.forward(request)
    const { message, query, isTcp } = request
    const isTooLong = !isTcp && answer.length > udpBytesMax(query)
    return isTooLong ? encodeEmpty(message, query, 0, true) : answer
  }
}

/** Of an answer from outside: what the asker said it takes, as the server outside was told. */
function udpBytesMax(query: Query): number {
  return query.edns?.udpBytesMax ?? plainUdpBytesMax
}
