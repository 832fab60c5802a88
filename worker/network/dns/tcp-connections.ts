// Connections of askers: several questions each, answered as they become ready, with bounds on connections, on questions in
// flight, on idle time and on what an asker that does not read can make us hold. Source: RFC 7766.
import type { Socket } from 'node:net'
import type { Clock, Timer } from '../../../proto/lib/clock.ts'
import { framed, MessageReader } from './tcp-framing.ts'

export interface TcpLimits {
  /** In all; default 512. */
  readonly connectionsMax: number
  /** Of one address; default 64. */
  readonly askerConnectionsMax: number
  /** Unanswered on one connection; more are read once some are answered. Default 64. */
  readonly inFlightMax: number
  /** Without a whole question, or with an answer that nobody reads; default 10,000. */
  readonly idleMs: number
  /** Answers that the asker has not read yet; default 512 kB. */
  readonly unreadBytesMax: number
}

const defaults: TcpLimits = {
  connectionsMax: 512,
  askerConnectionsMax: 64,
  inFlightMax: 64,
  idleMs: 10_000,
  unreadBytesMax: 512 * 1024,
}

export interface TcpConnectionsOptions {
  readonly clock: Clock
  readonly limits: Partial<TcpLimits>
  /** The answer to a message, now or later; undefined: none. */
  readonly handle: (
    message: Buffer,
    address: string,
  ) => Buffer | Promise<Buffer | undefined> | undefined
}

interface Connection {
  readonly socket: Socket
  readonly address: string
  readonly reader: MessageReader
  readonly waiting: Buffer[]
  inFlight: number
  idle: Timer | undefined
}

export class TcpConnections {
  readonly #options: TcpConnectionsOptions
  readonly #limits: TcpLimits
  readonly #connections = new Set<Connection>()

  constructor(options: TcpConnectionsOptions) {
    this.#options = options
    this.#limits = { ...defaults, ...options.limits }
  }

  get size(): number {
    return this.#connections.size
  }

  add(socket: Socket): void {
    const address = socket.remoteAddress ?? ''
    const ofAsker = [...this.#connections].filter((other) => other.address === address).length
    const { connectionsMax, askerConnectionsMax } = this.#limits
    socket.on('error', () => {})
    if (this.size >= connectionsMax || ofAsker >= askerConnectionsMax) {
      socket.destroy()
      return
    }
    const reader = new MessageReader()
    const connection: Connection = {
      ...{ socket, address, reader, waiting: [], inFlight: 0 },
      idle: undefined,
    }
    this.#connections.add(connection)
    this.#touch(connection)
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#receive(connection, chunk))
    socket.on('close', () => {
      connection.idle?.cancel()
      this.#connections.delete(connection)
    })
  }

  close(): void {
    for (const { socket } of this.#connections) socket.destroy()
  }

  #receive(connection: Connection, chunk: Buffer): void {
    const messages = connection.reader.push(chunk)
    // Bytes alone do not keep a connection: a question a byte at a time would hold it for ever.
    if (messages.length > 0) this.#touch(connection)
    connection.waiting.push(...messages)
    this.#pump(connection)
  }

  #pump(connection: Connection): void {
    const { waiting, socket } = connection
    while (waiting.length > 0 && connection.inFlight < this.#limits.inFlightMax) {
      const message = waiting.shift()
      if (message !== undefined) this.#answer(connection, message)
    }
    if (waiting.length > 0) socket.pause()
    else if (socket.isPaused()) socket.resume()
  }

  #answer(connection: Connection, message: Buffer): void {
    const outcome = this.#options.handle(message, connection.address)
    if (!(outcome instanceof Promise)) {
      this.#write(connection, outcome)
      return
    }
    connection.inFlight += 1
    void outcome.then((answer) => {
      connection.inFlight -= 1
      this.#write(connection, answer)
      this.#pump(connection)
    })
  }

  #write({ socket }: Connection, answer: Buffer | undefined): void {
    if (answer === undefined || socket.destroyed) return
    socket.write(framed(answer))
    if (socket.writableLength > this.#limits.unreadBytesMax) socket.destroy()
  }

  #touch(connection: Connection): void {
    connection.idle?.cancel()
    connection.idle = this.#options.clock.setTimer(this.#limits.idleMs, () => {
      connection.socket.destroy()
    })
  }
}
