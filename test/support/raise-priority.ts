// A process whose owner lets it go before others for the processor, as a unit with `Nice=` does.
import { readdirSync } from 'node:fs'
import { setPriority } from 'node:os'

/** Gives all threads of this process the niceness. False: this host lets nobody go before others. */
export function raisePriority(nice: number): boolean {
  try {
    setPriority(0)
    for (const thread of readdirSync('/proc/self/task')) setPriority(Number(thread), nice)
    return true
  } catch {
    return false
  }
}
