// A program in a container, joined to the frames of a stream. When the other end goes away, the program ends.
import { SwarmError } from '../../proto/errors.ts'
import type { ExecOpen, StreamFrame } from '../../proto/gen/tsswarm/v1/streams.ts'
import type { Clock, Timer } from '../../proto/lib/clock.ts'
import type { AttachedProgram, ContainerStreams } from './container-streams.ts'
import type { StreamIo } from './stream-io.ts'

const cannotRun = 126

export async function serveExec(
  containers: Pick<ContainerStreams, 'exec'>,
  { id, exec }: { readonly id: string; readonly exec: ExecOpen },
  io: StreamIo,
): Promise<void> {
  const program = await containers.exec(id, exec).catch((err: unknown) => notRun(err, io))
  if (program === undefined) return
  // On a terminal an end would be a key that is typed.
  if (!exec.interactive && !exec.tty) program.input.end()
  await joinProgram(program, { tty: exec.tty, hasInput: exec.interactive }, io)
}

/** As Docker's: a user or folder that is not there is a command that cannot be run. */
async function notRun(err: unknown, io: StreamIo): Promise<undefined> {
  if (!(err instanceof SwarmError) || err.code !== 'INVALID_ARGUMENT') throw err
  const { code, message } = err
  await io.send({ $case: 'ended', value: { exitCode: cannotRun, err: message, code } })
}

/** A connection to a port of the container. */
export async function serveForward(
  containers: Pick<ContainerStreams, 'forward'>,
  { id, port }: { readonly id: string; readonly port: number },
  io: StreamIo,
): Promise<void> {
  if (port < 1 || port > 65_535) {
    throw new SwarmError('INVALID_ARGUMENT', `there is no port ${port}: ports are from 1 to 65535`)
  }
  await joinProgram(await containers.forward(id, port), { tty: false, hasInput: true }, io)
}

/** Until it has ended, or the other end is gone: then it is hung up. */
export async function joinProgram(
  program: AttachedProgram,
  facts: { readonly tty: boolean; readonly hasInput: boolean },
  io: StreamIo,
): Promise<void> {
  const hangUp = (): void => {
    program.hangUp().catch(() => {})
  }
  io.signal.addEventListener('abort', hangUp, { once: true })
  if (io.signal.aborted) hangUp()
  const names = { taskId: '', taskName: '', nodeHostname: '', pathKind: '' }
  try {
    await io.send({ $case: 'opened', value: { ...names, ...facts } })
    takeFrames(program, io).catch(hangUp)
    const [{ exitCode, err }] = await Promise.all([
      program.ended,
      forward(untilQuiet(program.output, program.ended, io.clock), (value) =>
        io.send({ $case: 'data', value }),
      ).then(() => io.send({ $case: 'dataEnd', value: true })),
      forward(untilQuiet(program.errors ?? nothing(), program.ended, io.clock), (value) =>
        io.send({ $case: 'errorData', value }),
      ),
    ])
    await io.send({ $case: 'ended', value: { exitCode, err, code: '' } })
  } finally {
    io.signal.removeEventListener('abort', hangUp)
    await program.hangUp()
  }
}

/** How long after the end of a program what it left behind may hold its outputs open and say nothing. Source: Docker waits as long. */
const quietMs = 2_000

/** What comes until the end, or until the program has ended and nothing has come for a while; however slowly it is taken. */
async function* untilQuiet(
  chunks: AsyncIterable<Buffer>,
  ended: Promise<unknown>,
  clock: Clock,
): AsyncGenerator<Buffer, void, undefined> {
  const reader = chunks[Symbol.asyncIterator]()
  let hasEnded = false
  let startWaiting = (): void => {}
  const note = (): void => {
    hasEnded = true
    startWaiting()
  }
  ended.then(note, note)
  while (true) {
    const next = reader.next()
    let timer: Timer | undefined
    const quiet = new Promise<undefined>((resolve) => {
      startWaiting = () => {
        timer = clock.setTimer(quietMs, () => resolve(undefined))
      }
      if (hasEnded) startWaiting()
    })
    const found = await Promise.race([next, quiet])
    timer?.cancel()
    startWaiting = () => {}
    if (found === undefined) {
      next.catch(() => {})
      // What still comes is nobody's; it may not end at once.
      reader.return?.()?.catch(() => {})
      return
    }
    if (found.done === true) return
    yield found.value
  }
}

async function* nothing(): AsyncGenerator<Buffer, void, undefined> {}

export type Controls = Pick<AttachedProgram, 'input' | 'resize' | 'signal'>

/** Sends no faster than it is taken. */
export async function forward(
  chunks: AsyncIterable<Buffer> | readonly Buffer[],
  send: (chunk: Buffer) => Promise<void>,
): Promise<void> {
  for await (const chunk of chunks) await send(chunk)
}

/** Until the other end says no more. */
export async function takeFrames(program: Controls, io: StreamIo): Promise<void> {
  for await (const { kind } of io.frames) await takeFrame(program, kind, io.signal)
}

async function takeFrame(
  program: Controls,
  kind: StreamFrame['kind'],
  signal: AbortSignal,
): Promise<void> {
  switch (kind?.$case) {
    case 'data':
      return await write(program.input, kind.value, signal)
    case 'dataEnd':
      program.input.end()
      return
    case 'resize':
      return await program.resize(kind.value)
    case 'signal':
      program.signal(kind.value)
      return
    default:
  }
}

/** Resolves when there is room for more; what nobody reads any more is dropped. */
export async function write(
  input: NodeJS.WritableStream,
  chunk: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  if (!input.writable || input.write(chunk)) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      for (const event of ['drain', 'close', 'error']) input.off(event, done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    for (const event of ['drain', 'close', 'error']) input.on(event, done)
    signal.addEventListener('abort', done, { once: true })
  })
}
