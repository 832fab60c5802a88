// The resolver process from the inside: names, server and control socket in one. Born with sockets of its own, or as the
// successor of another process, whose sockets and names it goes on with.
import type { Socket as UdpSocket } from 'node:dgram'
import type { Server } from 'node:net'
import { type Clock, wait } from '../../../proto/lib/clock.ts'
import { type Random, seededRandom } from '../../../proto/lib/random.ts'
import type { Stamp } from '../../../proto/objects/assignment.ts'
import { askerUpstreams } from './asker-upstreams.ts'
import {
  type ControlAnswer,
  type ControlRequest,
  partsOf,
  type ResolverConfig,
} from './control-messages.ts'
import { listenForControl } from './control-server.ts'
import { createForwarder } from './forwarder.ts'
import { DnsServer, type LateAnswer } from './server.ts'
import { type Successor, startSuccessor } from './successor.ts'
import { followResolvConf, type Upstreams } from './upstreams.ts'
import { Zone } from './zone.ts'
import type { ZoneChange } from './zone-change.ts'

export interface NodeResolverOptions {
  readonly config: ResolverConfig
  readonly clock: Clock
  readonly random: Random
  readonly onError: (err: Error) => void
  /** Nothing is left to do: the process may end. */
  readonly onEnd: () => void
}

/** A connection may wait for its next question; then it is closed. */
const lingerMs = 11_000
const lingerStepMs = 50

export class NodeResolver {
  readonly #options: NodeResolverOptions
  readonly #upstreams: Upstreams
  readonly #server: DnsServer
  #zone = new Zone()
  #staged: Zone | undefined
  #stamp: Stamp | undefined
  #control: Server | undefined

  constructor(options: NodeResolverOptions) {
    const { config, clock, random, onError } = options
    this.#options = options
    const { resolvConfFile, askersDir: dir, upstreamPort: port = 53 } = config
    this.#upstreams = followResolvConf(resolvConfFile, port, clock)
    const upstreamsOf = askerUpstreams({ dir, host: this.#upstreams, port, clock })
    const seed = Buffer.from(random.bytes(6)).readUIntBE(0, 6)
    this.#server = new DnsServer({
      names: () => ({ zone: this.#zone, serial: this.#stamp?.index ?? 0 }),
      forwarder: createForwarder({ upstreamsOf, clock, random }),
      clock,
      // The order of addresses needs speed, not secrecy.
      random: seededRandom(seed),
      onError,
    })
  }

  get server(): DnsServer {
    return this.#server
  }

  serve(udp: UdpSocket, tcp: Server): void {
    this.#server.serveUdp(udp)
    this.#server.serveTcp(tcp)
  }

  /** From here on the daemon finds this process. */
  async listenForControl(): Promise<void> {
    this.#control = await listenForControl(this.#options.config.dir, (request) =>
      this.#handle(request),
    )
  }

  apply(changes: readonly ZoneChange[]): void {
    this.#zone.apply(changes)
  }

  reached(stamp: Stamp | undefined): void {
    this.#stamp = stamp
  }

  close(): void {
    this.#server.close()
    this.#end()
  }

  async #handle(request: ControlRequest): Promise<ControlAnswer> {
    switch (request.kind) {
      case 'hello': {
        const { config } = this.#options
        const stamp = this.#stamp
        const welcome = { kind: 'welcome', pid: process.pid, config } as const
        return { ...welcome, ...(stamp === undefined ? {} : { stamp }) }
      }
      case 'apply':
        return this.#applyPart(request)
      case 'counts':
        return { kind: 'counts', counts: this.#server.counts }
      case 'replace':
        return await this.#replace(request.argv)
      case 'stop':
        setImmediate(() => this.close())
        return { kind: 'stopping' }
      default:
        return { kind: 'failed', message: 'this resolver does not know such a request' }
    }
  }

  #applyPart(request: ControlRequest & { readonly kind: 'apply' }): ControlAnswer {
    if (request.isWhole) {
      this.#staged ??= new Zone()
      this.#staged.apply(request.changes)
    } else {
      this.#staged = undefined
      this.#zone.apply(request.changes)
    }
    if (!request.isLast) return { kind: 'applied' }
    this.#zone = this.#staged ?? this.#zone
    this.#staged = undefined
    this.#stamp = request.stamp
    return { kind: 'applied', stamp: request.stamp }
  }

  async #replace(argv: readonly string[]): Promise<ControlAnswer> {
    const successor = await startSuccessor(argv, this.#options.clock)
    try {
      for (const changes of partsOf(this.#zone.all()))
        await successor.send({ kind: 'names', changes })
      await successor.send({ kind: 'stamp', stamp: this.#stamp })
      for (const socket of this.#server.sockets.udp) await successor.send({ kind: 'udp' }, socket)
      for (const server of this.#server.sockets.tcp) await successor.send({ kind: 'tcp' }, server)
      await successor.serves()
    } catch (err) {
      successor.kill()
      throw err
    }
    this.#server.handOver((answer) => successor.relay(answer))
    void this.#linger(successor)
    return { kind: 'replaced', pid: successor.pid }
  }

  /** Ends once nobody waits for this process any more. */
  async #linger(successor: Successor): Promise<void> {
    const { clock } = this.#options
    const endMs = clock.monotonicMs() + lingerMs
    while (this.#server.open > 0 && clock.monotonicMs() < endMs) await wait(clock, lingerStepMs)
    // What is sent last, and the answer to the daemon, still is on its way.
    await wait(clock, lingerStepMs)
    successor.release()
    this.close()
  }

  #end(): void {
    this.#upstreams.close()
    this.#control?.close()
    this.#options.onEnd()
  }

  /** From the process before this one. */
  sendLate(answer: LateAnswer): void {
    this.#server.sendLate(answer)
  }
}
