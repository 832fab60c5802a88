// Peer messages over gRPC with mutual TLS: a stream a lane and peer, so that a heartbeat never waits behind an append.
// Runs in the Raft thread. Loses messages when a peer is away; Raft repeats them.
import {
  Client,
  type ClientWritableStream,
  experimental,
  Metadata,
  Server,
  type ServerReadableStream,
  status,
} from '@grpc/grpc-js'
import { SwarmError } from '../../proto/errors.ts'
import {
  type DeliverResponse,
  type PeerFrame,
  RaftTransportService,
} from '../../proto/gen/tsswarm/v1/raft_transport.ts'
import { channelCredentials, channelOptions } from '../../proto/rpc/channel.ts'
import { peerFacts } from '../rpc/authorize.ts'
import { decodePeerMessage, encodePeerMessage, type PeerMessage } from './peer-codec.ts'
import type { RaftCredentials, RaftId, RaftPeer } from './raft-handle.ts'

export type Lane = 'fast' | 'bulk' | 'snapshot'

/** What may wait on one lane to one peer. */
const waitingBytesMax: Readonly<Record<Lane, number>> = {
  fast: 256 * 1024,
  bulk: 64 * 1024 * 1024,
  snapshot: 4 * 1024 * 1024,
}
const frameBytesMax = 32 * 1024 * 1024

export interface PeerTransportOptions {
  readonly selfId: RaftId
  /** host:port */
  readonly listenAddress: string
  readonly credentials: RaftCredentials
  readonly onMessage: (message: PeerMessage) => void
  /** A lane to the peer broke. */
  readonly onUnreachable: (id: RaftId) => void
}

interface OpenLane {
  readonly call: ClientWritableStream<PeerFrame>
  waitingBytes: number
}

interface Connection {
  readonly peer: RaftPeer
  readonly client: Client
  readonly lanes: Map<Lane, OpenLane>
}

export class PeerTransport {
  readonly #options: PeerTransportOptions
  readonly #connections = new Map<RaftId, Connection>()
  readonly #incoming = new Map<ServerReadableStream<PeerFrame, DeliverResponse>, string>()
  readonly #listeners = new Set<() => void>()
  readonly #server: Server
  #peers: ReadonlyMap<RaftId, RaftPeer> = new Map()
  #credentials: RaftCredentials
  #isClosed = false

  private constructor(options: PeerTransportOptions) {
    this.#options = options
    this.#credentials = options.credentials
    this.#server = new Server({
      'grpc.max_receive_message_length': frameBytesMax,
      'grpc.keepalive_time_ms': 1_000,
      'grpc.keepalive_timeout_ms': 2_000,
    })
    this.#server.addService(RaftTransportService, {
      deliver: (
        call: ServerReadableStream<PeerFrame, DeliverResponse>,
        respond: (err: { code: number; details: string } | null, value?: DeliverResponse) => void,
      ) => this.#receive(call, respond),
    })
  }

  /** Listens; peers are dialled when there is something to send. Errors: ADDRESS_IN_USE, INVALID_ARGUMENT. */
  static async listen(options: PeerTransportOptions): Promise<PeerTransport> {
    const transport = new PeerTransport(options)
    await transport.#listen()
    return transport
  }

  /** Members that are dialled and accepted, whole each time. */
  setPeers(peers: readonly RaftPeer[]): void {
    this.#peers = new Map(peers.map((peer) => [peer.id, peer]))
    for (const [id, { peer }] of this.#connections) {
      const now = this.#peers.get(id)
      if (now?.address !== peer.address || now.nodeId !== peer.nodeId) this.#disconnect(id)
    }
    const nodeIds = new Set(peers.map(({ nodeId }) => nodeId))
    for (const [call, nodeId] of this.#incoming) if (!nodeIds.has(nodeId)) call.destroy()
  }

  /** New connections use these; existing ones go on. */
  setCredentials(credentials: RaftCredentials): void {
    this.#credentials = credentials
    for (const listener of this.#listeners) listener()
    for (const id of [...this.#connections.keys()]) this.#disconnect(id)
  }

  /** Never waits and never throws. False: dropped at once. */
  send(lane: Lane, message: PeerMessage): boolean {
    const open = this.#lane(message.to, lane)
    if (open === undefined || open.waitingBytes > waitingBytesMax[lane]) return false
    const size = approximateBytes(message)
    open.waitingBytes += size
    open.call.write(encodePeerMessage(message), () => {
      open.waitingBytes -= size
    })
    return true
  }

  close(): void {
    this.#isClosed = true
    for (const id of [...this.#connections.keys()]) this.#disconnect(id)
    this.#server.forceShutdown()
  }

  #lane(id: RaftId, lane: Lane): OpenLane | undefined {
    const connection = this.#connection(id)
    if (connection === undefined) return undefined
    const known = connection.lanes.get(lane)
    if (known !== undefined) return known
    const { path, requestSerialize, responseDeserialize } = RaftTransportService.deliver
    const metadata = new Metadata()
    metadata.set('lane', lane)
    const done = (): void => this.#laneEnded(connection, lane, open)
    const call = connection.client.makeClientStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      metadata,
      done,
    )
    call.on('error', done)
    const open: OpenLane = { call, waitingBytes: 0 }
    connection.lanes.set(lane, open)
    return open
  }

  #laneEnded(connection: Connection, lane: Lane, open: OpenLane): void {
    if (connection.lanes.get(lane) !== open) return
    connection.lanes.delete(lane)
    if (!this.#isClosed) this.#options.onUnreachable(connection.peer.id)
  }

  #connection(id: RaftId): Connection | undefined {
    const known = this.#connections.get(id)
    if (known !== undefined) return known
    const peer = this.#peers.get(id)
    if (peer === undefined || this.#isClosed) return undefined
    const client = new Client(peer.address, channelCredentials(this.#credentials), {
      ...channelOptions(peer.nodeId),
      'grpc.max_send_message_length': frameBytesMax,
    })
    const connection: Connection = { peer, client, lanes: new Map() }
    this.#connections.set(id, connection)
    return connection
  }

  #disconnect(id: RaftId): void {
    const connection = this.#connections.get(id)
    if (connection === undefined) return
    this.#connections.delete(id)
    const lanes = [...connection.lanes.values()]
    connection.lanes.clear()
    for (const { call } of lanes) call.cancel()
    connection.client.close()
  }

  #receive(
    call: ServerReadableStream<PeerFrame, DeliverResponse>,
    respond: (err: { code: number; details: string } | null, value?: DeliverResponse) => void,
  ): void {
    const cert = call.getAuthContext().sslPeerCertificate
    const facts = cert === undefined ? undefined : peerFacts(cert)
    if (facts === undefined || facts.role !== 'manager' || facts.notAfterMs <= Date.now()) {
      respond({ code: status.UNAUTHENTICATED, details: 'a valid manager certificate is needed' })
      return
    }
    this.#incoming.set(call, facts.nodeId)
    const end = (): void => {
      this.#incoming.delete(call)
    }
    call.on('data', (frame: PeerFrame) => this.#deliver(call, facts.nodeId, frame))
    call.on('end', () => {
      end()
      respond(null, {})
    })
    call.on('error', end)
    call.on('cancelled', end)
  }

  #deliver(
    call: ServerReadableStream<PeerFrame, DeliverResponse>,
    nodeId: string,
    frame: PeerFrame,
  ): void {
    // Not a member (any more, or not yet known here): dropped; a known member is heard at once.
    if (frame.to !== this.#options.selfId || this.#peers.get(frame.from)?.nodeId !== nodeId) return
    let message: PeerMessage
    try {
      message = decodePeerMessage(frame)
    } catch {
      call.destroy()
      return
    }
    this.#options.onMessage(message)
  }

  #listen(): Promise<void> {
    const provider = this.#provider()
    const credentials = experimental.createCertificateProviderServerCredentials(
      provider,
      provider,
      true,
    )
    const { listenAddress } = this.#options
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(listenAddress, credentials, (err) => {
        if (err === null) resolve()
        else {
          const inUse = err.message.includes('EADDRINUSE')
          const text = `the Raft transport cannot listen on ${listenAddress}: ${err.message}`
          reject(
            new SwarmError(inUse ? 'ADDRESS_IN_USE' : 'INVALID_ARGUMENT', text, { cause: err }),
          )
        }
      })
    })
  }

  #provider(): Parameters<typeof experimental.createCertificateProviderServerCredentials>[0] {
    const ca = () => ({ caCertificate: Buffer.from(this.#credentials.caPem) })
    const identity = () => ({
      certificate: Buffer.from(this.#credentials.certPem),
      privateKey: Buffer.from(this.#credentials.keyPem),
    })
    return {
      addCaCertificateListener: (listener) => {
        this.#listeners.add(() => listener(ca()))
        queueMicrotask(() => listener(ca()))
      },
      removeCaCertificateListener: () => this.#listeners.clear(),
      addIdentityCertificateListener: (listener) => {
        this.#listeners.add(() => listener(identity()))
        queueMicrotask(() => listener(identity()))
      },
      removeIdentityCertificateListener: () => this.#listeners.clear(),
    }
  }
}

function approximateBytes(message: PeerMessage): number {
  if (message.kind === 'append') {
    return message.entries.reduce(
      (sum, entry) => sum + 32 + (entry.kind === 'data' ? entry.data.length : 256),
      64,
    )
  }
  return message.kind === 'snapshot-chunk' ? message.bytes.length + 128 : 128
}
