// Outgoing streams: one a lane and peer. Heartbeats and votes have a connection of their own, so that they never
// wait in a socket behind appends and snapshots; and so has a leader's request to campaign in its place.
import { type ChannelOptions, Client, type ClientWritableStream, Metadata } from '@grpc/grpc-js'
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

/** Practically never: the longest that a timer takes. */
const quietMs = 2 ** 31 - 1

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
  /**
   * On which nothing else is said: a leader that is heard but hears nothing has words on all others that nobody
   * acknowledges, and the kernel sends nothing new behind them.
   */
  readonly parting: Client
  partingCall: ClientWritableStream<PeerFrame> | undefined
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
    const frame = encodePeerMessage(message)
    open.call.write(frame, () => {
      open.waitingBytes -= size
    })
    // Twice is once: the second one comes to a member that has entered the next term.
    if (message.kind === 'timeout-now') this.#connections.get(message.to)?.partingCall?.write(frame)
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
    const client = lane === 'fast' ? connection.fast : connection.bulk
    const call = openStream(client, () => this.#laneEnded(connection, lane, open))
    const open: OpenLane = { call, waitingBytes: 0 }
    connection.lanes.set(lane, open)
    this.#openParting(connection)
    return open
  }

  /** Before it is needed: then nothing could be opened any more. */
  #openParting(connection: Connection): void {
    if (connection.partingCall !== undefined) return
    connection.partingCall = openStream(connection.parting, () => {
      connection.partingCall = undefined
    })
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
    const client = (more: ChannelOptions = {}): Client =>
      new Client(peer.address, channelCredentials(this.#identity.current()), {
        ...channelOptions(peer.nodeId),
        ...more,
        // A member that comes back must be reached within an election time-out.
        'grpc.max_reconnect_backoff_ms': 500,
        'grpc.max_send_message_length': frameBytesMax,
      })
    const connection: Connection = {
      peer,
      fast: client(),
      bulk: client(),
      lanes: new Map(),
      // It would say its pings. The listener's are answered only where they arrive.
      parting: client({ 'grpc.keepalive_time_ms': quietMs }),
      partingCall: undefined,
    }
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
    connection.partingCall?.cancel()
    connection.fast.close()
    connection.bulk.close()
    connection.parting.close()
  }
}

function openStream(client: Client, ended: () => void): ClientWritableStream<PeerFrame> {
  const { path, requestSerialize, responseDeserialize } = RaftTransportService.deliver
  const call = client.makeClientStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    new Metadata(),
    ended,
  )
  call.on('error', ended)
  return call
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
