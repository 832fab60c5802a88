// gRPC over transport-free handlers: finds out the caller, asks the policy, turns errors into statuses.
import type {
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  MethodDefinition,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js'
import { errorToGrpc } from '../../proto/codec/grpc-error.ts'
import { SwarmError } from '../../proto/errors.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { Caller } from './caller.ts'
import { type MethodPolicy, methodPolicies } from './policy.ts'

/** A call as the caller finder sees it. */
export type AnyCall =
  | ServerUnaryCall<unknown, unknown>
  | ServerWritableStream<unknown, unknown>
  | ServerDuplexStream<unknown, unknown>

export type UnaryHandler = (caller: Caller, request: never, signal: AbortSignal) => Promise<unknown>
export type StreamHandler = (
  caller: Caller,
  request: never,
  signal: AbortSignal,
) => AsyncIterable<unknown>
/** `send` resolves when more may be sent; the stream ends when the handler returns. */
export type DuplexHandler = (
  caller: Caller,
  incoming: never,
  send: (message: unknown) => Promise<void>,
  signal: AbortSignal,
) => Promise<void>

export type HandlerTable = Readonly<Record<string, UnaryHandler | StreamHandler | DuplexHandler>>

export interface AdapterDeps {
  /** Finds the caller or throws. */
  readonly callerOf: (call: AnyCall, policy: MethodPolicy) => Caller
  /** Runs a unary method that belongs on the leader. Absent: everything runs here. */
  readonly onLeader?: (
    method: MethodDefinition<unknown, unknown>,
    call: { readonly caller: Caller; readonly request: unknown; readonly signal: AbortSignal },
    here: () => Promise<unknown>,
  ) => Promise<unknown>
  /** The same for a method that answers with a stream; what `here` gives is read on the leader only. */
  readonly onLeaderStream?: (
    method: MethodDefinition<unknown, unknown>,
    call: { readonly caller: Caller; readonly request: unknown; readonly signal: AbortSignal },
    here: () => AsyncIterable<unknown>,
  ) => AsyncIterable<unknown>
  /** Registers a long call of a node, so that it can be cut; returns how to unregister. */
  readonly track?: (caller: Caller, call: AnyCall, cut: (reason: SwarmError) => void) => () => void
  readonly policies?: Readonly<Record<string, MethodPolicy>>
}

/** An implementation of the service; every method of the definition must have a handler. */
export function serviceImplementation(
  definition: ServiceDefinition,
  handlers: HandlerTable,
  deps: AdapterDeps,
): UntypedServiceImplementation {
  const implementation: UntypedServiceImplementation = {}
  for (const [name, method] of Object.entries(definition)) {
    const handler = handlers[name]
    const policy = (deps.policies ?? methodPolicies)[method.path]
    if (handler === undefined || policy === undefined) {
      throw new SwarmError('INTERNAL', `method ${method.path} has no handler or no policy`)
    }
    const bound = { method, policy, deps }
    if (method.requestStream) implementation[name] = duplex(bound, handler as DuplexHandler)
    else if (method.responseStream) implementation[name] = stream(bound, handler as StreamHandler)
    else implementation[name] = unary(bound, handler as UnaryHandler)
  }
  return implementation
}

interface Bound {
  readonly method: MethodDefinition<unknown, unknown>
  readonly policy: MethodPolicy
  readonly deps: AdapterDeps
}

function unary({ method, policy, deps }: Bound, handler: UnaryHandler) {
  const handle: handleUnaryCall<unknown, unknown> = (call, respond) => {
    const { controller } = childController()
    call.on('cancelled', () => controller.abort())
    const run = async (): Promise<unknown> => {
      const caller = deps.callerOf(call, policy)
      const here = (): Promise<unknown> => handler(caller, call.request as never, controller.signal)
      if (!policy.onLeader || deps.onLeader === undefined) return await here()
      const { signal } = controller
      return await deps.onLeader(method, { caller, request: call.request, signal }, here)
    }
    run().then(
      (response) => respond(null, response),
      (err: unknown) => respond(errorToGrpc(err)),
    )
  }
  return handle
}

function stream({ method, policy, deps }: Bound, handler: StreamHandler) {
  const handle: handleServerStreamingCall<unknown, unknown> = (call) => {
    void runLong(call, { policy, deps }, async (caller, signal) => {
      const here = (): AsyncIterable<unknown> => handler(caller, call.request as never, signal)
      const { request } = call
      const messages =
        policy.onLeader && deps.onLeaderStream !== undefined
          ? deps.onLeaderStream(method, { caller, request, signal }, here)
          : here()
      for await (const message of messages) {
        await write(call, message, signal)
        if (signal.aborted) return
      }
    })
  }
  return handle
}

function duplex({ policy, deps }: Bound, handler: DuplexHandler) {
  const handle: handleBidiStreamingCall<unknown, unknown> = (call) => {
    void runLong(call, { policy, deps }, (caller, signal) =>
      handler(
        caller,
        // A plain iteration would destroy the call at the end of what comes in, before the answer is out.
        call.iterator({ destroyOnReturn: false }) as never,
        (message) => write(call, message, signal),
        signal,
      ),
    )
  }
  return handle
}

async function runLong(
  call: ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>,
  { policy, deps }: Pick<Bound, 'policy' | 'deps'>,
  body: (caller: Caller, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { controller } = childController()
  let cutBy: SwarmError | undefined
  let untrack = (): void => {}
  call.on('cancelled', () => controller.abort())
  call.on('error', () => controller.abort())
  // Several writers may wait for room at once, each for a moment.
  call.setMaxListeners(0)
  try {
    const caller = deps.callerOf(call, policy)
    const cut = (reason: SwarmError): void => {
      cutBy = reason
      controller.abort(reason)
    }
    untrack = deps.track?.(caller, call, cut) ?? untrack
    await body(caller, controller.signal)
    if (cutBy !== undefined) throw cutBy
    call.end()
  } catch (err) {
    call.emit('error', errorToGrpc(cutBy ?? err))
  } finally {
    untrack()
    controller.abort()
  }
}

/** Writes one message; waits for the other side when it is slow. */
function write(
  call: ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>,
  message: unknown,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted || call.write(message)) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      call.off('drain', done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    call.once('drain', done)
    signal.addEventListener('abort', done, { once: true })
  })
}

/** First value of a metadata key as text. */
export function metadataText(metadata: Metadata, key: string): string | undefined {
  const value = metadata.get(key)[0]
  return typeof value === 'string' ? value : undefined
}
