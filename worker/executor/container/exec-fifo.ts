// What a container that crun has made waits at before it becomes its command: a FIFO among crun's notes, which `crun start`
// writes a byte to and takes away, and does nothing else. Done here, a start takes no process.
import { closeSync, constants, fstatSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { reachFaultPoint } from '../../fault-points.ts'

/**
 * `opened`: it goes on. `passed`: nobody waits there, it has gone on before or has ended. `unknown`: this is not how its runtime
 * does it, and nothing was changed.
 */
export type Gate = 'opened' | 'passed' | 'unknown'

/** `runtimeDir`: crun's notes of the container. Source: libcrun_status_write_exec_fifo, in crun since 0.1. */
export function openGate(runtimeDir: string): Gate {
  const path = `${runtimeDir}/exec.fifo`
  let descriptor: number
  try {
    // Without waiting for a reader: it has been there since the container was made.
    descriptor = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  } catch (err) {
    if (!(err instanceof Error && 'code' in err && err.code === 'ENXIO')) return 'unknown'
    // As long as it is there the runtime takes the container for one that waits.
    unlinkSync(path)
    return 'passed'
  }
  try {
    if (!fstatSync(descriptor).isFIFO()) return 'unknown'
    writeSync(descriptor, '\0')
    // In this order, unlike crun: of a daemon that is killed in between, the next one finds that nobody waits.
    reachFaultPoint('runtime.start.asked')
    unlinkSync(path)
    return 'opened'
  } finally {
    closeSync(descriptor)
  }
}
