// Places between two steps of a container's life where a test ends the daemon as `kill -9` would, to see what the next
// one makes of what is left. A daemon that is not told of a file of faults never looks at anything here.
import { readFileSync } from 'node:fs'

/** Each is reached right after what it names. `asked`: a program was asked for, and runs or not yet. */
export const faultPoints = {
  start: [
    ...['status.accepted', 'status.preparing', 'create.image', 'create.disk-folder'],
    ...['create.bundle-folder', 'record.creating', 'create.volume', 'create.bundle'],
    ...['runtime.create.asked', 'runtime.create', 'attach.reserved', 'attach.interface'],
    ...['attach.ports', 'create.attached', 'record.created', 'record.created.disk'],
    ...['status.ready', 'status.starting', 'runtime.start.asked', 'runtime.start'],
    ...['record.started', 'status.running'],
  ],
  stop: [
    ...['stop.signalled', 'stop.ended', 'record.exited', 'record.exited.disk'],
    ...['release.record', 'release.exit-file', 'release.network', 'runtime.delete.asked'],
    ...['release.runtime', 'release.files', 'release.cgroups', 'release.volumes'],
    ...['status.shutdown'],
  ],
  remove: [
    ...['destroy.runtime', 'destroy.network', 'destroy.folders', 'destroy.exit-file'],
    ...['destroy.cgroups', 'destroy.volumes', 'destroy.anonymous-volume', 'task.removed'],
  ],
} as const

/** Where in its life a container is then. */
export type FaultPhase = keyof typeof faultPoints

/** Names the file; meant for tests only. Its text is the name of a point, and a number of ms to go on from there. */
export const faultVariable = 'TSSWARM_FAULT_FILE'

const file = process.env[faultVariable] ?? ''

/**
 * Ends this process with SIGKILL when the file of faults names the point; does nothing without one. A point that nobody
 * lists is never reached: names that are put together from parts need not all be in the list.
 */
export function reachFaultPoint(point: string): void {
  if (file !== '') endAt(point)
}

function endAt(point: string): void {
  const [wanted = '', delayMs = '0'] = faultText().split(' ')
  if (wanted !== point) return
  if (delayMs === '0') endNow()
  else setTimeout(endNow, Number(delayMs))
}

function faultText(): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    // None is wanted now.
    return ''
  }
}

function endNow(): void {
  process.kill(process.pid, 'SIGKILL')
}
