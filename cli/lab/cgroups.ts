// The cgroups of a lab: kills what is in them and removes them, on hierarchies of version 1 and 2 alike.
import { readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'

/** Kills all processes below the cgroup `name` and removes what is empty; returns how much was still there. */
export function removeCgroups(name: string): number {
  let left = 0
  for (const top of roots()) left += removeBelow(join(top, name))
  return left
}

/** Mount points of all cgroup hierarchies. */
function roots(): readonly string[] {
  return readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , kind]) => kind === 'cgroup' || kind === 'cgroup2')
    .map(([, point = '']) => point)
}

function removeBelow(directory: string): number {
  let left = 0
  for (const name of childrenOf(directory)) left += removeBelow(join(directory, name))
  for (const pid of processesOf(directory)) {
    left += 1
    try {
      process.kill(pid, 'SIGKILL')
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err
    }
  }
  try {
    rmdirSync(directory)
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'EBUSY') left += 1
    else if ((err as NodeJS.ErrnoException).code !== 'ENOENT') throw err
  }
  return left
}

function childrenOf(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
  } catch {
    return []
  }
}

function processesOf(directory: string): readonly number[] {
  try {
    return readFileSync(join(directory, 'cgroup.procs'), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map(Number)
  } catch {
    return []
  }
}
