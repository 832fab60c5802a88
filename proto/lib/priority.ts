// A process that was started to go before others for the processor, and what it starts on behalf of others, which does not. Linux keeps a
// niceness for each thread; a new thread, and a new process, has that of the thread that made it.
import { getPriority, setPriority } from 'node:os'

/** What nobody chose. */
const usual = 0

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

/** For what may fail. */
function quietly(work: () => void): void {
  try {
    work()
  } catch {}
}
