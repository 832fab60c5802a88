// One HTTP/2 connection to a peer, dialled when there is something to send and again after it broke, with a pause that
// grows. Speaks gRPC by itself: what a general client does for each message costs more than all the rest of it.
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2'
import type { TcpSocketConnectOpts } from 'node:net'
import {
  type ConnectionOptions,
  checkServerIdentity,
  type TLSSocket,
  connect as tlsConnect,
} from 'node:tls'
import type { Clock, Timer } from '../../proto/lib/clock.ts'
import type { IdentitySource } from '../../proto/objects/identity.ts'
import { keepAlive } from './keepalive.ts'
import type { RaftPeer } from './raft-handle.ts'

const connectMs = 3_000
/** Above what may wait on all lanes: those are the bounds, and a session that meets its own refuses streams. */
export const sessionMegabytesMax = 128
/** A member that comes back must be reached within an election time-out. */
const pauseMs = { first: 100, most: 500 } as const

export interface PeerConnectionOptions {
  readonly peer: RaftPeer
  readonly identity: IdentitySource
  readonly clock: Clock
  /** Nothing is said on it by itself, no pings either; the listener's are answered only where they arrive. */
  readonly isQuiet?: boolean
}

export class PeerConnection {
  readonly #peer: RaftPeer
  readonly #identity: IdentitySource
  readonly #clock: Clock
  readonly #isQuiet: boolean
  #session: ClientHttp2Session | undefined
  #pauseMs: number = pauseMs.first
  #dialAtMs = 0

  constructor(options: PeerConnectionOptions) {
    this.#peer = options.peer
    this.#identity = options.identity
    this.#clock = options.clock
    this.#isQuiet = options.isQuiet ?? false
  }

  /** A stream to the method; undefined while the connection is not to be dialled yet. */
  open(path: string): ClientHttp2Stream | undefined {
    const session = this.#session ?? this.#dial()
    if (session === undefined) return undefined
    try {
      return session.request({
        ':method': 'POST',
        ':path': path,
        ':authority': this.#peer.nodeId,
        'content-type': 'application/grpc',
        te: 'trailers',
      })
    } catch {
      // It is being closed: the next one is another.
      this.#lose(session)
      return undefined
    }
  }

  close(): void {
    this.#session?.destroy()
    this.#session = undefined
  }

  #dial(): ClientHttp2Session | undefined {
    if (this.#clock.monotonicMs() < this.#dialAtMs) return undefined
    const session = connect(`https://${this.#peer.address}`, {
      maxSessionMemory: sessionMegabytesMax,
      createConnection: (authority) => this.#socket(authority),
    })
    this.#session = session
    const late: Timer = this.#clock.setTimer(connectMs, () => session.destroy())
    session.once('connect', () => {
      late.cancel()
      this.#pauseMs = pauseMs.first
      if (!this.#isQuiet) keepAlive(session, this.#clock)
    })
    // What went wrong shows in the streams, which end.
    session.on('error', () => {})
    session.on('goaway', () => this.#lose(session))
    session.once('close', () => {
      late.cancel()
      this.#lose(session)
    })
    return session
  }

  /** Whoever answers must be the peer, not just a member of the cluster. */
  #socket({ hostname, port }: URL): TLSSocket {
    const { nodeId } = this.#peer
    const { caPem, certPem, keyPem } = this.#identity.current()
    const options: ConnectionOptions & Pick<TcpSocketConnectOpts, 'noDelay'> = {
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port === '' ? 443 : port),
      noDelay: true,
      ca: caPem,
      cert: certPem,
      key: keyPem,
      servername: nodeId,
      checkServerIdentity: (_host, cert) => checkServerIdentity(nodeId, cert),
      ALPNProtocols: ['h2'],
    }
    return tlsConnect(options)
  }

  #lose(session: ClientHttp2Session): void {
    if (this.#session !== session) return
    this.#session = undefined
    this.#dialAtMs = this.#clock.monotonicMs() + this.#pauseMs
    this.#pauseMs = Math.min(this.#pauseMs * 2, pauseMs.most)
    if (!session.destroyed) session.close()
  }
}
