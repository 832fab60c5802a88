// OpenStream of the control API: finds the task, has it noted who works in its container, and joins client and node.
import { SwarmError } from '../../proto/errors.ts'
import type { NoteAccessRequest } from '../../proto/gen/tsswarm/v1/membership.ts'
import type { StreamFrame, StreamOpen } from '../../proto/gen/tsswarm/v1/streams.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { NodeId } from '../../proto/objects/index.ts'
import type { Caller } from '../rpc/caller.ts'
import type { Store } from '../store/store.ts'
import { accessOf, noteRequest } from './access-record.ts'
import type { OpenNodeStream } from './node-streams.ts'
import { pipeStream } from './pipe-stream.ts'
import { findRunningTask, taskName } from './running-task.ts'

export interface OpenStreamDeps {
  readonly store: Store
  readonly cluster: {
    selfNodeId(): NodeId
    readBarrier(signal: AbortSignal): Promise<void>
  }
  readonly openNode: OpenNodeStream
  /** Has the leader write it down. Errors: NO_LEADER, FAILED_PRECONDITION. */
  readonly note: (caller: Caller, request: NoteAccessRequest, signal: AbortSignal) => Promise<void>
  readonly clock: Clock
}

/** A client that connects says at once what it wants. */
const openMs = 5_000

/**
 * Until what runs at the other end has ended, or the client goes. Errors: NOT_FOUND, AMBIGUOUS, FAILED_PRECONDITION
 * (no running task), INVALID_ARGUMENT, NO_LEADER, and those of OpenNodeStream.
 */
export function openStream(deps: OpenStreamDeps) {
  return async (
    caller: Caller,
    incoming: AsyncIterable<StreamFrame>,
    send: (frame: StreamFrame) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> => {
    const frames = incoming[Symbol.asyncIterator]()
    const open = await opening(deps.clock, frames, signal)
    await deps.cluster.readBarrier(signal)
    const task = deps.store.view((tx) => {
      const found = findRunningTask(tx, open.reference)
      const { id, nodeId } = found
      const node = nodeId === undefined ? undefined : tx.get('nodes', nodeId)
      return { id, node, name: taskName(tx, found) }
    })
    const { node } = task
    if (node === undefined) throw new SwarmError('UNAVAILABLE', 'the node of the task was removed')
    const access = accessOf(open)
    if (access !== undefined) await deps.note(caller, noteRequest(open, task.id, access), signal)
    const stream = await deps.openNode(node, { ...open, taskId: task.id }, signal)
    const names = {
      taskId: task.id,
      taskName: task.name,
      nodeHostname: node.description?.hostname ?? node.id,
    }
    await pipeStream({ frames, send, signal }, stream, ({ kind }) =>
      kind?.$case === 'opened'
        ? { kind: { $case: 'opened', value: { ...kind.value, ...names } } }
        : { kind },
    )
  }
}

async function opening(
  clock: Clock,
  frames: AsyncIterator<StreamFrame>,
  signal: AbortSignal,
): Promise<StreamOpen> {
  const { controller, release } = childController(signal)
  const first = await Promise.race([frames.next(), wait(clock, openMs, controller.signal)])
  controller.abort()
  release()
  const kind = first === undefined || first.done === true ? undefined : first.value.kind
  if (kind?.$case !== 'open' || kind.value.what === undefined || kind.value.requestId === '') {
    throw new SwarmError('INVALID_ARGUMENT', 'a stream begins by saying what is to be done')
  }
  if (kind.value.what.$case === 'usage') {
    throw new SwarmError('INVALID_ARGUMENT', 'usage is asked for of tasks, not as a stream')
  }
  return kind.value
}
