// A node's connection to the bus: to one manager's server after the other, under the node's certificate, until it ends. Messages may be
// lost at any time; readers know how to go on (feed-set.ts).
import { connect, type NatsConnection, type Subscription } from 'nats'
import { createBackoff } from '../lib/backoff.ts'
import { type Clock, wait } from '../lib/clock.ts'
import { childController, type Loop } from '../lib/lifecycle.ts'
import type { Logger } from '../lib/log.ts'
import { type Random, randomInt } from '../lib/random.ts'
import type { IdentitySource } from '../objects/identity.ts'
import type { NodeId } from '../objects/ids.ts'
import { managerName } from '../rpc/channel.ts'
import type { BusReader } from './feed-set.ts'
import { joinAddress } from './host-port.ts'
import { inboxPrefix } from './subjects.ts'

export interface BusServer {
  /** Empty: any manager. */
  readonly nodeId: string
  readonly host: string
  readonly port: number
}

export interface BusClientDeps {
  readonly nodeId: NodeId
  readonly identity: IdentitySource
  /** Asked before each attempt; the first of them that is this very node is tried first. */
  readonly servers: () => readonly BusServer[]
  /** It does not hear what it says itself. */
  readonly isDeafToItself?: boolean
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export interface BusStatus {
  /** Node id of the manager it is connected to; undefined: to none. */
  readonly server: string | undefined
  /** Why the last attempt or connection ended. */
  readonly failure: string | undefined
}

const connectMs = 3_000
const backoffFirstMs = 100
const backoffMaxMs = 5_000
/** A server that is silent for two of them is gone. */
const pingMs = 2_000
/** What was written is on its way within this time, or the connection is of no use. */
const flushMs = 2_000
/** How often the list of servers is looked at while a connection stands. */
const lookMs = 1_000

interface Subscriber {
  readonly subject: string
  readonly onMessage: (bytes: Uint8Array) => void
  current: Subscription | undefined
}

export class BusClient implements BusReader {
  readonly #deps: BusClientDeps
  readonly #subscribers = new Set<Subscriber>()
  readonly #listeners = new Set<(isConnected: boolean) => void>()
  #connection: NatsConnection | undefined
  #server: BusServer | undefined
  #failure: string | undefined

  constructor(deps: BusClientDeps) {
    this.#deps = deps
  }

  get isConnected(): boolean {
    return this.#connection !== undefined
  }

  status(): BusStatus {
    const server = this.isConnected ? this.#server?.nodeId : undefined
    return { server, failure: this.isConnected ? undefined : this.#failure }
  }

  subscribe(subject: string, onMessage: (bytes: Uint8Array) => void): () => void {
    const subscriber: Subscriber = { subject, onMessage, current: undefined }
    this.#subscribers.add(subscriber)
    if (this.#connection !== undefined) this.#open(this.#connection, subscriber)
    return () => {
      this.#subscribers.delete(subscriber)
      subscriber.current?.unsubscribe()
      subscriber.current = undefined
    }
  }

  onConnection(listener: (isConnected: boolean) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** False: there is no connection, and the message is lost. */
  publish(subject: string, bytes: Uint8Array): boolean {
    if (this.#connection === undefined || this.#connection.isClosed()) return false
    this.#connection.publish(subject, bytes)
    return true
  }

  abandon(): void {
    this.#connection?.close().catch(() => {})
  }

  /** Resolves with whether the server has all that was written; a connection on which it has not is given up. */
  async flush(signal: AbortSignal): Promise<boolean> {
    const connection = this.#connection
    if (connection === undefined) return false
    const { controller, release } = childController(signal)
    const late = wait(this.#deps.clock, flushMs, controller.signal).then(() => false)
    const done = connection.flush().then(
      () => true,
      () => false,
    )
    const isFlushed = await Promise.race([done, late])
    controller.abort()
    release()
    if (!isFlushed && !signal.aborted) this.abandon()
    return isFlushed
  }

  /** Connects, and again, until the signal aborts. */
  readonly run: Loop = async (signal) => {
    const { clock, random, log } = this.#deps
    const backoff = createBackoff({ firstMs: backoffFirstMs, maxMs: backoffMaxMs, random })
    const tried = new Set<string>()
    const begin = (): void => {
      backoff.reset()
      // What was tried before may be there again; where this connection is lost is the last to be tried.
      tried.clear()
    }
    while (!signal.aborted) {
      const server = this.#pick(tried)
      if (server !== undefined) {
        const failure = await this.#serve(server, begin, signal)
        this.#failure = failure
        tried.add(keyOf(server))
        if (!signal.aborted) log.debug({ server: keyOf(server), failure }, 'bus connection ended')
      }
      await wait(clock, backoff.nextMs(), signal)
    }
  }

  /** This node's own server first, then any, those that were tried last. */
  #pick(tried: Set<string>): BusServer | undefined {
    const { servers, random, nodeId } = this.#deps
    const all = servers()
    if (all.every((server) => tried.has(keyOf(server)))) tried.clear()
    const open = all.filter((server) => !tried.has(keyOf(server)))
    const own = open.find((server) => server.nodeId === nodeId)
    return own ?? open[randomInt(random, open.length)]
  }

  /** Until the connection ends; why it did. */
  async #serve(
    server: BusServer,
    onBegin: () => void,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    const { identity } = this.#deps
    const shown = identity.current()
    let connection: NatsConnection
    try {
      connection = await this.#connect(server)
    } catch (err) {
      return reasonOf(err)
    }
    onBegin()
    this.#server = server
    this.#connection = connection
    for (const subscriber of this.#subscribers) this.#open(connection, subscriber)
    this.#tell(true)
    const end = (): void => void connection.close().catch(() => {})
    signal.addEventListener('abort', end, { once: true })
    if (signal.aborted) end()
    const { controller, release } = childController(signal)
    const watching = this.#watch(server, shown, controller.signal).then(end)
    const err = await connection.closed()
    this.#connection = undefined
    controller.abort()
    release()
    await watching
    signal.removeEventListener('abort', end)
    for (const subscriber of this.#subscribers) subscriber.current = undefined
    this.#tell(false)
    return err === undefined ? undefined : reasonOf(err)
  }

  #connect(server: BusServer): Promise<NatsConnection> {
    const { certPem: cert, keyPem: key, caPem: ca } = this.#deps.identity.current()
    // The name that the server's certificate must carry; nats.js hands it to tls.connect as it is.
    const tls = { cert, key, ca, servername: server.nodeId || managerName }
    return connect({
      servers: [joinAddress(server.host, server.port)],
      tls,
      inboxPrefix: inboxPrefix(this.#deps.nodeId),
      name: this.#deps.nodeId,
      noEcho: this.#deps.isDeafToItself ?? false,
      reconnect: false,
      ignoreClusterUpdates: true,
      timeout: connectMs,
      pingInterval: pingMs,
      maxPingOut: 2,
    })
  }

  /** Resolves when the connection is no longer the right one: another certificate, or its server is a manager no more. */
  async #watch(server: BusServer, shown: object, signal: AbortSignal): Promise<void> {
    const { clock, identity, servers } = this.#deps
    while (!signal.aborted) {
      await wait(clock, lookMs, signal)
      const isListed = servers().some((other) => keyOf(other) === keyOf(server))
      if (!isListed || identity.current() !== shown) return
    }
  }

  #open(connection: NatsConnection, subscriber: Subscriber): void {
    subscriber.current = connection.subscribe(subscriber.subject, {
      callback: (err, message) => {
        if (err === null) subscriber.onMessage(message.data)
        else this.#deps.log.warn({ subject: subscriber.subject, err }, 'bus subscription refused')
      },
    })
  }

  #tell(isConnected: boolean): void {
    for (const listener of [...this.#listeners]) listener(isConnected)
  }
}

function keyOf({ nodeId, host, port }: BusServer): string {
  return `${nodeId}@${joinAddress(host, port)}`
}

function reasonOf(err: unknown): string {
  return err instanceof Error ? err.message : String(err)
}
