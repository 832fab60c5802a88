// A client at the standard streams of a container, joined to the frames of a stream. When the client goes away, the container
// goes on.
import { SwarmError } from '../../proto/errors.ts'
import type { AttachOpen, StreamFrame } from '../../proto/gen/tsswarm/v1/streams.ts'
import type { AttachedContainer, ContainerStreams } from './container-streams.ts'
import { takeFrames } from './serve-exec.ts'
import type { StreamIo } from './stream-io.ts'

/** Errors: FAILED_PRECONDITION (it does not run; input for one that takes none), RESOURCE_EXHAUSTED (too slow). */
export async function serveAttach(
  containers: Pick<ContainerStreams, 'attach'>,
  { id, attach }: { readonly id: string; readonly attach: AttachOpen },
  io: StreamIo,
): Promise<void> {
  const container = await containers.attach(id, attach)
  const hangUp = (): void => {
    container.hangUp().catch(() => {})
  }
  io.signal.addEventListener('abort', hangUp, { once: true })
  if (io.signal.aborted) hangUp()
  try {
    const { tty, hasInput } = container
    const names = { taskId: '', taskName: '', nodeHostname: '', pathKind: '' }
    await io.send({ $case: 'opened', value: { ...names, tty, hasInput } })
    let isLeaving = false
    const frames = clientFrames(io.frames, hasInput, () => {
      isLeaving = true
    })
    // One that says no more listens on.
    const left = takeFrames(container, { ...io, frames }).then(() =>
      isLeaving ? undefined : new Promise<never>(() => {}),
    )
    const output = sendOutput(container, io)
    await Promise.race([output, left])
    if (!isLeaving) return
    output.catch(() => {})
    await container.leave()
    await io.send({ $case: 'ended', value: { exitCode: 0, err: '', code: '' } })
  } finally {
    io.signal.removeEventListener('abort', hangUp)
    await container.hangUp()
  }
}

async function sendOutput(container: AttachedContainer, io: StreamIo): Promise<void> {
  for await (const { stream, data } of container.output) {
    await io.send({ $case: stream === 'stdout' ? 'data' : 'errorData', value: data })
  }
  // Fails when it was hung up meanwhile.
  const { exitCode, err } = await container.ended
  await io.send({ $case: 'dataEnd', value: true })
  await io.send({ $case: 'ended', value: { exitCode, err, code: '' } })
}

/** Up to the client's leave. Errors: FAILED_PRECONDITION for input that is not taken. */
async function* clientFrames(
  frames: AsyncIterable<StreamFrame>,
  takesInput: boolean,
  onLeave: () => void,
): AsyncGenerator<StreamFrame, void, undefined> {
  for await (const frame of frames) {
    if (frame.kind?.$case === 'detach') return onLeave()
    if (!takesInput && frame.kind?.$case === 'data' && frame.kind.value.length > 0) {
      const text =
        'the standard input of the container is not open, so nothing can be sent to it: ' +
        'run the service with --interactive, or attach with --no-stdin'
      throw new SwarmError('FAILED_PRECONDITION', text)
    }
    yield frame
  }
}
