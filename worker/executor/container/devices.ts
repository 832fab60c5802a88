// Devices of this host that a container is given.
import { readdir, stat } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'
import type { DeviceUse, SecuritySpec } from '../../../proto/spec/security-spec.ts'

/** As in an OCI configuration, with what may be done with it. */
export interface OciDevice {
  /** In the container. */
  readonly path: string
  readonly type: 'b' | 'c'
  readonly major: number
  readonly minor: number
  /** Permission bits. */
  readonly fileMode: number
  readonly uid: number
  readonly gid: number
  /** Some of r, w, m. */
  readonly access: string
}

/** What is there already, and file systems of their own. Source: Docker. */
const notGiven = [
  'pts',
  'shm',
  'fd',
  'mqueue',
  'console',
  'ptmx',
  'stdin',
  'stdout',
  'stderr',
  '.lxc',
]
const ofEveryContainer = ['null', 'zero', 'full', 'random', 'urandom', 'tty']
const depthMax = 4

/** Errors: INVALID_ARGUMENT naming a device that this host has not. */
export async function resolveDevices(
  name: string,
  security: SecuritySpec | undefined,
): Promise<readonly OciDevice[]> {
  if (security === undefined) return []
  if (security.privileged === true) return hostDevices('/dev', 0)
  return Promise.all(security.devices.map((device) => resolveDevice(name, device)))
}

async function resolveDevice(name: string, use: DeviceUse): Promise<OciDevice> {
  const found = await deviceAt(use.source, use.target, use.access)
  if (found !== undefined) return found
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `${name} asks for the device ${use.source}, and this host has no such device: leave it out, or place its tasks ` +
      'where it is, with --constraint',
    { details: { device: use.source } },
  )
}

/** All below the folder that a container does not have anyway. */
async function hostDevices(dir: string, depth: number): Promise<readonly OciDevice[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => [])
  const skipped = depth === 0 ? [...notGiven, ...ofEveryContainer] : []
  const found = await Promise.all(
    entries
      .filter((entry) => !skipped.includes(entry.name))
      .map(async (entry) => {
        const path = `${dir}/${entry.name}`
        if (entry.isDirectory()) return depth < depthMax ? hostDevices(path, depth + 1) : []
        if (!entry.isCharacterDevice() && !entry.isBlockDevice()) return []
        return (await deviceAt(path, path, 'rwm')) ?? []
      }),
  )
  return found.flat()
}

async function deviceAt(
  source: string,
  path: string,
  access: string,
): Promise<OciDevice | undefined> {
  const found = await stat(source).catch(() => undefined)
  if (found === undefined || !(found.isBlockDevice() || found.isCharacterDevice())) return undefined
  return {
    path,
    type: found.isBlockDevice() ? 'b' : 'c',
    ...deviceNumbers(found.rdev),
    fileMode: found.mode & 0o7777,
    uid: found.uid,
    gid: found.gid,
    access,
  }
}

/** Source: glibc's gnu_dev_major and gnu_dev_minor; the kernel has 12 and 20 bits. */
export function deviceNumbers(rdev: number): { readonly major: number; readonly minor: number } {
  const major = Math.floor(rdev / 0x100) % 0x1000
  const minor = (rdev % 0x100) + Math.floor(rdev / 0x100000) * 0x100
  return { major, minor }
}
