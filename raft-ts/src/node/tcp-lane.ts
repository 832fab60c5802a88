// One lane to one peer: a connection of its own, dialled when there is something to send, and again after it
// broke, with pauses that grow. Only sends: the peer's messages come over the connections that the peer dials.
import { connect, type Socket } from 'node:net'
import { type SecureContext, connect as tlsConnect } from 'node:tls'
import type { NodeId } from '../core/types.ts'
import {
  answers,
  encodeHello,
  frameBytesMax,
  framed,
  type Hello,
  headerBytes,
  refusalOf,
  type TcpLaneName,
} from './tcp-frames.ts'
import type { TcpAddress, TlsSecurity } from './tcp-options.ts'

/** What may wait on one lane to one peer; beyond it messages are dropped, which Raft repeats. */
const waitingBytesMax: Readonly<Record<TcpLaneName, number>> = {
  fast: 256 * 1024,
  parting: 4 * 1024,
  bulk: 16 * 1024 * 1024,
  snapshot: 4 * 1024 * 1024,
}

/** From dialling to the peer's answer to the hello. */
const dialDeadlineMs = 3000
/** Something was sent and nothing heard for so long: the peer, or what is between, is gone. */
const silenceMaxMs = 2500
/** Nothing to send for so long: the connection is given back. */
const idleMs = 60_000
/** Pauses before dialling again: the first, and the longest. A member that comes back is reached within an election time-out. */
const pauseMs = { first: 50, longest: 500 }

export interface TcpLaneOptions {
  readonly hello: Hello
  readonly addressOf: (id: NodeId) => TcpAddress | undefined
  /** Of the connections dialled from now on; undefined: plain. */
  readonly secure: () =>
    | { readonly context: SecureContext; readonly security: TlsSecurity }
    | undefined
  /** The connection is gone, and what waited on it. */
  readonly onLost: (reason: string) => void
}

interface Dialled {
  readonly socket: Socket
  /** Set once the connection is made: until then nothing is written. */
  early: Buffer[] | undefined
  earlyBytes: number
  isAccepted: boolean
  /** Runs while there is something that the peer has not yet heard of. */
  silence: NodeJS.Timeout | undefined
  reason: string
}

/** See the file's comment. */
export class TcpLane {
  readonly #options: TcpLaneOptions
  readonly #waitingBytesMax: number
  #dialled: Dialled | undefined
  #isClosed = false
  #failures = 0
  #nextDialMs = Number.NEGATIVE_INFINITY

  constructor(options: TcpLaneOptions) {
    this.#options = options
    this.#waitingBytesMax = waitingBytesMax[options.hello.lane]
  }

  /** Dials unless it is connected, so that what is sent later does not wait for it. */
  open(): void {
    if (this.#dialled === undefined) this.#dial()
  }

  /** Never waits. False: the message was dropped at once. `encode`, of a frame, is called only if it is not. */
  send(encode: () => Buffer): boolean {
    const dialled = this.#dialled ?? this.#dial()
    if (dialled === undefined || dialled.socket.destroyed) return false
    const waiting = dialled.earlyBytes + dialled.socket.writableLength
    if (waiting > this.#waitingBytesMax) return false
    const frame = encode()
    // The peer would break the connection over it.
    if (frame.length - headerBytes > frameBytesMax) return false
    if (dialled.early === undefined) {
      this.#write(dialled, frame)
    } else {
      dialled.early.push(frame)
      dialled.earlyBytes += frame.length
    }
    return true
  }

  /** Breaks the connection; the next message dials anew, without a pause. */
  redial(): void {
    this.#dialled?.socket.destroy()
    this.#dialled = undefined
    this.#failures = 0
    this.#nextDialMs = Number.NEGATIVE_INFINITY
  }

  close(): void {
    this.#isClosed = true
    this.#dialled?.socket.destroy()
  }

  #dial(): Dialled | undefined {
    if (this.#isClosed || performance.now() < this.#nextDialMs) return undefined
    const socket = this.#open(() => this.#connected(dialled))
    if (socket === undefined) return undefined
    const dialled: Dialled = {
      socket,
      early: [],
      earlyBytes: 0,
      isAccepted: false,
      silence: undefined,
      reason: 'the connection was closed',
    }
    this.#dialled = dialled
    this.#watch(dialled)
    return dialled
  }

  #watch(dialled: Dialled): void {
    const { socket } = dialled
    const deadline = setTimeout(() => {
      if (dialled.isAccepted) return
      socket.destroy(new Error(`not accepted within ${dialDeadlineMs} ms`))
    }, dialDeadlineMs)
    socket.setNoDelay(true)
    socket.setTimeout(idleMs, () => socket.destroy())
    socket.on('data', (bytes) => this.#heard(dialled, bytes))
    socket.on('error', (err) => {
      dialled.reason = err.message
    })
    // A half-closed connection is of no use: whoever ends its side ends it.
    socket.on('end', () => socket.destroy())
    socket.on('close', () => {
      clearTimeout(deadline)
      clearTimeout(dialled.silence)
      this.#lost(dialled, dialled.reason)
    })
  }

  /** Undefined: there is no address, or none that can be dialled. */
  #open(onConnected: () => void): Socket | undefined {
    try {
      const address = this.#options.addressOf(this.#options.hello.to)
      return address === undefined ? undefined : this.#connect(address, onConnected)
    } catch (err) {
      // Not from within send: its caller is told that nothing was sent.
      const { message } = err as Error
      this.#pause()
      setImmediate(() => this.#lost(undefined, message))
      return undefined
    }
  }

  #connect({ host, port }: TcpAddress, onConnected: () => void): Socket {
    const { hello, secure } = this.#options
    const tls = secure()
    if (tls === undefined) return connect({ host, port }, onConnected)
    const { context, security } = tls
    const options = {
      host,
      port,
      secureContext: context,
      minVersion: 'TLSv1.3',
      rejectUnauthorized: true,
      // Members are known by id and not by host name.
      checkServerIdentity: (
        _host: string,
        certificate: Parameters<TlsSecurity['verifyPeer']>[1],
      ) =>
        security.verifyPeer(hello.to, certificate)
          ? undefined
          : new Error(`the certificate at ${host}:${port} is not that of member ${hello.to}`),
    } as const
    return tlsConnect(options, onConnected)
  }

  /** The connection is made, and with TLS the peer proved who it is. */
  #connected(dialled: Dialled): void {
    const early = dialled.early ?? []
    dialled.early = undefined
    dialled.earlyBytes = 0
    this.#write(dialled, framed(encodeHello(this.#options.hello)))
    for (const frame of early) this.#write(dialled, frame)
  }

  #write(dialled: Dialled, frame: Buffer): void {
    const { socket } = dialled
    dialled.silence ??= setTimeout(() => {
      socket.destroy(new Error(`nothing was heard for ${silenceMaxMs} ms`))
    }, silenceMaxMs).unref()
    socket.write(frame)
  }

  #heard(dialled: Dialled, bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (byte !== answers.heard) {
        const refusal = refusalOf(byte) ?? `answer ${byte} is not known`
        dialled.socket.destroy(new Error(`refused: ${refusal}`))
        return
      }
    }
    dialled.isAccepted = true
    clearTimeout(dialled.silence)
    dialled.silence = undefined
    this.#failures = 0
  }

  /** Of one that was replaced what waited is lost too, but its end holds up nothing. */
  #lost(dialled: Dialled | undefined, reason: string): void {
    const isPresent = this.#dialled === dialled
    if (isPresent) this.#dialled = undefined
    if (this.#isClosed) return
    if (isPresent) this.#pause()
    this.#options.onLost(reason)
  }

  /** Before dialling again. Spread, so that the members of a cluster do not dial one in step. */
  #pause(): void {
    const pause = Math.min(pauseMs.longest, pauseMs.first * 2 ** Math.min(this.#failures, 10))
    this.#nextDialMs = performance.now() + pause * (0.5 + Math.random() / 2)
    this.#failures += 1
  }
}
