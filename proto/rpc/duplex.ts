// A two-way gRPC call as a MessageStream, from the calling side.
import {
  type Client,
  type ClientDuplexStream,
  Metadata,
  type MethodDefinition,
} from '@grpc/grpc-js'
import { errorFromGrpc } from '../codec/grpc-error.ts'
import { childController } from '../lib/lifecycle.ts'
import { type MessageStream, writeMessage } from '../lib/message-stream.ts'

export interface CallStream<Out, In> extends MessageStream<Out, In> {
  /** Aborted when the call broke or was cancelled, also while nothing is read. */
  readonly ended: AbortSignal
}

/** Opens a bidirectional call; failures to connect show when it is read. Aborting or closing it cancels the call. */
export function duplexCall<Out, In>(
  client: Client,
  method: MethodDefinition<Out, In>,
  signal: AbortSignal,
): CallStream<Out, In> {
  const call: ClientDuplexStream<Out, In> = client.makeBidiStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    new Metadata(),
  )
  let closedBy: Error | undefined
  const close = (error?: Error): void => {
    closedBy ??= error
    signal.removeEventListener('abort', onAbort)
    call.cancel()
  }
  const onAbort = (): void => close()
  if (signal.aborted) call.cancel()
  else signal.addEventListener('abort', onAbort, { once: true })
  // Read or not, an error must have a listener.
  const { controller: ended } = childController()
  call.on('error', () => ended.abort())
  call.on('close', () => ended.abort())
  return {
    send: (message) => writeMessage(call, message),
    incoming: readAll(call, () => closedBy),
    close,
    ended: ended.signal,
  }
}

async function* readAll<In>(
  call: AsyncIterable<unknown>,
  closedBy: () => Error | undefined,
): AsyncGenerator<In, void, undefined> {
  try {
    for await (const message of call) yield message as In
  } catch (err) {
    throw closedBy() ?? errorFromGrpc(err)
  }
}
