// Outgoing streams: one a lane and peer. Heartbeats and votes have a connection of their own, so that they never
// wait in a socket behind appends and snapshots; and so has a leader's request to campaign in its place.
import type { ClientHttp2Stream } from 'node:http2'
import type { Lane, PeerMessage } from 'raft-ts'
import { PeerFrame, RaftTransportService } from '../../proto/gen/tsswarm/v1/raft_transport.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import type { IdentitySource } from '../../proto/objects/identity.ts'
import { AppendFrames } from './append-frames.ts'
import { framed } from './grpc-frames.ts'
import { encodePeerMessage } from './peer-codec.ts'
import { PeerConnection } from './peer-connection.ts'
import type { RaftId, RaftPeer } from './raft-handle.ts'

const { path } = RaftTransportService.deliver

/** What may wait on one lane to one peer. */
const waitingBytesMax: Readonly<Record<Lane, number>> = {
  fast: 256 * 1024,
  bulk: 16 * 1024 * 1024,
  snapshot: 4 * 1024 * 1024,
}

interface OpenLane {
  readonly stream: ClientHttp2Stream
  waitingBytes: number
}

interface Connection {
  readonly peer: RaftPeer
  /** For the fast lane, and for the others. */
  readonly fast: PeerConnection
  readonly bulk: PeerConnection
  readonly lanes: Map<Lane, OpenLane>
  /**
   * On which nothing else is said: a leader that is heard but hears nothing has words on all others that nobody
   * acknowledges, and the kernel sends nothing new behind them.
   */
  readonly parting: PeerConnection
  partingStream: ClientHttp2Stream | undefined
}

export interface PeerSenderOptions {
  readonly identity: IdentitySource
  readonly clock: Clock
  /** The lane of appends to the peer broke. */
  readonly onUnreachable: (id: RaftId) => void
}

export class PeerSender {
  readonly #identity: IdentitySource
  readonly #clock: Clock
  readonly #onUnreachable: (id: RaftId) => void
  readonly #appends = new AppendFrames()
  readonly #connections = new Map<RaftId, Connection>()
  #peers: ReadonlyMap<RaftId, RaftPeer> = new Map()
  #isClosed = false

  constructor(options: PeerSenderOptions) {
    this.#identity = options.identity
    this.#clock = options.clock
    this.#onUnreachable = options.onUnreachable
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
    const frame =
      message.kind === 'append'
        ? this.#appends.encode(message)
        : framed(PeerFrame.encode(encodePeerMessage(message)).finish())
    open.waitingBytes += frame.length
    open.stream.write(frame, () => {
      open.waitingBytes -= frame.length
    })
    // Twice is once: the second one comes to a member that has entered the next term.
    if (message.kind === 'timeout-now') {
      this.#connections.get(message.to)?.partingStream?.write(frame)
    }
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
    const from = lane === 'fast' ? connection.fast : connection.bulk
    const stream = openStream(from, () => this.#laneEnded(connection, lane, open))
    if (stream === undefined) return undefined
    const open: OpenLane = { stream, waitingBytes: 0 }
    connection.lanes.set(lane, open)
    this.#openParting(connection)
    return open
  }

  /** Before it is needed: then nothing could be opened any more. */
  #openParting(connection: Connection): void {
    connection.partingStream ??= openStream(connection.parting, () => {
      connection.partingStream = undefined
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
    const options = { peer, identity: this.#identity, clock: this.#clock }
    const connection: Connection = {
      peer,
      fast: new PeerConnection(options),
      bulk: new PeerConnection(options),
      lanes: new Map(),
      parting: new PeerConnection({ ...options, isQuiet: true }),
      partingStream: undefined,
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
    for (const { stream } of lanes) stream.close()
    connection.partingStream?.close()
    connection.fast.close()
    connection.bulk.close()
    connection.parting.close()
  }
}

/** Nothing is answered while it is open: whatever comes is its end, and `ended` is called once. */
function openStream(on: PeerConnection, ended: () => void): ClientHttp2Stream | undefined {
  const stream = on.open(path)
  if (stream === undefined) return undefined
  let isOver = false
  const end = (): void => {
    if (isOver) return
    isOver = true
    stream.close()
    ended()
  }
  stream.resume()
  stream.on('error', end)
  stream.once('end', end)
  stream.once('close', end)
  return stream
}
