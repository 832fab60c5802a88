// Incoming streams: only of valid manager certificates, and of each only what the member with that node id says.
import { Server, type ServerReadableStream, status } from '@grpc/grpc-js'
import type { PeerMessage } from 'raft-ts'
import { SwarmError } from '../../proto/errors.ts'
import {
  type DeliverResponse,
  type PeerFrame,
  RaftTransportService,
} from '../../proto/gen/tsswarm/v1/raft_transport.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import type { IdentitySource } from '../../proto/objects/identity.ts'
import { type PeerFacts, peerFacts } from '../rpc/authorize.ts'
import { tlsServerCredentials } from '../rpc/server.ts'
import { decodePeerMessage, frameBytesMax } from './peer-codec.ts'
import type { RaftId, RaftPeer } from './raft-handle.ts'

export interface PeerListenerOptions {
  readonly selfId: RaftId
  /** host:port */
  readonly listenAddress: string
  readonly identity: IdentitySource
  readonly clock: Clock
  readonly onMessage: (message: PeerMessage) => void
  /** A stream of that node is over, whoever ended it. */
  readonly onStreamEnded: (nodeId: string) => void
}

type Call = ServerReadableStream<PeerFrame, DeliverResponse>
type Respond = (
  err: { readonly code: number; readonly details: string } | null,
  value?: DeliverResponse,
) => void

export class PeerListener {
  readonly #options: PeerListenerOptions
  readonly #server: Server
  /** Node ids of open streams. */
  readonly #calls = new Map<Call, string>()
  #peers: ReadonlyMap<RaftId, RaftPeer> = new Map()

  constructor(options: PeerListenerOptions) {
    this.#options = options
    this.#server = new Server({
      'grpc.max_receive_message_length': frameBytesMax,
      'grpc.keepalive_time_ms': 1_000,
      'grpc.keepalive_timeout_ms': 2_000,
    })
    this.#server.addService(RaftTransportService, {
      deliver: (call: Call, respond: Respond) => this.#accept(call, respond),
    })
  }

  /** Errors: ADDRESS_IN_USE, INVALID_ARGUMENT. */
  listen(): Promise<void> {
    const { listenAddress, identity } = this.#options
    const credentials = tlsServerCredentials(identity, true)
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(listenAddress, credentials, (err) => {
        if (err === null) return resolve()
        const isInUse = err.message.includes('EADDRINUSE')
        const text =
          `the Raft transport cannot listen on ${listenAddress}: ${err.message}; ` +
          'stop the program that holds it, or choose another address'
        reject(
          new SwarmError(isInUse ? 'ADDRESS_IN_USE' : 'INVALID_ARGUMENT', text, { cause: err }),
        )
      })
    })
  }

  /** Streams of nodes that are no members any more are cut. */
  setPeers(peers: readonly RaftPeer[]): void {
    const before = new Set([...this.#peers.values()].map(({ nodeId }) => nodeId))
    this.#peers = new Map(peers.map((peer) => [peer.id, peer]))
    const now = new Set(peers.map(({ nodeId }) => nodeId))
    for (const [call, nodeId] of this.#calls) {
      if (before.has(nodeId) && !now.has(nodeId)) call.destroy()
    }
  }

  close(): void {
    this.#server.forceShutdown()
  }

  #accept(call: Call, respond: Respond): void {
    const cert = call.getAuthContext().sslPeerCertificate
    const facts = cert === undefined ? undefined : peerFacts(cert)
    if (facts === undefined || !this.#isValid(facts)) {
      const details = 'a manager certificate of this cluster that is valid now is needed'
      respond({ code: status.UNAUTHENTICATED, details })
      return
    }
    this.#calls.set(call, facts.nodeId)
    const end = (): void => {
      if (this.#calls.delete(call)) this.#options.onStreamEnded(facts.nodeId)
    }
    call.on('data', (frame: PeerFrame) => this.#deliver(call, facts, frame))
    call.on('end', () => {
      end()
      respond(null, {})
    })
    call.on('error', end)
    call.on('cancelled', end)
    call.on('close', end)
  }

  #isValid({ role, notBeforeMs, notAfterMs }: PeerFacts): boolean {
    const nowMs = this.#options.clock.wallMs()
    return role === 'manager' && notBeforeMs <= nowMs && nowMs < notAfterMs
  }

  #deliver(call: Call, facts: PeerFacts, frame: PeerFrame): void {
    if (!this.#isValid(facts)) {
      call.destroy()
      return
    }
    // Not a member, or not yet known here as one: dropped, and heard as soon as it is known.
    const isMember = this.#peers.get(frame.from)?.nodeId === facts.nodeId
    if (!isMember || frame.to !== this.#options.selfId) return
    let message: PeerMessage
    try {
      message = decodePeerMessage(frame)
    } catch {
      // A frame that no version of ours sends: the stream is of no more use.
      call.destroy()
      return
    }
    this.#options.onMessage(message)
  }
}
