// A look into an image's file system without a container: its accounts, and files to fill volumes with. Layers are
// joined by an overlay in a mount namespace of a short-lived child, so that the host never sees a mount.
import { type ChildProcess, spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'
import { atUsualPriority } from '../../../proto/lib/priority.ts'
import type { LowerLayers } from '../../image/image-store.ts'
import { resolveInRoot } from './root-path.ts'
import type { AccountFiles } from './users.ts'

const accountsMax = 256
const fileBytesMax = 4 * 1024 * 1024

// Ends, and the mount with it, when its input does: also when this daemon dies.
const holder = `cd "$1" && LIBMOUNT_FORCE_MOUNT2=always mount -t overlay -o "ro,lowerdir=$2" overlay "$3" &&
echo ready && read -r end`

/** Gives the work a path of this host under which the image's root lies. Errors: INTERNAL. */
export async function withImageView<T>(
  layers: LowerLayers,
  emptyDir: string,
  work: (root: string) => Promise<T>,
): Promise<T> {
  const [only, ...more] = layers.lowers
  if (only !== undefined && more.length === 0) {
    return work(only.startsWith('/') ? only : `${layers.overlayDir}/${only}`)
  }
  const argv = [
    ...['--mount', '--propagation', 'private', '/bin/sh', '-c', holder, 'view'],
    ...[layers.overlayDir, layers.lowers.join(':'), emptyDir],
  ]
  const child = atUsualPriority(() => spawn('unshare', argv, { stdio: ['pipe', 'pipe', 'pipe'] }))
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  try {
    await ready(child)
    return await work(`/proc/${child.pid}/root${emptyDir}`)
  } finally {
    child.stdin.end()
    await ended
  }
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let complaint = ''
    const failed = (why: string): void =>
      reject(new SwarmError('INTERNAL', `cannot look into the image: ${why.trim()}`))
    child.stdin?.on('error', () => {})
    child.stderr?.on('data', (chunk: Buffer) => {
      complaint += chunk.toString('utf8')
    })
    child.stdout?.once('data', () => resolve())
    child.once('error', (err) => failed(err.message))
    child.once('close', () => failed(complaint))
  })
}

/** /etc/passwd and /etc/group by image id, kept: an image never changes. */
export class AccountsCache {
  readonly #byImage = new Map<string, Promise<AccountFiles>>()

  /** Errors: INTERNAL. */
  get(imageId: string, layers: LowerLayers, emptyDir: string): Promise<AccountFiles> {
    const known = this.#byImage.get(imageId)
    if (known !== undefined) return known
    const read = withImageView(layers, emptyDir, async (root) => ({
      passwd: await readInRoot(root, '/etc/passwd'),
      group: await readInRoot(root, '/etc/group'),
    }))
    this.#byImage.set(imageId, read)
    read.catch(() => this.#byImage.delete(imageId))
    const [oldest] = this.#byImage.keys()
    if (this.#byImage.size > accountsMax && oldest !== undefined) this.#byImage.delete(oldest)
    return read
  }
}

async function readInRoot(root: string, path: string): Promise<string> {
  const found = await resolveInRoot(root, path)
  if (found === undefined) return ''
  const data = await readFile(found).catch(() => Buffer.alloc(0))
  return data.toString('utf8', 0, fileBytesMax)
}
