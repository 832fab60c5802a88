// The namespace that holds all container networks of this node. Bound to a file, so that it outlives the daemon and is
// found again; never under /run/netns, where the names of several daemons on one machine could meet.
import { closeSync, fstatSync, openSync } from 'node:fs'
import { mkdir, open, rm, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SwarmError } from '../../proto/errors.ts'
import type { RunCommand } from '../../proto/lib/command.ts'

/** Type of the file system namespaces live on, as statfs gives it. */
const nsfs = 0x6e736673

/** Inode of the namespace bound to the file, or undefined. It changes whenever the namespace is made anew. */
export async function findNamespace(file: string): Promise<number | undefined> {
  try {
    if ((await statfs(file)).type !== nsfs) return undefined
    return (await stat(file)).ino
  } catch (err) {
    if (isMissing(err)) return undefined
    throw err
  }
}

/** Makes the namespace unless it is there. Errors: FAILED_PRECONDITION with what the kernel said. */
export async function ensureNamespace(file: string, run: RunCommand): Promise<number> {
  const found = await findNamespace(file)
  if (found !== undefined) return found
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  await (await open(file, 'a', 0o600)).close()
  const result = await run(['unshare', `--net=${file}`, 'true'])
  const made = await findNamespace(file)
  if (result.code === 0 && made !== undefined) return made
  throw new SwarmError(
    'FAILED_PRECONDITION',
    `cannot make the network namespace ${file}: ${result.stderr.trim() || 'it is not there after unshare'}. ` +
      'The daemon must be root with CAP_SYS_ADMIN, and the kernel must have network namespaces: see "tsswarm doctor"',
  )
}

/** Takes the name away; the kernel removes the namespace with its last process or open file. A no-op without one. */
export async function removeNamespace(file: string, run: RunCommand): Promise<void> {
  if ((await findNamespace(file)) !== undefined) {
    const result = await run(['umount', '--lazy', file])
    if (result.code !== 0) {
      const message = `cannot unmount the network namespace ${file}: ${result.stderr.trim()}`
      throw new SwarmError('FAILED_PRECONDITION', message)
    }
  }
  await rm(file, { force: true })
}

/** A namespace that can be entered by its path, also after its name was taken away, until it is let go of. */
export interface HeldNamespace {
  readonly inode: number
  readonly path: string
  release(): void
}

/** Errors: of the file system, when there is no such file. */
export function holdNamespace(file: string): HeldNamespace {
  const descriptor = openSync(file, 'r')
  return {
    inode: fstatSync(descriptor).ino,
    path: `/proc/${process.pid}/fd/${descriptor}`,
    release: () => closeSync(descriptor),
  }
}

// One after the other they would take the kernel some 20 ms each.
const emptyScript = [
  'for kind in veth vxlan; do ip -o link show type $kind; done |',
  `sed -n 's/^[0-9]*: \\([^@:]*\\).*/link set dev \\1 group 77/p' | ip -force -batch - &&`,
  'ip link del group 77',
].join(' ')

/**
 * Removes the devices we make, and with them their other ends in containers, at once. The kernel does so only some time
 * after the last process, socket or file in the namespace is gone, and until then the names and identifiers are taken.
 */
export async function emptyNamespace({ path }: HeldNamespace, run: RunCommand): Promise<void> {
  await run([...enterNamespace(path), 'sh', '-c', emptyScript])
}

/**
 * Argv that runs a program in the namespace bound to the file, as this process sees it: whoever runs it may be in a mount
 * namespace of its own, as the spawn helper is, where what was bound after its start is not seen unless `/` is shared.
 */
export function enterNamespace(file: string): readonly string[] {
  const isSeenByAll = file.startsWith('/proc/') || !file.startsWith('/')
  const path = isSeenByAll ? file : `/proc/${process.pid}/root${file}`
  return ['nsenter', `--net=${path}`, '--']
}

function isMissing(err: unknown): boolean {
  return err instanceof Error && 'code' in err && (err.code === 'ENOENT' || err.code === 'ENOTDIR')
}
