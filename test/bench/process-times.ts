// CPU time of processes, read from /proc.
import { readdirSync, readFileSync } from 'node:fs'

export interface ProcessTimes {
  readonly name: string
  readonly parent: number
  readonly ownMs: number
  /** Of children that ended and were waited for, with theirs. */
  readonly waitedMs: number
}

/** Of Linux's clock ticks in /proc. Source: sysconf(_SC_CLK_TCK), 100 on every architecture that Node runs on. */
const msPerTick = 10

/** Source: proc(5), /proc/PID/stat. Undefined: it has ended. */
export function timesOf(pid: number): ProcessTimes | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // From the third field on: the second may hold anything.
    const fields = text
      .slice(text.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number)
    const [, parent = 0] = fields
    const [user = 0, system = 0, waitedUser = 0, waitedSystem = 0] = fields.slice(11, 15)
    const ms = (ticks: number): number => ticks * msPerTick
    const name = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'))
    return { name, parent, ownMs: ms(user + system), waitedMs: ms(waitedUser + waitedSystem) }
  } catch {
    return undefined
  }
}

/** Numbers of the process's children that live. */
export function childrenOf(pid: number): readonly number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((each) => timesOf(each)?.parent === pid)
}
