// Peer messages over gRPC with mutual TLS, in the Raft thread. Loses messages when a peer is away; Raft repeats
// them. Sending is peer-sender.ts, listening is peer-listener.ts.
import type { PeerMessage, Transport } from 'raft-ts'
import type { Clock } from '../../proto/lib/clock.ts'
import type { IdentitySource, TlsIdentity } from '../../proto/objects/identity.ts'
import { askWhetherRefused } from './ask-whether-refused.ts'
import { PeerListener } from './peer-listener.ts'
import { PeerSender } from './peer-sender.ts'
import type { RaftCredentials, RaftId, RaftPeer } from './raft-handle.ts'

export interface PeerTransportOptions {
  readonly selfId: RaftId
  /** host:port */
  readonly listenAddress: string
  readonly credentials: RaftCredentials
  readonly clock: Clock
  readonly onMessage: (message: PeerMessage) => void
  /** A lane to the peer broke. */
  readonly onUnreachable: (id: RaftId) => void
  /** The peer's process has ended. Not told of one whose host is silent. */
  readonly onGone?: (id: RaftId) => void
}

export class PeerTransport implements Transport {
  readonly #identity: ChangingIdentity
  readonly #sender: PeerSender
  readonly #listener: PeerListener
  readonly #onGone: (id: RaftId) => void
  readonly #clock: Clock
  /** Peers that are being asked whether they are still there. */
  readonly #asked = new Set<RaftId>()
  #peers: readonly RaftPeer[] = []
  #isClosed = false

  private constructor(options: PeerTransportOptions, identity: ChangingIdentity) {
    this.#identity = identity
    const { clock, onUnreachable } = options
    this.#sender = new PeerSender({ identity, clock, onUnreachable })
    this.#onGone = options.onGone ?? (() => {})
    this.#clock = options.clock
    this.#listener = new PeerListener({
      ...options,
      identity,
      onStreamEnded: (nodeId) => this.#askWhetherGone(nodeId),
    })
  }

  /** Listens; peers are dialled when there is something to send. Errors: ADDRESS_IN_USE, INVALID_ARGUMENT. */
  static async listen(options: PeerTransportOptions): Promise<PeerTransport> {
    const transport = new PeerTransport(options, new ChangingIdentity(options.credentials))
    await transport.#listener.listen()
    return transport
  }

  /** Members that are dialled and accepted, whole each time. */
  setPeers(peers: readonly RaftPeer[]): void {
    this.#peers = peers
    this.#sender.setPeers(peers)
    this.#listener.setPeers(peers)
  }

  /** New connections use these; those that were accepted go on until their certificate expires. */
  setCredentials(credentials: RaftCredentials): void {
    this.#identity.change(credentials)
    this.#sender.redial()
  }

  send(lane: Parameters<Transport['send']>[0], message: PeerMessage): boolean {
    return this.#sender.send(lane, message)
  }

  close(): void {
    this.#isClosed = true
    this.#sender.close()
    this.#listener.close()
  }

  /** A stream ends with the process, but also for a new certificate or a lost packet. */
  #askWhetherGone(nodeId: string): void {
    const peer = this.#peers.find((one) => one.nodeId === nodeId)
    if (peer === undefined || this.#isClosed || this.#asked.has(peer.id)) return
    this.#asked.add(peer.id)
    askWhetherRefused(peer.address, this.#clock, (isRefused) => {
      this.#asked.delete(peer.id)
      if (isRefused && !this.#isClosed) this.#onGone(peer.id)
    })
  }
}

class ChangingIdentity implements IdentitySource {
  readonly #listeners = new Set<(identity: TlsIdentity) => void>()
  #current: TlsIdentity

  constructor(identity: TlsIdentity) {
    this.#current = identity
  }

  current(): TlsIdentity {
    return this.#current
  }

  onChange(listener: (identity: TlsIdentity) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  change(identity: TlsIdentity): void {
    this.#current = identity
    for (const listener of this.#listeners) listener(identity)
  }
}
