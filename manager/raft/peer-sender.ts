// Outgoing streams: one a lane and peer. Heartbeats and votes have a connection of their own, so that they never
// wait in a socket behind appends and snapshots.
import { Client, type ClientWritableStream, Metadata } from '@grpc/grpc-js'
import type { Lane, PeerMessage } from 'raft-ts'
import { type PeerFrame, RaftTransportService } from '../../proto/gen/tsswarm/v1/raft_transport.ts'
import type { IdentitySource } from '../../proto/objects/identity.ts'
import { channelCredentials, channelOptions } from '../../proto/rpc/channel.ts'
import { encodePeerMessage, frameBytesMax } from './peer-codec.ts'
import type { RaftId, RaftPeer } from './raft-handle.ts'

/** What may wait on one lane to one peer. */
const waitingBytesMax: Readonly<Record<Lane, number>> = {
  fast: 256 * 1024,
  bulk: 16 * 1024 * 1024,
  snapshot: 4 * 1024 * 1024,
}

interface OpenLane {
  readonly call: ClientWritableStream<PeerFrame>
  waitingBytes: number
}

interface Connection {
  readonly peer: RaftPeer
  /** For the fast lane, and for the others. */
  readonly fast: Client
  readonly bulk: Client
  readonly lanes: Map<Lane, OpenLane>
}

export class PeerSender {
  readonly #identity: IdentitySource
  readonly #onUnreachable: (id: RaftId) => void
  readonly #connections = new Map<RaftId, Connection>()
  #peers: ReadonlyMap<RaftId, RaftPeer> = new Map()
  #isClosed = false

  constructor(identity: IdentitySource, onUnreachable: (id: RaftId) => void) {
    this.#identity = identity
    this.#onUnreachable = onUnreachable
  }

  setPeers(peers: readonly RaftPeer[]): void {
    this.#peers = new Map(peers.map((peer) => [peer.id, peer]))
    for (const [id, { peer }] of this.#connections) {
      const now = this.#peers.get(id)
      if (now?.address !== peer.address || now.nodeId !== peer.nodeId) this.#disconnect(id)
    }
  }

  /** Every connection is made anew, with the present identity. */
  redial(): void {
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
    this.redial()
  }

  #lane(id: RaftId, lane: Lane): OpenLane | undefined {
    const connection = this.#connection(id)
    if (connection === undefined) return undefined
    const known = connection.lanes.get(lane)
    if (known !== undefined) return known
    const { path, requestSerialize, responseDeserialize } = RaftTransportService.deliver
    const client = lane === 'fast' ? connection.fast : connection.bulk
    const done = (): void => this.#laneEnded(connection, lane, open)
    const call = client.makeClientStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      new Metadata(),
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
    if (!this.#isClosed && lane === 'bulk') this.#onUnreachable(connection.peer.id)
  }

  #connection(id: RaftId): Connection | undefined {
    const known = this.#connections.get(id)
    if (known !== undefined) return known
    const peer = this.#peers.get(id)
    if (peer === undefined || this.#isClosed) return undefined
    const client = (): Client =>
      new Client(peer.address, channelCredentials(this.#identity.current()), {
        ...channelOptions(peer.nodeId),
        // A member that comes back must be reached within an election time-out.
        'grpc.max_reconnect_backoff_ms': 500,
        'grpc.max_send_message_length': frameBytesMax,
      })
    const connection = { peer, fast: client(), bulk: client(), lanes: new Map() }
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
    connection.fast.close()
    connection.bulk.close()
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
