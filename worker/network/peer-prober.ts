// Sends the probes that peer-table.ts asks for, from a socket in the data plane, through a VXLAN device of their own. Who
// answers is the kernel of the other node (nft-tables.ts): its daemon may be busy or gone.
import type { Socket } from 'node:dgram'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import { bindUdpIn } from './dns/listen.ts'
import { probeAnswerPort, probePort } from './network-state.ts'
import { type Peer, type PeerReport, PeerTable, type Probe } from './peer-table.ts'

export interface PeerProberOptions {
  /** File the data plane's namespace is bound to. */
  readonly dataPlaneFile: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  /** A state or an MTU is another one than before. */
  readonly onChange: () => void
  /** Makes the socket. Default: one in the data plane. */
  readonly bind?: () => Promise<Socket>
}

/** How often it looks what is due. Costs O(peers). */
const lookMs = 200
const reopenMs = 2_000
/** IPv4 and UDP. */
const headerBytes = 28
const tokenBytes = 8
/** Answers of a burst wait there. */
const receiveBufferBytes = 512 * 1024

export class PeerProber {
  readonly #options: PeerProberOptions
  readonly #table: PeerTable
  /** Begins each probe of this life: what answers another one is not counted. */
  readonly #token: Buffer
  #socket: Socket | undefined
  #changes = 0
  #wake: () => void = () => {}

  constructor(options: PeerProberOptions) {
    this.#options = options
    this.#table = new PeerTable(options.random)
    this.#token = Buffer.from(options.random.bytes(tokenBytes))
  }

  /** Asks these from now on, and no others. */
  set(peers: readonly Peer[]): void {
    this.#table.set(peers, this.#options.clock.monotonicMs())
    this.#wake()
    this.#tell()
  }

  reports(): readonly PeerReport[] {
    return this.#table.reports(this.#options.clock.monotonicMs())
  }

  /** In the data plane that is there now, until the signal aborts. Idle without peers. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options
    while (!signal.aborted) {
      if (this.#table.size === 0) {
        await this.#waitForPeers(signal)
        continue
      }
      try {
        await this.#open()
        await this.#ask(signal)
      } catch (err) {
        log.warn({ err }, 'other nodes cannot be asked whether packets reach them: tried again')
        await wait(clock, reopenMs, signal)
      } finally {
        this.#socket?.close()
        this.#socket = undefined
      }
    }
  }

  async #open(): Promise<void> {
    const { dataPlaneFile, clock } = this.#options
    const where = { address: '0.0.0.0', port: probePort }
    const bind = this.#options.bind ?? (() => bindUdpIn(dataPlaneFile, where, clock))
    const socket = await bind()
    this.#socket = socket
    socket.setRecvBufferSize(receiveBufferBytes)
    // Sending fails while a route is just being made; what is not sent is not answered.
    socket.on('error', () => {})
    socket.on('message', (message, { address }) => this.#hear(message, address))
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    while (!signal.aborted && this.#table.size > 0) {
      for (const probe of this.#table.due(clock.monotonicMs())) this.#send(probe)
      this.#tell()
      await wait(clock, lookMs, signal)
    }
  }

  #send({ address, sequence, bytes }: Probe): void {
    const message = Buffer.alloc(bytes - headerBytes)
    this.#token.copy(message)
    message.writeUInt32BE(sequence, tokenBytes)
    this.#socket?.send(message, probeAnswerPort, address, () => {})
  }

  #hear(message: Buffer, address: string): void {
    const isOurs =
      message.length >= tokenBytes + 4 && message.subarray(0, tokenBytes).equals(this.#token)
    if (!isOurs) return
    const sequence = message.readUInt32BE(tokenBytes)
    const bytes = message.length + headerBytes
    this.#table.answered({ address, sequence, bytes }, this.#options.clock.monotonicMs())
    this.#tell()
  }

  #tell(): void {
    if (this.#table.changes === this.#changes) return
    this.#changes = this.#table.changes
    this.#options.onChange()
  }

  async #waitForPeers(signal: AbortSignal): Promise<void> {
    const { controller, release } = childController(signal)
    this.#wake = () => controller.abort()
    // A day: there may never be any.
    await wait(this.#options.clock, 86_400_000, controller.signal)
    this.#wake = () => {}
    release()
  }
}
