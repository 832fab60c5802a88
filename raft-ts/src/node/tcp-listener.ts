// Connections that peers dialled: each says first who speaks to whom on which lane, and with TLS its certificate
// must be that member's. Of each only what that member says is taken.
import { createServer as createPlainServer, type Server, type Socket } from 'node:net'
import {
  createServer as createTlsServer,
  type PeerCertificate,
  TLSSocket,
  type Server as TlsServer,
} from 'node:tls'
import type { NodeId } from '../core/types.ts'
import type { PeerMessage } from '../driver/environment.ts'
import { decodePeerMessage } from './peer-codec.ts'
import {
  answers,
  decodeHello,
  FrameSplitter,
  frameBytesMax,
  type Hello,
  helloBytesMax,
  type Refusal,
} from './tcp-frames.ts'
import type { TcpAddress, TlsIdentity, TlsSecurity } from './tcp-options.ts'
import { MalformedMessageError } from './wire-bytes.ts'

/** From the connection to the end of its hello. */
const helloDeadlineMs = 5000
/** A peer is told so long after it was heard that it was. */
const heardAfterMs = 250
/** Nothing came for so long: whoever dialled is gone, or has nothing to say and dials again. */
const idleMs = 120_000
/** Connections at once, whoever they are from. A cluster needs four for each peer. */
const connectionsMax = 512

export interface TcpListenerOptions {
  readonly id: NodeId
  readonly cluster: string
  readonly security: TlsSecurity | undefined
  readonly onMessage: (message: PeerMessage) => void
  readonly onRefused: (facts: Readonly<Record<string, string>>) => void
  /** A connection of this member is over, whoever ended it, and no other took its place. */
  readonly onEnded: (from: NodeId) => void
}

/** Who is at the other end of an accepted connection. */
interface Speaker {
  readonly hello: Hello
  /** Undefined: plain. */
  readonly certificate: PeerCertificate | undefined
}

/** See the file's comment. */
export class TcpListener {
  readonly #options: TcpListenerOptions
  readonly #server: Server | TlsServer
  readonly #sockets = new Set<Socket>()
  /** By peer and lane: a new connection takes the place of one that is not known yet to be broken. */
  readonly #accepted = new Map<string, Socket>()

  constructor(options: TcpListenerOptions) {
    this.#options = options
    const { security } = options
    this.#server = security === undefined ? this.#plain() : this.#secure(security)
    this.#server.maxConnections = connectionsMax
  }

  /** Rejects when the address cannot be listened on. Resolves with the port. */
  listen({ host, port }: TcpAddress): Promise<number> {
    return new Promise((resolve, reject) => {
      const failed = (err: Error): void => {
        const text = `cannot listen on ${host}:${port} for peers: ${err.message}`
        reject(
          new Error(`${text}; stop the program that holds it, or choose another address`, {
            cause: err,
          }),
        )
      }
      this.#server.once('error', failed)
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', failed)
        // As when there are no file descriptors left: those that are open go on, and dialling is tried again.
        this.#server.on('error', (err) => this.#options.onRefused({ reason: err.message }))
        const address = this.#server.address()
        resolve(typeof address === 'object' && address !== null ? address.port : port)
      })
    })
  }

  /** For connections from now on. */
  renew({ ca, cert, key }: TlsIdentity): void {
    if ('setSecureContext' in this.#server) {
      this.#server.setSecureContext({ ca: typeof ca === 'string' ? ca : [...ca], cert, key })
    }
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
      for (const socket of this.#sockets) socket.destroy()
    })
  }

  #plain(): Server {
    return createPlainServer((socket) => this.#greet(socket))
  }

  #secure({ ca, cert, key }: TlsSecurity): TlsServer {
    const server = createTlsServer({
      ca: typeof ca === 'string' ? ca : [...ca],
      cert,
      key,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
      handshakeTimeout: helloDeadlineMs,
    })
    // Those that are still at their handshake end with the listener too.
    server.on('connection', (socket: Socket) => this.#keep(socket))
    server.on('tlsClientError', (err) => this.#options.onRefused({ reason: err.message }))
    server.on('secureConnection', (socket) => this.#greet(socket))
    return server
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
  }

  /** Waits for the hello, and then for messages. */
  #greet(socket: Socket): void {
    this.#keep(socket)
    const splitter = new FrameSplitter(helloBytesMax)
    const deadline = setTimeout(() => socket.destroy(), helloDeadlineMs)
    const tellHeard = heardTeller(socket)
    let speaker: Speaker | undefined
    let isRefused = false
    const take = (frame: Uint8Array): void => {
      if (speaker !== undefined) {
        this.#take(speaker, frame)
        return
      }
      clearTimeout(deadline)
      speaker = this.#accept(socket, frame)
      splitter.bytesMax = frameBytesMax
    }
    socket.setNoDelay(true)
    socket.setTimeout(idleMs, () => socket.destroy())
    socket.on('data', (chunk) => {
      if (isRefused) return
      try {
        splitter.push(chunk, take)
        tellHeard()
      } catch (err) {
        isRefused = true
        this.#refuse(socket, err as Error, speaker?.hello)
      }
    })
    socket.on('error', () => {}) // `close` follows
    socket.on('end', () => socket.destroy())
    socket.on('close', () => clearTimeout(deadline))
  }

  /** Throws RefusedError and MalformedMessageError. */
  #accept(socket: Socket, frame: Uint8Array): Speaker {
    const speaker = this.#checked(socket, decodeHello(frame))
    const { lane, from } = speaker.hello
    const key = `${lane} ${from}`
    this.#accepted.get(key)?.destroy()
    this.#accepted.set(key, socket)
    socket.on('close', () => {
      if (this.#accepted.get(key) !== socket) return
      this.#accepted.delete(key)
      this.#options.onEnded(from)
    })
    socket.write(Buffer.of(answers.heard))
    return speaker
  }

  #checked(socket: Socket, hello: Hello | undefined): Speaker {
    const { id, cluster } = this.#options
    if (hello === undefined) throw new RefusedError('another-version', '')
    const { from } = hello
    if (hello.cluster !== cluster) throw new RefusedError('another-cluster', from)
    if (hello.to !== id || from === id) throw new RefusedError('another-member', from)
    const certificate = socket instanceof TLSSocket ? socket.getPeerCertificate() : undefined
    const speaker = { hello, certificate }
    this.#verify(speaker)
    return speaker
  }

  /** Throws RefusedError. Asked for each message: who is a member may change while the connection is open. */
  #verify({ hello: { from }, certificate }: Speaker): void {
    const { security } = this.#options
    if (security === undefined) return
    if (certificate !== undefined && security.verifyPeer(from, certificate)) return
    throw new RefusedError('not-your-certificate', from)
  }

  /** Throws MalformedMessageError and RefusedError. */
  #take(speaker: Speaker, frame: Uint8Array): void {
    this.#verify(speaker)
    const { from } = speaker.hello
    const message = decodePeerMessage(frame)
    if (message.from !== from || message.to !== this.#options.id) {
      const text = `a message from ${message.from} to ${message.to} on a connection of ${from}`
      throw new MalformedMessageError(text)
    }
    this.#options.onMessage(message)
  }

  #refuse(socket: Socket, err: Error, hello: Hello | undefined): void {
    const { remoteAddress = '' } = socket
    const isAnswered = err instanceof RefusedError
    const from = isAnswered ? err.from : (hello?.from ?? '')
    // What was answered leaves first; what still comes is not looked at.
    if (isAnswered) socket.end(Buffer.of(answers[err.refusal]))
    socket.destroySoon()
    this.#options.onRefused({ reason: err.message, from, address: remoteAddress })
  }
}

/** Tells the peer now and then that something came, so that it notices when nothing does. */
function heardTeller(socket: Socket): () => void {
  let isDue = false
  return () => {
    if (isDue) return
    isDue = true
    const timer = setTimeout(() => {
      isDue = false
      if (socket.writable) socket.write(Buffer.of(answers.heard))
    }, heardAfterMs)
    timer.unref()
  }
}

/** The one who dialled is told why. */
class RefusedError extends Error {
  readonly refusal: Refusal
  readonly from: NodeId

  constructor(refusal: Refusal, from: NodeId) {
    super(refusal)
    this.name = 'RefusedError'
    this.refusal = refusal
    this.from = from
  }
}
