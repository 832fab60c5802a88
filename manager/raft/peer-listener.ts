// Incoming streams: only of valid manager certificates, and of each only what the member with that node id says. Speaks
// gRPC's side of it by itself: what a general server does for each message costs more than all the rest of it.
import {
  constants,
  createSecureServer,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { TLSSocket } from 'node:tls'
import { status } from '@grpc/grpc-js'
import type { PeerMessage } from 'raft-ts'
import { hasCode, SwarmError } from '../../proto/errors.ts'
import { PeerFrame, RaftTransportService } from '../../proto/gen/tsswarm/v1/raft_transport.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import type { IdentitySource, TlsIdentity } from '../../proto/objects/identity.ts'
import { type PeerFacts, peerFacts } from '../rpc/authorize.ts'
import { readAppend } from './append-reader.ts'
import { FrameReader, framed } from './grpc-frames.ts'
import { keepAlive } from './keepalive.ts'
import { decodePeerMessage, frameBytesMax } from './peer-codec.ts'
import { sessionMegabytesMax } from './peer-connection.ts'
import type { RaftId, RaftPeer } from './raft-handle.ts'

/** What a peer may send ahead of what was read. */
const windowBytes = { stream: 1024 * 1024, session: 4 * 1024 * 1024 } as const

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

export class PeerListener {
  readonly #options: PeerListenerOptions
  readonly #server: Http2SecureServer
  readonly #sessions = new Set<ServerHttp2Session>()
  /** Node ids of open streams. */
  readonly #streams = new Map<ServerHttp2Stream, string>()
  readonly #stopFollowing: () => void
  #peers: ReadonlyMap<RaftId, RaftPeer> = new Map()
  #isClosed = false

  constructor(options: PeerListenerOptions) {
    this.#options = options
    this.#server = createSecureServer({
      ...secureContext(options.identity.current()),
      requestCert: true,
      rejectUnauthorized: true,
      noDelay: true,
      maxSessionMemory: sessionMegabytesMax,
      settings: { initialWindowSize: windowBytes.stream },
    })
    this.#stopFollowing = options.identity.onChange((identity) =>
      this.#server.setSecureContext(secureContext(identity)),
    )
    this.#server.on('session', (session) => this.#greet(session))
    this.#server.on('stream', (stream, headers) => this.#accept(stream, headers))
    // A connection that fails is its dialler's to notice.
    this.#server.on('sessionError', () => {})
    this.#server.on('tlsClientError', () => {})
  }

  /** Errors: ADDRESS_IN_USE, INVALID_ARGUMENT. */
  async listen(): Promise<void> {
    const { listenAddress } = this.#options
    const { hostname, port } = new URL(`https://${listenAddress}`)
    await new Promise<void>((resolve, reject) => {
      const failed = (err: NodeJS.ErrnoException): void => {
        const text =
          `the Raft transport cannot listen on ${listenAddress}: ${err.message}; ` +
          'stop the program that holds it, or choose another address'
        const code = err.code === 'EADDRINUSE' ? 'ADDRESS_IN_USE' : 'INVALID_ARGUMENT'
        reject(new SwarmError(code, text, { cause: err }))
      }
      this.#server.once('error', failed)
      const host = hostname.replace(/^\[|\]$/g, '')
      this.#server.listen({ host, port: Number(port === '' ? 443 : port) }, () => {
        this.#server.off('error', failed)
        resolve()
      })
    })
  }

  /** Streams of nodes that are no members any more are cut. */
  setPeers(peers: readonly RaftPeer[]): void {
    const before = new Set([...this.#peers.values()].map(({ nodeId }) => nodeId))
    this.#peers = new Map(peers.map((peer) => [peer.id, peer]))
    const now = new Set(peers.map(({ nodeId }) => nodeId))
    for (const [stream, nodeId] of this.#streams) {
      if (before.has(nodeId) && !now.has(nodeId)) stream.close(constants.NGHTTP2_CANCEL)
    }
  }

  close(): void {
    this.#isClosed = true
    this.#stopFollowing()
    this.#server.close()
    for (const session of this.#sessions) session.destroy()
  }

  #greet(session: ServerHttp2Session): void {
    session.on('error', () => {})
    if (this.#isClosed) {
      // Its handshake was under way.
      session.destroy()
      return
    }
    this.#sessions.add(session)
    session.once('close', () => this.#sessions.delete(session))
    session.setLocalWindowSize(windowBytes.session)
    keepAlive(session, this.#options.clock)
  }

  #accept(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    stream.on('error', () => {})
    if (headers[':path'] !== RaftTransportService.deliver.path) {
      refuse(stream, status.UNIMPLEMENTED, 'there is nothing here but the Raft transport')
      return
    }
    const facts = factsOf(stream)
    if (facts === undefined || !this.#isValid(facts)) {
      const details = 'a manager certificate of this cluster that is valid now is needed'
      refuse(stream, status.UNAUTHENTICATED, details)
      return
    }
    this.#streams.set(stream, facts.nodeId)
    stream.once('close', () => {
      if (this.#streams.delete(stream)) this.#options.onStreamEnded(facts.nodeId)
    })
    stream.respond({ ':status': 200, 'content-type': grpcType }, { waitForTrailers: true })
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': String(status.OK) }))
    const frames = new FrameReader(frameBytesMax, (bytes) => this.#deliver(stream, facts, bytes))
    stream.on('data', (chunk: Buffer) => {
      try {
        frames.push(chunk)
      } catch (err) {
        if (!hasCode(err, 'INVALID_ARGUMENT')) throw err
        // A frame that no version of ours sends: the stream is of no more use.
        stream.close(constants.NGHTTP2_CANCEL)
      }
    })
    // An empty DeliverResponse.
    stream.once('end', () => stream.end(framed(new Uint8Array(0))))
  }

  #isValid({ role, notBeforeMs, notAfterMs }: PeerFacts): boolean {
    const nowMs = this.#options.clock.wallMs()
    return role === 'manager' && notBeforeMs <= nowMs && nowMs < notAfterMs
  }

  /** Errors: INVALID_ARGUMENT for a frame that no version of ours sends. */
  #deliver(stream: ServerHttp2Stream, facts: PeerFacts, bytes: Buffer): void {
    if (stream.closed) return
    if (!this.#isValid(facts)) {
      stream.close(constants.NGHTTP2_CANCEL)
      return
    }
    const append = readAppend(bytes)
    if (append !== undefined) {
      if (this.#isForUs(append, facts)) this.#options.onMessage(append)
      return
    }
    const frame = decodedFrame(bytes)
    if (this.#isForUs(frame, facts)) this.#options.onMessage(decodePeerMessage(frame))
  }

  /** Who is not a member, or not yet known here as one, is dropped, and heard as soon as it is known. */
  #isForUs(head: Pick<PeerFrame, 'from' | 'to'>, { nodeId }: PeerFacts): boolean {
    return this.#peers.get(head.from)?.nodeId === nodeId && head.to === this.#options.selfId
  }
}

const grpcType = 'application/grpc'

function secureContext({ caPem, certPem, keyPem }: TlsIdentity): {
  readonly ca: string
  readonly cert: string
  readonly key: string
} {
  return { ca: caPem, cert: certPem, key: keyPem }
}

function decodedFrame(bytes: Buffer): PeerFrame {
  try {
    return PeerFrame.decode(bytes)
  } catch (cause) {
    throw new SwarmError('INVALID_ARGUMENT', 'a Raft frame cannot be read', { cause })
  }
}

/** Read once a stream: it costs 0.1 to 0.3 ms. */
function factsOf(stream: ServerHttp2Stream): PeerFacts | undefined {
  const socket = stream.session?.socket
  return socket instanceof TLSSocket ? peerFacts(socket.getPeerCertificate()) : undefined
}

/** gRPC's answer without a message. */
function refuse(stream: ServerHttp2Stream, code: number, details: string): void {
  const trailers = { 'grpc-status': String(code), 'grpc-message': encodeURIComponent(details) }
  stream.respond({ ':status': 200, 'content-type': grpcType, ...trailers }, { endStream: true })
}
