// Processes of this host, told apart from later ones with the same number by their start time.
import { readFileSync } from 'node:fs'

/** One process of one start of the kernel. */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks from the start of the kernel. */
  readonly startTicks: number
}

/** Undefined when there is none, or only its remains (a zombie). Reads /proc: 20 µs. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  try {
    return parseStat(pid, readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return undefined
  }
}

/** `pid (name) state …`, where the name may hold anything; the start time is field 22. */
export function parseStat(pid: number, text: string): ProcessIdentity | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const startTicks = Number(fields[19])
  if (fields[0] === 'Z' || fields[0] === 'X' || !Number.isFinite(startTicks)) return undefined
  return { pid, startTicks }
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identifyProcess(identity.pid)?.startTicks === identity.startTicks
}

/** Sends a signal unless the process has ended; tells whether it was sent. */
export function signalProcess(identity: ProcessIdentity, signal: number): boolean {
  if (!isAlive(identity)) return false
  try {
    process.kill(identity.pid, signal)
    return true
  } catch {
    return false
  }
}

/** Whether a process with this number exists, cheaply: 1 µs, but the number may have changed hands. */
export function pidExists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
