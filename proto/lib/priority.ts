// A process that goes before others for the processor, and what it starts on behalf of others, which does not. Linux keeps a
// niceness for each thread; a new thread, and a new process, has that of the thread that made it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { getPriority, setPriority } from 'node:os'

export type Raised =
  | { readonly kind: 'raised' }
  /** Somebody chose another than the usual one. */
  | { readonly kind: 'chosen'; readonly nice: number }
  | { readonly kind: 'refused'; readonly err: unknown }

/** What nobody chose. */
const usual = 0

/**
 * Gives all threads of this process this niceness (below 0: before others), unless it has another than the usual one. What it
 * starts from then on has it too, but by atUsualPriority.
 */
export function raisePriority(nice: number): Raised {
  const now = getPriority()
  if (now !== usual) return { kind: 'chosen', nice: now }
  try {
    setPriority(nice)
  } catch (err) {
    return { kind: 'refused', err }
  }
  for (const thread of readdirSync('/proc/self/task'))
    quietly(() => setPriority(Number(thread), nice))
  raiseSession(nice)
  return { kind: 'raised' }
}

/**
 * Calls what starts a program, which then has no better priority than is usual. `spawn` returns when the fork is done, so that neither
 * the program nor what it starts in turn ever had a better one.
 */
export function atUsualPriority<T>(start: () => T): T {
  const own = getPriority()
  if (own >= usual) return start()
  setPriority(usual)
  try {
    return start()
  } finally {
    // Refused to a process that was started with it and may not give it to itself.
    quietly(() => setPriority(own))
  }
}

/**
 * Where the kernel shares the processor out among sessions first (CONFIG_SCHED_AUTOGROUP), a niceness counts within one only. A
 * session that others may be in, as that of a terminal, is left as it is.
 */
function raiseSession(nice: number): void {
  quietly(() => {
    const stat = readFileSync('/proc/self/stat', 'utf8')
    const [, , , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (Number(session) === process.pid) writeFileSync('/proc/self/autogroup', String(nice))
  })
}

/** For what may fail, as a thread that has ended or a file that this kernel has not. */
function quietly(work: () => void): void {
  try {
    work()
  } catch {}
}
