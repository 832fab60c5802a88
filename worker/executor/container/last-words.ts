// The last words of a program on a terminal that crun made. crun ends with its last child and does not look whether the terminal
// still holds something: what a program wrote just before its end is lost when crun comes to hear of the end first. So crun gets
// one child more, a shell that waits for a word from here, and takes note of the program's end without ending itself. It reads
// all there is whenever the kernel wakes it, and the kernel does so at the latest when the program's end closes the terminal.
// So once it has taken note and sleeps again, everything is read. Source: wait_for_process of crun's container.c, 1.8 to 1.21.
import { readFileSync } from 'node:fs'
import { type Clock, wait } from '../../../proto/lib/clock.ts'
import type { ProcessIdentity } from './processes.ts'

/**
 * Begins the command line of a shell that then becomes crun: a child that ends with descriptor 3, which neither crun nor the
 * program has.
 */
export const childMore = 'read -r word <&3 >/dev/null 2>&1 & exec 3<&-; '

/** What is seen of a process from outside. */
export interface ProcessLook {
  readonly sleeps: boolean
  /** Calls to read, as the kernel counts them; empty where it does not. */
  readonly reads: string
}

export interface LastWordsOptions {
  /** Undefined: it has ended. */
  readonly program: ProcessIdentity | undefined
  /** Whether its number is still taken by it, be it only by its remains. */
  readonly isThere: (program: ProcessIdentity) => boolean
  /** At the runtime; undefined when it has ended. */
  readonly look: () => ProcessLook | undefined
  /** What was read has not been taken from us yet: the runtime may wait for that. */
  readonly isBehind: () => boolean
  readonly clock: Clock
  /** Aborted: nobody waits for its words any more. */
  readonly signal: AbortSignal
}

const pollMs = 15
const lookMs = 10
/** Where something else has the terminal open, the program's end closes nothing, and its words may take a moment to arrive. */
const stillMs = 25
const deadlineMs = 10_000

/** Resolves when the program has ended and the runtime has read what it wrote, or has had 10 s for that. */
export async function untilRead(options: LastWordsOptions): Promise<void> {
  const { program, clock, signal } = options
  while (!signal.aborted && program !== undefined && options.isThere(program)) {
    await wait(clock, pollMs, signal)
  }
  const untilMs = clock.monotonicMs() + deadlineMs
  let before: ProcessLook | undefined
  let stillSinceMs = clock.monotonicMs()
  while (!signal.aborted && clock.monotonicMs() < untilMs) {
    const now = options.look()
    if (now === undefined) return
    const isStill = now.sleeps && now.reads === before?.reads && !options.isBehind()
    if (!isStill) stillSinceMs = clock.monotonicMs()
    else if (clock.monotonicMs() - stillSinceMs >= stillMs) return
    before = now
    await wait(clock, lookMs, signal)
  }
}

/** Looks at the only child of the process. */
export function lookAtChild(pid: number): ProcessLook | undefined {
  const [child = ''] = textOf(`/proc/${pid}/task/${pid}/children`).trim().split(' ')
  const stat = child === '' ? '' : textOf(`/proc/${child}/stat`)
  if (stat === '') return undefined
  const [, reads = ''] = /^syscr: (\d+)$/m.exec(textOf(`/proc/${child}/io`)) ?? []
  return { sleeps: statFields(stat)[0] === 'S', reads }
}

/** Also when it has ended and its parent has not asked yet. */
export function isThere({ pid, startTicks }: ProcessIdentity): boolean {
  return Number(statFields(textOf(`/proc/${pid}/stat`))[19]) === startTicks
}

/** From the state on: the name before it may hold anything. */
function statFields(stat: string): readonly string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
