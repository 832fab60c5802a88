// One way to make a gRPC call: deadline, AbortSignal, errors as SwarmError.
import {
  type CallOptions,
  type Client,
  type ClientReadableStream,
  Metadata,
  type MethodDefinition,
} from '@grpc/grpc-js'
import { errorFromGrpc } from '../codec/grpc-error.ts'
import { SwarmError } from '../errors.ts'

export interface UnaryOptions {
  /** Time the whole call may take. */
  readonly deadlineMs: number
  readonly signal?: AbortSignal
  readonly metadata?: Metadata
}

/** Makes a unary call of a generated service definition. Errors: whatever the server answered, DEADLINE_EXCEEDED, UNAVAILABLE, CANCELLED. */
export function unary<Request, Response>(
  client: Client,
  method: MethodDefinition<Request, Response>,
  request: Request,
  options: UnaryOptions,
): Promise<Response> {
  const { signal } = options
  if (signal?.aborted) return Promise.reject(cancelled(method.path))
  return new Promise((resolve, reject) => {
    const done = (): void => signal?.removeEventListener('abort', abort)
    const call = client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      options.metadata ?? new Metadata(),
      callOptions(options.deadlineMs),
      (err, response) => {
        done()
        if (err !== null) reject(errorFromGrpc(err))
        else if (response === undefined) reject(cancelled(method.path))
        else resolve(response)
      },
    )
    const abort = (): void => call.cancel()
    signal?.addEventListener('abort', abort, { once: true })
  })
}

/** Reads a server stream to its end; leaving the loop early cancels it. Errors as unary. */
export async function* serverStream<Request, Response>(
  client: Client,
  method: MethodDefinition<Request, Response>,
  request: Request,
  options: Partial<UnaryOptions> = {},
): AsyncGenerator<Response, void, undefined> {
  const call: ClientReadableStream<Response> = client.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    request,
    options.metadata ?? new Metadata(),
    options.deadlineMs === undefined ? {} : callOptions(options.deadlineMs),
  )
  const abort = (): void => call.cancel()
  options.signal?.addEventListener('abort', abort, { once: true })
  try {
    for await (const message of call) yield message as Response
  } catch (err) {
    if (!options.signal?.aborted) throw errorFromGrpc(err)
  } finally {
    options.signal?.removeEventListener('abort', abort)
    call.cancel()
  }
}

function callOptions(deadlineMs: number): CallOptions {
  return { deadline: Date.now() + deadlineMs }
}

function cancelled(path: string): SwarmError {
  return new SwarmError('CANCELLED', `the call ${path} was cancelled`)
}
