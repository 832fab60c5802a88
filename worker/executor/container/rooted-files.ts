// Files of a container that runs, from outside. Its own programs may change links and folders at any moment, so a path is
// walked folder by folder, each held open while the next name is looked up in it and no link followed by the kernel: links are
// read and walked here, and never lead out of the root. Below /proc/PID/root the kernel shows what is mounted in the container.
import { constants } from 'node:fs'
import { type FileHandle, open, readlink } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'

const linksMax = 40
const depthMax = 1_024
/** Neither follows a link nor waits for the other end of a pipe, nor becomes the owner of a terminal. */
const careful = constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY
const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | careful
const textBytesMax = 4 * 1024 * 1024

/** A folder of the container that is held open, and a name in it; the name need not exist and is no link, `.` or `..`. */
export interface HeldPlace {
  readonly folder: HeldFolder
  /** Empty: the folder itself. */
  readonly name: string
}

/** An open folder. Paths below it are good as long as it is open. */
export class HeldFolder {
  readonly #file: FileHandle

  constructor(file: FileHandle) {
    this.#file = file
  }

  static async open(path: string): Promise<HeldFolder> {
    return new HeldFolder(await open(path, constants.O_RDONLY | constants.O_DIRECTORY))
  }

  /** Of a name right in it, or of itself. To be used with calls that do not follow links. */
  path(name = ''): string {
    return name === ''
      ? `/proc/self/fd/${this.#file.fd}/.`
      : `/proc/self/fd/${this.#file.fd}/${name}`
  }

  /** Errors: those of the kernel, ENOTDIR also for a link. */
  async folder(name: string): Promise<HeldFolder> {
    return new HeldFolder(await open(this.path(name), folderFlags))
  }

  async file(name: string, flags: number, mode?: number): Promise<FileHandle> {
    return await open(this.path(name), flags | careful, mode)
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

/**
 * Walks to the place that the path names. With `followLast` a link at its end is followed too. The folder is to be closed.
 * Errors: NOT_FOUND, INVALID_ARGUMENT (links in circles, a file where a folder is needed).
 */
export async function walkInRoot(
  root: string,
  path: string,
  followLast: boolean,
): Promise<HeldPlace> {
  const walk = new Walk(await HeldFolder.open(root), path)
  try {
    return await walk.to(followLast)
  } catch (err) {
    await walk.close()
    throw err
  }
}

/** The text of a small file; empty when there is none, or something else of that name. */
export async function readInRoot(root: string, path: string): Promise<string> {
  try {
    const place = await walkInRoot(root, path, true)
    try {
      const file = await place.folder.file(place.name, constants.O_RDONLY)
      try {
        if (!(await file.stat()).isFile()) return ''
        const buffer = Buffer.alloc(textBytesMax)
        const { bytesRead } = await file.read(buffer, 0, textBytesMax, 0)
        return buffer.toString('utf8', 0, bytesRead)
      } finally {
        await file.close()
      }
    } finally {
      await place.folder.close()
    }
  } catch {
    return ''
  }
}

class Walk {
  readonly #path: string
  readonly #pending: string[]
  /** From the root to where it is; all open. */
  readonly #folders: HeldFolder[]
  #links = 0

  constructor(root: HeldFolder, path: string) {
    this.#path = path
    this.#folders = [root]
    this.#pending = split(path).reverse()
  }

  async to(followLast: boolean): Promise<HeldPlace> {
    while (this.#pending.length > 0) {
      const name = this.#pending.pop() ?? ''
      if (name === '..') {
        await this.#up()
        continue
      }
      const isLast = this.#pending.length === 0
      const target = isLast && !followLast ? undefined : await this.#link(name)
      if (target !== undefined) await this.#follow(target)
      else if (isLast) return await this.#place(name)
      else await this.#down(name)
    }
    return await this.#place('')
  }

  async close(): Promise<void> {
    for (const folder of this.#folders) await folder.close()
  }

  get #here(): HeldFolder {
    const here = this.#folders.at(-1)
    if (here === undefined) throw new SwarmError('INTERNAL', 'a walk has left its root')
    return here
  }

  async #place(name: string): Promise<HeldPlace> {
    const folder = this.#here
    for (const one of this.#folders.slice(0, -1)) await one.close()
    return { folder, name }
  }

  async #up(): Promise<void> {
    if (this.#folders.length > 1) await this.#folders.pop()?.close()
  }

  async #down(name: string): Promise<void> {
    if (this.#folders.length >= depthMax) throw this.#refused('it is too deep')
    try {
      this.#folders.push(await this.#here.folder(name))
    } catch (cause) {
      throw this.#unreachable(name, cause)
    }
  }

  async #link(name: string): Promise<string | undefined> {
    try {
      return await readlink(this.#here.path(name))
    } catch (cause) {
      const code = errorCode(cause)
      // Not a link; or nothing, which is told where a folder is needed.
      if (code === 'EINVAL' || code === 'ENOENT' || code === 'ENOTDIR') return undefined
      throw this.#unreachable(name, cause)
    }
  }

  async #follow(target: string): Promise<void> {
    this.#links += 1
    if (this.#links > linksMax) throw this.#refused('its symbolic links go in circles')
    if (target.startsWith('/')) {
      for (const folder of this.#folders.splice(1)) await folder.close()
    }
    this.#pending.push(...split(target).reverse())
  }

  #unreachable(name: string, cause: unknown): SwarmError {
    const code = errorCode(cause)
    if (code === 'ENOENT') {
      const text = `no such file or directory in the container: ${this.#path}`
      return new SwarmError('NOT_FOUND', text, { cause })
    }
    if (code === 'ENOTDIR' || code === 'ELOOP') return this.#refused(`${name} is not a directory`)
    return new SwarmError('INTERNAL', `cannot reach ${this.#path} in the container`, { cause })
  }

  #refused(why: string): SwarmError {
    return new SwarmError('INVALID_ARGUMENT', `cannot use ${this.#path} in the container: ${why}`)
  }
}

export function errorCode(err: unknown): string {
  return err instanceof Error && 'code' in err && typeof err.code === 'string' ? err.code : ''
}

function split(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.')
}
