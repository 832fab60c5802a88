// Files below a root that others may change meanwhile, as a container's programs may theirs. A path is walked folder by folder,
// each held open while the next name is looked up in it, and no link is followed by the kernel: links are read and walked
// here, and never lead out of the root. Below /proc/PID/root the kernel shows what is mounted in the container.
import { constants } from 'node:fs'
import { type FileHandle, lstat, open, readlink } from 'node:fs/promises'

const linksMax = 40
const depthMax = 1_024
/** Neither follows a link nor waits for the other end of a pipe, nor becomes the owner of a terminal. */
const careful = constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY
const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | careful
const textBytesMax = 4 * 1024 * 1024

/** `absent`: there is no such thing; `invalid`: it is another thing than it must be. */
export class RootedError extends Error {
  readonly reason: 'absent' | 'invalid'

  constructor(reason: 'absent' | 'invalid', message: string, cause?: unknown) {
    super(message, cause === undefined ? {} : { cause })
    this.name = 'RootedError'
    this.reason = reason
  }
}

/** A folder that is held open, and a name in it, of which there need be nothing. */
export interface HeldPlace {
  /** To be closed. */
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

  /** Follows links: for paths that are trusted. */
  static async open(path: string): Promise<HeldFolder> {
    return new HeldFolder(await open(path, constants.O_RDONLY | constants.O_DIRECTORY))
  }

  /** Of a name right in it, or of itself. For calls that do not follow links. */
  path(name = '.'): string {
    return `/proc/self/fd/${this.#file.fd}/${name}`
  }

  /** Errors: those of the kernel; ENOTDIR or ELOOP for a link. */
  async folder(name: string): Promise<HeldFolder> {
    return new HeldFolder(await open(this.path(name), folderFlags))
  }

  async file(name: string, flags: number, mode?: number): Promise<FileHandle> {
    return await open(this.path(name), flags | careful, mode)
  }

  async change(facts: {
    readonly uid?: number
    readonly gid?: number
    readonly mode?: number
    readonly mtimeMs?: number
  }): Promise<void> {
    const { uid, gid, mode, mtimeMs } = facts
    if (uid !== undefined && gid !== undefined) await this.#file.chown(uid, gid)
    if (mode !== undefined) await this.#file.chmod(mode)
    if (mtimeMs !== undefined) await this.#file.utimes(mtimeMs / 1_000, mtimeMs / 1_000)
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

/** Walks to the place that the path names. With `followLast` a link at its end is followed too. Errors: RootedError. */
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
    const { folder, name } = await walkInRoot(root, path, true)
    try {
      return await textOf(await folder.file(name, constants.O_RDONLY))
    } finally {
      await folder.close()
    }
  } catch {
    return ''
  }
}

/** What the path leads to, to tell it from all else on this host: device and inode. Errors: RootedError, those of the kernel. */
export async function identityInRoot(root: string, path: string): Promise<string> {
  const { folder, name } = await walkInRoot(root, path, true)
  try {
    const { dev, ino } = await lstat(folder.path(name === '' ? '.' : name), { bigint: true })
    return `${dev}:${ino}`
  } finally {
    await folder.close()
  }
}

async function textOf(file: FileHandle): Promise<string> {
  try {
    if (!(await file.stat()).isFile()) return ''
    const buffer = Buffer.alloc(textBytesMax)
    const { bytesRead } = await file.read(buffer, 0, textBytesMax, 0)
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
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
    for (const folder of this.#folders.splice(0)) await folder.close()
  }

  get #here(): HeldFolder {
    const here = this.#folders.at(-1)
    if (here === undefined) throw new RootedError('invalid', 'a walk has left its root')
    return here
  }

  async #place(name: string): Promise<HeldPlace> {
    const folder = this.#here
    for (const one of this.#folders.splice(0)) if (one !== folder) await one.close()
    return { folder, name }
  }

  async #up(): Promise<void> {
    if (this.#folders.length > 1) await this.#folders.pop()?.close()
  }

  async #down(name: string): Promise<void> {
    if (this.#folders.length >= depthMax) throw this.#invalid('it is too deep')
    try {
      this.#folders.push(await this.#here.folder(name))
    } catch (cause) {
      throw this.#unreachable(name, cause)
    }
  }

  /** Undefined for what is no link, or is not there: that shows where a folder is needed. */
  async #link(name: string): Promise<string | undefined> {
    try {
      return await readlink(this.#here.path(name))
    } catch (cause) {
      if (['EINVAL', 'ENOENT', 'ENOTDIR'].includes(errorCode(cause))) return undefined
      throw this.#unreachable(name, cause)
    }
  }

  async #follow(target: string): Promise<void> {
    this.#links += 1
    if (this.#links > linksMax) throw this.#invalid('its symbolic links go in circles')
    if (target.startsWith('/')) {
      for (const folder of this.#folders.splice(1)) await folder.close()
    }
    this.#pending.push(...split(target).reverse())
  }

  #unreachable(name: string, cause: unknown): RootedError {
    const code = errorCode(cause)
    const absent = `no such file or directory: ${this.#path}`
    if (code === 'ENOENT') return new RootedError('absent', absent, cause)
    if (code === 'ENOTDIR' || code === 'ELOOP') return this.#invalid(`${name} is not a directory`)
    return this.#invalid(`${name} cannot be reached (${code})`, cause)
  }

  #invalid(why: string, cause?: unknown): RootedError {
    return new RootedError('invalid', `cannot use the path ${this.#path}: ${why}`, cause)
  }
}

/** `ENOENT` and the like; empty for other errors. */
export function errorCode(err: unknown): string {
  return err instanceof Error && 'code' in err && typeof err.code === 'string' ? err.code : ''
}

function split(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.')
}
