// A process told from a later one of the same number.
import { readFileSync } from 'node:fs'

/** Number and start of the process in ticks since boot; `PID gone` when there is none or it has ended. */
export function processMark(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? `${pid} gone` : `${pid} since ${fields[19]}`
  } catch {
    return `${pid} gone`
  }
}
