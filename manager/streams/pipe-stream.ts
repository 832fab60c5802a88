// Joins a client's call with a stream into a container: frames are passed on as they come, and no faster than they are taken.
import { isToldByPeer } from '../../proto/codec/grpc-error.ts'
import { SwarmError } from '../../proto/errors.ts'
import type { StreamFrame } from '../../proto/gen/tsswarm/v1/streams.ts'
import type { NodeStream } from './stream-hub.ts'

export interface ClientEnd {
  readonly frames: AsyncIterator<StreamFrame>
  readonly send: (frame: StreamFrame) => Promise<void>
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal
}

/** Until the node says how it ended, or either side is lost; then both are let go. Errors: UNAVAILABLE (node lost), CANCELLED. */
export async function pipeStream(
  { frames, send, signal }: ClientEnd,
  node: NodeStream,
  passedOn: (frame: StreamFrame) => StreamFrame = (frame) => frame,
): Promise<void> {
  const gone = new SwarmError('CANCELLED', 'the client has gone')
  let closedBy: SwarmError | undefined = gone
  // Signals may live longer than this.
  const undo: (() => void)[] = []
  try {
    const lost = aborted(node.lost, lostNode(), undo)
    const left = aborted(signal, gone, undo)
    const up = pump(frames, (frame) => node.send(frame))
    // A client that ends its side waits for the rest; one that breaks is gone.
    const broken = up.then(
      () => new Promise<never>(() => {}),
      () => Promise.reject(gone),
    )
    broken.catch(() => {})
    await Promise.race([down(node, send, passedOn), broken, lost, left])
    closedBy = undefined
  } finally {
    for (const one of undo) one()
    node.close(closedBy)
  }
}

async function pump(
  frames: AsyncIterator<StreamFrame>,
  send: (frame: StreamFrame) => Promise<void>,
): Promise<void> {
  for (let next = await frames.next(); next.done !== true; next = await frames.next()) {
    await send(next.value)
  }
}

async function down(
  node: NodeStream,
  send: (frame: StreamFrame) => Promise<void>,
  passedOn: (frame: StreamFrame) => StreamFrame,
): Promise<void> {
  try {
    for await (const frame of node.incoming) {
      await send(passedOn(frame))
      if (frame.kind?.$case === 'ended') return
    }
  } catch (cause) {
    if (cause instanceof SwarmError && cause.code !== 'CANCELLED' && isToldByPeer(cause))
      throw cause
    throw lostNode(cause)
  }
  throw lostNode()
}

function lostNode(cause?: unknown): SwarmError {
  return new SwarmError('UNAVAILABLE', 'the connection to the node of the task was lost', { cause })
}

function aborted(signal: AbortSignal, reason: SwarmError, undo: (() => void)[]): Promise<never> {
  const promise = new Promise<never>((_, reject) => {
    const onAbort = (): void => reject(reason)
    if (signal.aborted) reject(reason)
    signal.addEventListener('abort', onAbort, { once: true })
    undo.push(() => signal.removeEventListener('abort', onAbort))
  })
  promise.catch(() => {})
  return promise
}
