// The network of one member over TCP: a connection for each lane to each peer, so that heartbeats never wait
// behind appends, nor appends behind snapshots. With TLS both ends prove which member they are.
import { createSecureContext, type SecureContext } from 'node:tls'
import type { NodeId, Note } from '../core/types.ts'
import type { Lane, PeerMessage } from '../driver/environment.ts'
import { askWhetherRefused } from './ask-whether-refused.ts'
import { FrameEncoder } from './peer-codec.ts'
import type { PeerLink, PeerNetwork, PeerReceiver } from './peer-network.ts'
import type { TcpLaneName } from './tcp-frames.ts'
import { TcpLane } from './tcp-lane.ts'
import { TcpListener } from './tcp-listener.ts'
import type { TcpNetworkOptions, TlsIdentity, TlsSecurity } from './tcp-options.ts'

const noteEveryMs = 1000

/** Joins one member to its peers over TCP, listening from `join` until the link is closed. */
export class TcpNetwork implements PeerNetwork {
  readonly #options: TcpNetworkOptions
  readonly #security: TlsSecurity | undefined
  #context: SecureContext | undefined
  #end: TcpEnd | undefined
  #port: number | undefined
  /** When each kind of note was told last. */
  readonly #notedMs = new Map<string, number>()
  /** Peers that are being asked whether they are still there; true: and shall be once more, for what ended meanwhile. */
  readonly #asked = new Map<NodeId, boolean>()

  /** Throws when certificate, key or roots cannot be read. */
  constructor(options: TcpNetworkOptions) {
    this.#options = options
    this.#security = options.security === 'plain' ? undefined : guarded(options.security)
    this.#context = this.#security === undefined ? undefined : secureContext(this.#security)
  }

  /** Where it listens; undefined before `join`. */
  get port(): number | undefined {
    return this.#port
  }

  /** Listens. Rejects when the address is in use, and for a second member. */
  async join(id: NodeId, receiver: PeerReceiver): Promise<PeerLink> {
    if (this.#end?.isClosed === false) {
      throw new Error(`a TCP network carries one member; make another one for member ${id}`)
    }
    const cluster = this.#options.cluster ?? 'raft'
    const listener = new TcpListener({
      id,
      cluster,
      security: this.#security,
      onMessage: (message) => receiver.receive(message),
      onRefused: (facts) => this.#note('peer-refused', facts),
      onEnded: (from) => this.#askWhetherGone(from, receiver),
    })
    this.#end = new TcpEnd(
      listener,
      (peer, lane) => this.#lane({ id, cluster, peer, lane }, receiver),
      ({ kind, to }, { message }) =>
        this.#note('message-not-sent', { message: kind, to, reason: message }),
    )
    try {
      this.#port = await listener.listen(this.#options.listen)
    } catch (err) {
      this.#end = undefined
      throw err
    }
    return this.#end
  }

  /** New connections use this identity, and all that were dialled are made anew. Throws as the constructor does. */
  renew(identity: TlsIdentity): void {
    if (this.#security === undefined) throw new Error('a plain network has no identity to renew')
    this.#context = secureContext(identity)
    this.#end?.renew(identity)
  }

  /** What is said to this peer next is said on new connections, to its present address. */
  redial(peer: NodeId): void {
    this.#end?.redial(peer)
  }

  /** A connection ends with the process, but also for a new certificate or a lost packet. */
  #askWhetherGone(peer: NodeId, receiver: PeerReceiver): void {
    if (this.#end?.isClosed !== false) return
    if (this.#asked.has(peer)) {
      this.#asked.set(peer, true)
      return
    }
    const address = this.#options.addressOf(peer)
    if (address === undefined) return
    this.#asked.set(peer, false)
    askWhetherRefused(address, (isRefused) => {
      const isAskedAgain = this.#asked.get(peer) === true
      this.#asked.delete(peer)
      if (this.#end?.isClosed !== false) return
      if (isRefused) receiver.gone(peer)
      else if (isAskedAgain) this.#askWhetherGone(peer, receiver)
    })
  }

  #lane(
    on: {
      readonly id: NodeId
      readonly cluster: string
      readonly peer: NodeId
      readonly lane: TcpLaneName
    },
    receiver: PeerReceiver,
  ): TcpLane {
    const { id, cluster, peer, lane } = on
    return new TcpLane({
      hello: { cluster, from: id, to: peer, lane },
      addressOf: this.#options.addressOf,
      secure: () =>
        this.#context === undefined || this.#security === undefined
          ? undefined
          : { context: this.#context, security: this.#security },
      onLost: (reason) => {
        this.#note('peer-lost', { to: peer, lane, reason })
        if (lane === 'bulk') receiver.unreachable(peer)
      },
    })
  }

  #note(kind: string, facts: Note['facts']): void {
    const nowMs = performance.now()
    if (nowMs - (this.#notedMs.get(kind) ?? Number.NEGATIVE_INFINITY) < noteEveryMs) return
    this.#notedMs.set(kind, nowMs)
    this.#options.onNote?.({ kind, facts })
  }
}

class TcpEnd implements PeerLink {
  readonly #listener: TcpListener
  readonly #encoder = new FrameEncoder()
  readonly #makeLane: (peer: NodeId, lane: TcpLaneName) => TcpLane
  /** It cannot be carried: with an id that is none, or too large a number. */
  readonly #onNoMessage: (message: PeerMessage, err: Error) => void
  readonly #lanes = new Map<NodeId, Map<TcpLaneName, TcpLane>>()
  isClosed = false

  constructor(
    listener: TcpListener,
    makeLane: (peer: NodeId, lane: TcpLaneName) => TcpLane,
    onNoMessage: (message: PeerMessage, err: Error) => void,
  ) {
    this.#listener = listener
    this.#makeLane = makeLane
    this.#onNoMessage = onNoMessage
  }

  send(lane: Lane, message: PeerMessage): boolean {
    if (this.isClosed) return false
    try {
      const encode = (): Buffer => this.#encoder.encode(message)
      if (lane === 'fast') this.#part(message, encode)
      return this.#lane(message.to, lane).send(encode)
    } catch (err) {
      this.#onNoMessage(message, err as Error)
      return false
    }
  }

  /** Twice is once: the second one comes to a member that has entered the next term. */
  #part({ kind, to }: PeerMessage, encode: () => Buffer): void {
    const parting = this.#lane(to, 'parting')
    if (kind === 'timeout-now') parting.send(encode)
    // Before it is needed: then nothing could be dialled any more.
    else parting.open()
  }

  redial(peer: NodeId): void {
    for (const lane of this.#lanes.get(peer)?.values() ?? []) lane.redial()
  }

  renew(identity: TlsIdentity): void {
    this.#listener.renew(identity)
    for (const lanes of this.#lanes.values()) for (const lane of lanes.values()) lane.redial()
  }

  close(): Promise<void> {
    this.isClosed = true
    for (const lanes of this.#lanes.values()) for (const lane of lanes.values()) lane.close()
    return this.#listener.close()
  }

  #lane(peer: NodeId, lane: TcpLaneName): TcpLane {
    let lanes = this.#lanes.get(peer)
    if (lanes === undefined) {
      lanes = new Map()
      this.#lanes.set(peer, lanes)
    }
    let found = lanes.get(lane)
    if (found === undefined) {
      found = this.#makeLane(peer, lane)
      lanes.set(lane, found)
    }
    return found
  }
}

function secureContext({ ca, cert, key }: TlsIdentity): SecureContext {
  const roots = typeof ca === 'string' ? ca : [...ca]
  return createSecureContext({ ca: roots, cert, key, minVersion: 'TLSv1.3' })
}

/** A check that throws accepts nobody. */
function guarded(security: TlsSecurity): TlsSecurity {
  return {
    ...security,
    verifyPeer: (id, certificate) => {
      try {
        return security.verifyPeer(id, certificate) === true
      } catch {
        return false
      }
    },
  }
}
