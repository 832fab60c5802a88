// A program in a container at the user's terminal: keys and sizes go up, what it writes comes down.
import { SwarmError } from '../proto/errors.ts'
import { childController } from '../proto/lib/lifecycle.ts'
import type { CommandContext } from './context.ts'
import type { Typed } from './detach-keys.ts'
import { type ContainerStream, writeAll } from './streams.ts'

export interface SessionWish {
  readonly tty: boolean
  readonly interactive: boolean
  /** Signals of this program are sent to the other. */
  readonly passesSignals: boolean
  /** Sees what is typed, and says what is sent of it and whether to leave. */
  readonly keys?: (chunk: Uint8Array) => Typed
}

/** More of them mean that the program does not listen. */
const interruptsMax = 3
/** How long the other side may take to let go. */
const leaveMs = 3_000

/** Errors: USAGE-like refusals are the caller's; this is INVALID_ARGUMENT when there is no terminal to speak of. */
export function checkTerminal(
  ctx: CommandContext,
  wish: Pick<SessionWish, 'tty' | 'interactive'>,
  remedy: string,
): void {
  if (!wish.tty || !wish.interactive || ctx.stdin.isTerminal) return
  throw new SwarmError('INVALID_ARGUMENT', `the input device is not a TTY: ${remedy}`)
}

/** Aborted when the user wants to be gone, whatever the program does. */
export function sessionSignal(ctx: CommandContext): {
  readonly controller: AbortController
  readonly release: () => void
} {
  return childController(ctx.signal)
}

/**
 * Until the program has ended; its exit code. The terminal is as before then.
 * Errors: those of the stream; CANCELLED when the user left.
 */
export async function runSession(
  ctx: CommandContext,
  stream: ContainerStream,
  wish: SessionWish,
  leave: (reason?: unknown) => void,
): Promise<number> {
  const { terminal } = ctx
  const { outgoing } = stream
  const isRaw = wish.tty && wish.interactive && ctx.stdin.isTerminal
  const ends: (() => void)[] = []
  if (isRaw) terminal?.setRaw(true)
  if (wish.tty && terminal !== undefined) {
    ends.push(
      terminal.onResize(() => {
        const size = terminal.size()
        if (size !== undefined) void outgoing.send({ $case: 'resize', value: size })
      }),
    )
  }
  if (wish.passesSignals && terminal !== undefined) ends.push(passSignals(terminal, stream, leave))
  try {
    if (wish.interactive) sendInput(ctx, stream, wish, leave).catch(leave)
    for await (const kind of stream.incoming) {
      if (kind.$case === 'data') await writeAll(ctx.stdout, kind.value)
      else if (kind.$case === 'errorData') await writeAll(ctx.stderr, kind.value)
    }
  } finally {
    for (const end of ends) end()
    if (isRaw) terminal?.setRaw(false)
    // A read that is under way would keep this program alive.
    if (wish.interactive) ctx.stdin.close?.()
  }
  const { exitCode, err } = stream.ended()
  if (err !== '') ctx.stderr.write(`Error: ${err}\n`)
  return exitCode
}

async function sendInput(
  ctx: CommandContext,
  { outgoing }: ContainerStream,
  { keys }: SessionWish,
  leave: () => void,
): Promise<void> {
  // Not `for await`, which would close a terminal that is still to be set as it was before.
  const input = ctx.stdin[Symbol.asyncIterator]()
  for (let next = await input.next(); next.done !== true; next = await input.next()) {
    const chunk = next.value
    const { passed: value, leaves } = keys?.(chunk) ?? { passed: chunk, leaves: false }
    if (value.length > 0) await outgoing.send({ $case: 'data', value })
    if (!leaves) continue
    ctx.clock.setTimer(leaveMs, leave)
    return await outgoing.send({ $case: 'detach', value: true })
  }
  await outgoing.send({ $case: 'dataEnd', value: true })
}

function passSignals(
  terminal: NonNullable<CommandContext['terminal']>,
  { outgoing }: ContainerStream,
  leave: () => void,
): () => void {
  let interrupts = 0
  return terminal.onSignal((name) => {
    interrupts += name === 'SIGINT' ? 1 : 0
    if (interrupts > interruptsMax) leave()
    else void outgoing.send({ $case: 'signal', value: name })
  })
}
