// One question to one name server and its answer, over UDP or TCP. Each question has a socket of its own: the kernel draws
// its port at random, takes datagrams of that server only, and tells at once when nobody listens there.
import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import type { Clock } from '../../../proto/lib/clock.ts'
import { headerBytes, readQuestion } from './query.ts'
import { framed, MessageReader } from './tcp-framing.ts'
import type { Upstream } from './upstreams.ts'

export interface Exchange {
  /** The answer, or undefined when there was none in time. Never rejects. */
  readonly answer: Promise<Buffer | undefined>
  /** Gives up. */
  cancel(): void
}

export interface ExchangeOptions {
  readonly upstream: Upstream
  /** With the id that the answer must have. */
  readonly message: Buffer
  readonly timeoutMs: number
  readonly clock: Clock
}

interface Wire {
  send(message: Buffer): void
  close(): void
}

type OpenWire = (on: { message: (bytes: Buffer) => void; failure: () => void }) => Wire

export function exchangeUdp(options: ExchangeOptions): Exchange {
  const { address, port } = options.upstream
  return exchange(options, ({ message, failure }) => {
    const socket = createSocket(isIPv6(address.split('%')[0] ?? '') ? 'udp6' : 'udp4')
    socket.on('message', message)
    socket.on('error', failure)
    return {
      send: (bytes) => {
        socket.once('connect', () => socket.send(bytes))
        socket.connect(port, address)
      },
      close: () => socket.close(),
    }
  })
}

export function exchangeTcp(options: ExchangeOptions): Exchange {
  const { address: host, port } = options.upstream
  return exchange(options, ({ message, failure }) => {
    const socket = connect({ host, port, noDelay: true })
    const reader = new MessageReader()
    socket.on('data', (chunk) => {
      for (const bytes of reader.push(chunk)) message(bytes)
    })
    socket.on('error', failure)
    socket.on('close', failure)
    return { send: (bytes) => socket.write(framed(bytes)), close: () => socket.destroy() }
  })
}

function exchange(options: ExchangeOptions, open: OpenWire): Exchange {
  let finish: (answer: Buffer | undefined) => void = () => {}
  const answer = new Promise<Buffer | undefined>((resolve) => {
    finish = (bytes) => {
      timer.cancel()
      // What comes late finds nobody.
      finish = () => {}
      wire.close()
      resolve(bytes)
    }
  })
  const timer = options.clock.setTimer(options.timeoutMs, () => finish(undefined))
  const wire = open({
    message: (bytes) => {
      if (isAnswerTo(options.message, bytes)) finish(bytes)
    },
    failure: () => finish(undefined),
  })
  wire.send(options.message)
  return { answer, cancel: () => finish(undefined) }
}

/** Same id and question, and an answer at all; what is not may be forged and is passed over. */
export function isAnswerTo(message: Buffer, answer: Buffer): boolean {
  if (answer.length < headerBytes || answer.readUInt16BE(0) !== message.readUInt16BE(0))
    return false
  if (((answer[2] ?? 0) & 0xf8) !== 0x80 || answer.readUInt16BE(4) !== 1) return false
  const asked = readQuestion(message)
  const answered = readQuestion(answer)
  if (asked === undefined || answered === undefined || asked.end !== answered.end) return false
  const isSameType = asked.type === answered.type && asked.class === answered.class
  if (asked.name !== undefined) return isSameType && asked.name === answered.name
  return message.compare(answer, headerBytes, asked.end, headerBytes, asked.end) === 0
}
