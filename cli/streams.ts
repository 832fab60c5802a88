// Streams into containers as commands use them: what goes up waits until it is taken, what comes down is written no faster
// than it is read.
import { type ErrorCode, isErrorCode, SwarmError } from '../proto/errors.ts'
import { ControlService } from '../proto/gen/tsswarm/v1/control.ts'
import type {
  StreamEnded,
  StreamFrame,
  StreamOpen,
  StreamOpened,
} from '../proto/gen/tsswarm/v1/streams.ts'
import { newId } from '../proto/lib/ids.ts'
import type { Client } from './client.ts'
import { clientUser } from './client-user.ts'
import type { CommandContext, Output } from './context.ts'

type FrameKind = NonNullable<StreamFrame['kind']>

/** Frames on their way up. */
export class Outgoing implements AsyncIterable<StreamFrame> {
  #frames: { readonly frame: StreamFrame; readonly taken: () => void }[] = []
  #isClosed = false
  #wake: () => void = () => {}

  /** Resolves when it was taken; data may not be sent faster than that. */
  send(kind: FrameKind): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    return new Promise((taken) => {
      this.#frames.push({ frame: { kind }, taken })
      this.#wake()
    })
  }

  close(): void {
    this.#isClosed = true
    for (const { taken } of this.#frames.splice(0)) taken()
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<StreamFrame, void, undefined> {
    while (!this.#isClosed) {
      const next = this.#frames.shift()
      if (next !== undefined) {
        yield next.frame
        // Asked for the next one, so this one is on its way.
        next.taken()
        continue
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

export interface ContainerStream {
  readonly opened: StreamOpened
  readonly outgoing: Outgoing
  /** Up to the end, which is not among them. Errors: those of the daemon, the node and the manager. */
  readonly incoming: AsyncIterable<FrameKind>
  /** How it ended; only after `incoming` was read. */
  ended(): StreamEnded
}

/** Opens one. Errors: NOT_FOUND, FAILED_PRECONDITION …, as the manager and the node word them. */
export async function openStream(
  ctx: Pick<CommandContext, 'random' | 'env'>,
  client: Client,
  wish: {
    readonly reference: string
    readonly what: StreamOpen['what']
    /** What is noted under the same id is noted once; default: a new one. */
    readonly requestId?: string
  },
  signal: AbortSignal,
): Promise<ContainerStream> {
  const outgoing = new Outgoing()
  const requestId = newId(ctx.random)
  const open = { requestId, user: clientUser(ctx.env), taskId: '', nodeId: '', ...wish }
  void outgoing.send({ $case: 'open', value: open })
  const frames = client.stream(ControlService.openStream, outgoing, signal)
  const reader = frames[Symbol.asyncIterator]()
  let ended: StreamEnded | undefined
  const next = async (): Promise<FrameKind | undefined> => {
    const { value, done } = await reader.next()
    if (done === true || value.kind === undefined) return undefined
    if (value.kind.$case !== 'ended') return value.kind
    ended = value.kind.value
    if (ended.err !== '' && ended.exitCode === 0) throw failure(ended)
    return undefined
  }
  const first = await next()
  const opened = first?.$case === 'opened' ? first.value : emptyOpened
  return {
    opened,
    outgoing,
    incoming: (async function* () {
      try {
        if (first !== undefined && first.$case !== 'opened') yield first
        for (let kind = await next(); kind !== undefined; kind = await next()) yield kind
      } finally {
        outgoing.close()
      }
    })(),
    ended: () => ended ?? brokenOff(),
  }
}

/** Writes it, and waits while the reader is slow. */
export async function writeAll(output: Output, chunk: Uint8Array): Promise<void> {
  output.write(chunk)
  await output.drained?.()
}

const emptyOpened: StreamOpened = {
  taskId: '',
  taskName: '',
  nodeHostname: '',
  tty: false,
  hasInput: false,
  pathKind: '',
}

function failure({ code, err }: StreamEnded): SwarmError {
  const known: ErrorCode = isErrorCode(code) ? code : 'UNAVAILABLE'
  return new SwarmError(known, err)
}

function brokenOff(): never {
  throw new SwarmError('UNAVAILABLE', 'the stream ended before what it is for')
}
