// The daemon's end of the control socket.
import { connect, type Socket } from 'node:net'
import { SwarmError } from '../../../proto/errors.ts'
import type { Clock } from '../../../proto/lib/clock.ts'
import { encodeFrame, FrameReader } from '../../executor/spawn/frames.ts'
import {
  type ControlAnswer,
  type ControlRequest,
  controlFrameBytesMax,
  controlSocketFile,
} from './control-messages.ts'

export interface ControlConnection {
  /**
   * Requests are answered in order. Errors: UNAVAILABLE when the connection ends or the answer takes longer than the time-out, and
   * FAILED_PRECONDITION when the resolver says why it does not.
   */
  request(request: ControlRequest, timeoutMs?: number): Promise<Answered>
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>
  close(): void
}

export type Answered = Exclude<ControlAnswer, { readonly kind: 'failed' }>

const defaultTimeoutMs = 5_000
const waitingMax = 1_000

interface Waiting {
  readonly resolve: (answer: Answered) => void
  readonly reject: (err: Error) => void
}

/** Undefined when nobody listens. Errors: UNAVAILABLE. */
export async function connectControl(
  dir: string,
  clock: Clock,
): Promise<ControlConnection | undefined> {
  const file = controlSocketFile(dir)
  const socket = connect(file)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    })
  } catch (cause) {
    if (isAbsent(cause)) return undefined
    throw new SwarmError('UNAVAILABLE', `cannot connect to the resolver at ${file}`, { cause })
  }
  return new Connection(socket, clock)
}

class Connection implements ControlConnection {
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #waiting: Waiting[] = []
  readonly closed: Promise<void>

  constructor(socket: Socket, clock: Clock) {
    this.#socket = socket
    this.#clock = clock
    const frames = new FrameReader(controlFrameBytesMax)
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      for (const text of frames.push(chunk)) this.#answered(JSON.parse(text))
    })
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        for (const { reject } of this.#waiting.splice(0)) reject(unavailable('it closed'))
        resolve()
      })
    })
  }

  request(request: ControlRequest, timeoutMs: number = defaultTimeoutMs): Promise<Answered> {
    if (this.#socket.destroyed) return Promise.reject(unavailable('the connection has ended'))
    if (this.#waiting.length >= waitingMax) {
      return Promise.reject(unavailable(`${waitingMax} requests wait already`))
    }
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(timeoutMs, () => {
        reject(unavailable(`no answer within ${timeoutMs} ms`))
        // Later answers could not be told apart.
        this.#socket.destroy()
      })
      this.#waiting.push({
        resolve: (answer) => {
          timer.cancel()
          resolve(answer)
        },
        reject: (err) => {
          timer.cancel()
          reject(err)
        },
      })
      this.#socket.write(encodeFrame(request))
    })
  }

  close(): void {
    this.#socket.destroy()
  }

  #answered(answer: ControlAnswer): void {
    const waiting = this.#waiting.shift()
    if (answer.kind !== 'failed') waiting?.resolve(answer)
    else {
      const message = `the resolver refuses: ${answer.message}`
      waiting?.reject(new SwarmError('FAILED_PRECONDITION', message))
    }
  }
}

function unavailable(why: string): SwarmError {
  return new SwarmError('UNAVAILABLE', `the resolver of this node does not answer: ${why}`)
}

function isAbsent(err: unknown): boolean {
  return (
    err instanceof Error && 'code' in err && (err.code === 'ENOENT' || err.code === 'ECONNREFUSED')
  )
}
