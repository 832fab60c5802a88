// libfaketime below daemons: where it is, whether a process has it, and what it leaves.
import { existsSync, readFileSync, rmSync } from 'node:fs'

const triplets: Readonly<Record<string, string>> = {
  x64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
}

/** Path of the library on this machine. Throws when it is not installed: LD_PRELOAD would only warn. */
export function faketimeLibrary(): string {
  const folders = ['/usr/lib64', `/usr/lib/${triplets[process.arch] ?? process.arch}`, '/usr/lib']
  const places = folders.map((folder) => `${folder}/faketime/libfaketime.so.1`)
  const found = places.find((place) => existsSync(place))
  if (found !== undefined) return found
  throw new Error(`libfaketime is not installed (looked at ${places.join(', ')}): install faketime`)
}

/** Whether the library is loaded into the process. */
export function hasFaketime(pid: number): boolean {
  return readFileSync(`/proc/${pid}/maps`, 'utf8').includes('libfaketime')
}

/** Removes what the library left of processes that were killed. */
export function removeFaketimeFiles(pids: Iterable<number>): void {
  for (const pid of pids) {
    rmSync(`/dev/shm/faketime_shm_${pid}`, { force: true })
    rmSync(`/dev/shm/sem.faketime_sem_${pid}`, { force: true })
  }
}
