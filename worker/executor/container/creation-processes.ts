// Ends the processes of a creation that hangs, failed or was cut off: conmon, what it runs, and what is in the
// container's control group. Not for containers that were made: those end through their runtime.
import { readdir, readFile } from 'node:fs/promises'
import { type Clock, wait } from '../../../proto/lib/clock.ts'
import { Semaphore } from '../../../proto/lib/semaphore.ts'
import { type CgroupVersion, processesInCgroup } from './cgroups.ts'
import type { ContainerPaths } from './paths.ts'
import { identifyProcess, type ProcessIdentity, signalProcess } from './processes.ts'

/** Variable that everything below a creation's conmon inherits: where the container's root is mounted. */
export const rootfsVariable = 'TSSWARM_ROOTFS'

export type CreationPlace = Pick<ContainerPaths, 'bundleDir' | 'rootfsDir' | 'cgroupPath'>

const sigkill = 9
const killWaitMs = 5_000
/** Of all processes of the host at a time, so that this takes few of the daemon's open files. */
const readMax = 16

/**
 * Kills them until none is found, because control groups cannot be removed before. False when some are still there
 * after five seconds: they hang in the kernel. Reads all of /proc.
 */
export async function endCreation(
  place: CreationPlace,
  version: CgroupVersion,
  clock: Clock,
): Promise<boolean> {
  const deadlineMs = clock.monotonicMs() + killWaitMs
  while (clock.monotonicMs() < deadlineMs) {
    const found = await creationProcesses(place, version)
    if (found.length === 0) return true
    for (const one of found) signalProcess(one, sigkill)
    await wait(clock, 20)
  }
  return false
}

async function creationProcesses(
  { bundleDir, rootfsDir, cgroupPath }: CreationPlace,
  version: CgroupVersion,
): Promise<readonly ProcessIdentity[]> {
  const mark = `${rootfsVariable}=${rootfsDir}`
  const names = (await readdir('/proc')).filter((name) => /^[0-9]+$/.test(name))
  const readers = new Semaphore(readMax)
  const marked = await Promise.all(
    names.map((name) =>
      readers.run(async () => {
        const isOurs =
          // The arguments name conmon and the runtime; the variable also names what these have started.
          (await holds(`/proc/${name}/cmdline`, bundleDir)) ||
          (await holds(`/proc/${name}/environ`, mark))
        return isOurs ? Number(name) : undefined
      }),
    ),
  )
  const pids = new Set([...marked, ...(await processesInCgroup(version, cgroupPath))])
  return [...pids]
    .filter((pid) => pid !== undefined)
    .map(identifyProcess)
    .filter((one) => one !== undefined)
}

/** Whether a file of NUL-separated texts has this one. */
async function holds(path: string, text: string): Promise<boolean> {
  const all = await readFile(path, 'utf8').catch(() => '')
  return all.split('\0').includes(text)
}
