// gRPC over HTTP/2 on the daemon's unix socket, with node's own http2. Loading grpc-js costs a command 50 ms, more
// than everything else it does (docs/decisions/0003-cli-speaks-grpc-itself.md). Not for servers, TLS or compression.
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import { createConnection, type Socket } from 'node:net'
import { SwarmError } from '../proto/errors.ts'
import type { Clock } from '../proto/lib/clock.ts'

/** One method of a generated service definition. */
export interface Method<Request, Response> {
  readonly path: string
  readonly requestStream: boolean
  readonly responseStream: boolean
  readonly requestSerialize: (value: Request) => Buffer
  readonly responseDeserialize: (value: Buffer) => Response
}

/** How a call ended: the status and the trailers of the answer. */
export interface CallStatus {
  readonly code: number
  readonly message: string
  readonly trailers: Readonly<Record<string, string>>
}

export interface CallOptions {
  readonly signal?: AbortSignal
  /** Absent: as long as it takes. */
  readonly timeoutMs?: number
}

export interface Channel {
  /** Messages of the answer, then the end or the error that `toError` makes of the status. */
  call<Request, Response>(
    method: Method<Request, Response>,
    requests: AsyncIterable<Request> | readonly Request[],
    options: CallOptions,
  ): AsyncGenerator<Response, void, undefined>
  /** Whether new calls are possible. */
  usable(): boolean
  close(): void
}

/** Bounds an answer; lists of 100,000 tasks stay far below. */
const messageBytesMax = 512 * 1024 * 1024

/** Connects. Errors: those of the socket, with `code` as node gives it. */
export async function openChannel(
  socketPath: string,
  clock: Clock,
  toError: (status: CallStatus) => SwarmError,
): Promise<Channel> {
  const socket = await openSocket(socketPath)
  const session = connect('http://localhost', {
    createConnection: () => socket,
    settings: { initialWindowSize: 1024 * 1024, enablePush: false },
  })
  // Streams of a lost session fail by themselves; without a listener node would end the process.
  session.on('error', () => session.destroy())
  return {
    call: (method, requests, options) =>
      runCall({ session, clock, toError, method, requests, options }),
    usable: () => !session.closed && !session.destroyed,
    close: () => {
      session.destroy()
      // A session with an open stream waits for the other side to close the socket, which may never happen.
      socket.destroy()
    },
  }
}

function openSocket(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path })
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}

interface Call<Request, Response> {
  readonly session: ClientHttp2Session
  readonly clock: Clock
  readonly toError: (status: CallStatus) => SwarmError
  readonly method: Method<Request, Response>
  readonly requests: AsyncIterable<Request> | readonly Request[]
  readonly options: CallOptions
}

async function* runCall<Request, Response>(
  call: Call<Request, Response>,
): AsyncGenerator<Response, void, undefined> {
  const { signal, timeoutMs } = call.options
  if (signal?.aborted) throw cancelled()
  const stream = call.session.request(headersOf(call.method.path, timeoutMs))
  let failure: SwarmError | undefined
  const stop = (error: SwarmError): void => {
    failure ??= error
    stream.close(constants.NGHTTP2_CANCEL)
  }
  const abort = (): void => stop(cancelled())
  signal?.addEventListener('abort', abort, { once: true })
  const timer =
    timeoutMs === undefined
      ? undefined
      : call.clock.setTimer(timeoutMs, () => stop(tooLate(timeoutMs)))
  const status = watchStatus(stream)
  // Not awaited: an answer may end before all requests were read.
  void send(stream, call).catch((err: unknown) => {
    failure ??= err instanceof SwarmError ? err : broken(err)
    stream.close(constants.NGHTTP2_CANCEL)
  })
  try {
    for await (const message of messagesOf(stream)) yield call.method.responseDeserialize(message)
    const ended = failure === undefined ? await status.ended : undefined
    if (failure !== undefined) throw failure
    if (ended === undefined) throw broken(undefined)
    if (ended.code !== 0) throw call.toError(ended)
  } catch (err) {
    const known = status.known()
    if (failure !== undefined) throw failure
    if (known !== undefined && known.code !== 0) throw call.toError(known)
    throw err instanceof SwarmError ? err : broken(err)
  } finally {
    timer?.cancel()
    signal?.removeEventListener('abort', abort)
    if (!stream.closed) stream.close(constants.NGHTTP2_CANCEL)
  }
}

function headersOf(path: string, timeoutMs: number | undefined): Record<string, string> {
  return {
    ':method': 'POST',
    ':path': path,
    ':authority': 'localhost',
    'content-type': 'application/grpc+proto',
    te: 'trailers',
    ...(timeoutMs === undefined ? {} : { 'grpc-timeout': `${Math.ceil(timeoutMs)}m` }),
  }
}

async function send<Request, Response>(
  stream: ClientHttp2Stream,
  call: Call<Request, Response>,
): Promise<void> {
  for await (const request of call.requests) {
    if (stream.destroyed) return
    if (!stream.write(frame(call.method.requestSerialize(request)))) await drained(stream)
  }
  stream.end()
}

function drained(stream: ClientHttp2Stream): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done)
      stream.off('close', done)
      resolve()
    }
    stream.once('drain', done)
    stream.once('close', done)
  })
}

/** A message with its five bytes: not compressed, length. */
export function frame(message: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

async function* messagesOf(stream: ClientHttp2Stream): AsyncGenerator<Buffer, void, undefined> {
  let waiting: Buffer[] = []
  let bytes = 0
  let wanted = 5
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    waiting.push(chunk)
    bytes += chunk.length
    while (bytes >= wanted) {
      const all = waiting.length === 1 ? (waiting[0] ?? chunk) : Buffer.concat(waiting)
      const length = all.readUInt32BE(1)
      if (all[0] !== 0 || length > messageBytesMax) throw broken(new Error('malformed message'))
      wanted = 5 + length
      waiting = [all]
      if (bytes < wanted) break
      yield all.subarray(5, wanted)
      waiting = [all.subarray(wanted)]
      bytes -= wanted
      wanted = 5
    }
  }
  if (bytes > 0) throw broken(new Error('the answer ends within a message'))
}

interface StatusWatch {
  readonly ended: Promise<CallStatus | undefined>
  known(): CallStatus | undefined
}

function watchStatus(stream: ClientHttp2Stream): StatusWatch {
  let status: CallStatus | undefined
  const take = (headers: Readonly<Record<string, unknown>>): void => {
    const code = headers['grpc-status']
    if (code !== undefined) status = toStatus(Number(code), headers)
    else if (headers[':status'] !== undefined && headers[':status'] !== 200) {
      status = toStatus(2, { ...headers, 'grpc-message': `HTTP status ${headers[':status']}` })
    }
  }
  stream.on('response', take)
  stream.on('trailers', take)
  // A reset after the status is of no interest; before it, the reader of the stream sees the error.
  stream.on('error', () => {})
  const ended = new Promise<CallStatus | undefined>((resolve) => {
    stream.once('close', () => resolve(status))
    stream.once('trailers', () => resolve(status))
    // An answer that is nothing but an error has its status here, and stays open as long as there are requests to come.
    stream.once('response', () => {
      if (status !== undefined) resolve(status)
    })
  })
  return { ended, known: () => status }
}

function toStatus(code: number, headers: Readonly<Record<string, unknown>>): CallStatus {
  const trailers: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === 'string') trailers[name] = value
  }
  return { code, message: percentDecode(trailers['grpc-message'] ?? ''), trailers }
}

/** As gRPC asks: text that is not well-formed is kept as it is. */
export function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function cancelled(): SwarmError {
  return new SwarmError('CANCELLED', 'interrupted')
}

function tooLate(timeoutMs: number): SwarmError {
  return new SwarmError(
    'DEADLINE_EXCEEDED',
    `the daemon did not answer within ${Math.round(timeoutMs / 1_000)} s; see its log`,
  )
}

function broken(cause: unknown): SwarmError {
  return new SwarmError('UNAVAILABLE', 'the connection to the daemon broke off', { cause })
}
