// Files of a folder to a tar archive and back, without ever leaving the folder: every name is looked up in a folder that is held
// open, and no link is followed (rooted-files.ts). So neither an archive nor what else is in the folder can lead elsewhere.
import { constants } from 'node:fs'
import {
  lchown,
  link,
  lstat,
  lutimes,
  mkdir,
  readdir,
  readlink,
  symlink,
  unlink,
} from 'node:fs/promises'
import { errorCode, type HeldFolder, type HeldPlace, RootedError } from './rooted-files.ts'
import {
  readTar,
  type TarHeader,
  type TarMember,
  tarEnd,
  tarHeader,
  tarPadding,
} from './tar-stream.ts'

const chunkBytes = 64 * 1024
const depthMax = 512

/** Numbers of a user and a group. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

export interface PackOptions {
  /** Under which name what is packed is in the archive; empty: right at its top. */
  readonly name: string
  /** Told of what an archive of ours does not hold: devices, pipes, sockets. */
  readonly onLeftOut: (path: string) => void
  /** Owners in the archive of those on disk; absent: the same. */
  readonly ownerOf?: (owner: Owner) => Owner
}

/** The archive of what is at the place, in pieces. Errors: those of the kernel; RootedError. */
export async function* packTree(
  place: HeldPlace,
  options: PackOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const packer = new Packer(options)
  if (place.name === '') yield* packer.folder(place.folder, options.name, 0)
  else yield* packer.entry(place.folder, { name: place.name, path: options.name }, 0)
  yield tarEnd
}

class Packer {
  readonly #options: PackOptions
  /** Files of several names, by device and number: the name under which they were packed. */
  readonly #linked = new Map<string, string>()

  constructor(options: PackOptions) {
    this.#options = options
  }

  async *folder(
    folder: HeldFolder,
    path: string,
    depth: number,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    if (depth > depthMax) throw new RootedError('invalid', `${path} is too deep`)
    const facts = this.#facts(await lstat(folder.path()), path === '' ? './' : `${path}/`)
    yield tarHeader({ ...facts, kind: 'directory' })
    for (const name of (await readdir(folder.path())).sort()) {
      yield* this.entry(folder, { name, path: path === '' ? name : `${path}/${name}` }, depth)
    }
  }

  async *entry(
    folder: HeldFolder,
    { name, path }: { readonly name: string; readonly path: string },
    depth: number,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const stat = await lstat(folder.path(name)).catch(ignoreAbsent)
    if (stat === undefined) return
    const facts = this.#facts(stat, path)
    if (stat.isDirectory()) {
      const below = await folder.folder(name)
      try {
        yield* this.folder(below, path, depth + 1)
      } finally {
        await below.close()
      }
    } else if (stat.isSymbolicLink()) {
      yield tarHeader({ ...facts, kind: 'symlink', target: await readlink(folder.path(name)) })
    } else if (stat.isFile()) {
      const key = `${stat.dev}:${stat.ino}`
      const first = this.#linked.get(key)
      if (first !== undefined) yield tarHeader({ ...facts, kind: 'hardlink', target: first })
      else {
        if (stat.nlink > 1) this.#linked.set(key, path)
        yield* fileData(folder, name, facts)
      }
    } else this.#options.onLeftOut(path)
  }

  #facts(stat: Stat, path: string): Facts {
    const facts = factsOf(stat, path)
    return { ...facts, ...this.#options.ownerOf?.(facts) }
  }
}

type Facts = Omit<TarHeader, 'kind'>

interface Stat extends Owner {
  readonly mode: number
  readonly mtimeMs: number
}

function factsOf(stat: Stat, path: string): Facts {
  const { mode, uid, gid, mtimeMs } = stat
  return {
    path,
    mode: mode & 0o7777,
    uid,
    gid,
    sizeBytes: 0,
    mtimeMs: Math.round(mtimeMs),
    target: '',
  }
}

/** As long as it was when it was opened: what is missing then is zeros, what was added is left out. */
async function* fileData(
  folder: HeldFolder,
  name: string,
  facts: Facts,
): AsyncGenerator<Uint8Array, void, undefined> {
  const file = await folder.file(name, constants.O_RDONLY)
  try {
    const stat = await file.stat()
    const sizeBytes = stat.isFile() ? stat.size : 0
    yield tarHeader({ ...facts, kind: 'file', sizeBytes })
    for (let at = 0; at < sizeBytes; ) {
      const length = Math.min(chunkBytes, sizeBytes - at)
      const buffer = Buffer.alloc(length)
      const { bytesRead } = await file.read(buffer, 0, length, at)
      yield bytesRead === 0 ? buffer : buffer.subarray(0, bytesRead)
      at += bytesRead === 0 ? length : bytesRead
    }
    yield tarPadding(sizeBytes)
  } finally {
    await file.close()
  }
}

export interface UnpackOptions {
  /** Owners of all that is made; undefined: as in the archive. */
  readonly owner: Owner | undefined
  /** Owners on disk of those above; absent: the same. */
  readonly ownerOf?: (owner: Owner) => Owner
  /** The topmost name in the archive is taken for another one. */
  readonly rename?: { readonly from: string; readonly to: string }
  /** As in PackOptions. */
  readonly onLeftOut: (path: string) => void
}

/**
 * Makes what is in the archive in the folder, in place of what was there, and closes nothing. Errors: TarError;
 * RootedError for what leads out of it or through a link; those of the kernel.
 */
export async function unpackTree(
  folder: HeldFolder,
  archive: AsyncIterable<Uint8Array>,
  options: UnpackOptions,
): Promise<void> {
  const unpacker = new Unpacker(folder, options)
  try {
    for await (const member of readTar(archive)) await unpacker.add(member)
  } finally {
    await unpacker.close()
  }
}

interface Entered {
  readonly name: string
  readonly folder: HeldFolder
  /** What its time is to be once all is in it. */
  mtimeMs: number | undefined
}

class Unpacker {
  readonly #root: HeldFolder
  readonly #options: UnpackOptions
  /** From below the root to the folder of the newest member; all open. */
  readonly #entered: Entered[] = []

  constructor(root: HeldFolder, options: UnpackOptions) {
    this.#root = root
    this.#options = options
  }

  async add({ header, data }: TarMember): Promise<void> {
    const parts = this.#parts(header.path)
    const name = parts.at(-1)
    if (header.kind === 'other') {
      this.#options.onLeftOut(header.path)
      return
    }
    // The top itself is there already, and stays as it is.
    if (name === undefined) return
    if (header.kind === 'directory') {
      await this.#enter(parts)
      await this.#settleFolder(header)
      return
    }
    const folder = await this.#enter(parts.slice(0, -1))
    if (header.kind === 'file') await this.#file(folder, name, { header, data })
    else if (header.kind === 'symlink') await this.#symlink(folder, name, header)
    else await this.#hardlink(folder, name, header)
  }

  async close(): Promise<void> {
    await this.#leave(0)
  }

  #parts(path: string): readonly string[] {
    const parts = path.split('/').filter((part) => part !== '' && part !== '.')
    if (parts.includes('..') || parts.length > depthMax) {
      throw new RootedError(
        'invalid',
        `the archive holds the path ${path}, which may lead elsewhere`,
      )
    }
    const { rename } = this.#options
    const [first, ...rest] = parts
    return rename !== undefined && first === rename.from ? [rename.to, ...rest] : parts
  }

  /** Goes to the folder, and makes what of it is missing. */
  async #enter(parts: readonly string[]): Promise<HeldFolder> {
    let common = 0
    while (common < parts.length && this.#entered[common]?.name === parts[common]) common += 1
    await this.#leave(common)
    for (const name of parts.slice(common)) {
      const here = this.#entered.at(-1)?.folder ?? this.#root
      const isNew = await mkdir(here.path(name), { mode: 0o755 }).then(() => true, ignoreExisting)
      const folder = await here.folder(name).catch((cause: unknown) => {
        if (errorCode(cause) !== 'ENOTDIR' && errorCode(cause) !== 'ELOOP') throw cause
        const text = `${parts.join('/')} cannot be made: ${name} is there, and is no directory`
        throw new RootedError('invalid', text)
      })
      this.#entered.push({ name, folder, mtimeMs: undefined })
      const { ownerOf } = this.#options
      if (isNew === true && ownerOf !== undefined) await folder.change(ownerOf({ uid: 0, gid: 0 }))
    }
    return this.#entered.at(-1)?.folder ?? this.#root
  }

  async #leave(depth: number): Promise<void> {
    while (this.#entered.length > depth) {
      const left = this.#entered.pop()
      if (left === undefined) return
      const { folder, mtimeMs } = left
      if (mtimeMs !== undefined) await folder.change({ mtimeMs }).catch(() => {})
      await folder.close()
    }
  }

  async #settleFolder(header: TarHeader): Promise<void> {
    const entered = this.#entered.at(-1)
    if (entered === undefined) return
    const { uid, gid } = this.#owner(header)
    await entered.folder.change({ uid, gid, mode: header.mode })
    entered.mtimeMs = header.mtimeMs
  }

  #owner(header: TarHeader): Owner {
    const { owner = header, ownerOf } = this.#options
    return ownerOf === undefined ? owner : ownerOf(owner)
  }

  async #file(folder: HeldFolder, name: string, { header, data }: TarMember): Promise<void> {
    const flags = constants.O_WRONLY | constants.O_CREAT
    const isGone = await removed(folder, name)
    // What is mounted cannot be replaced, only written to.
    const file = await folder.file(
      name,
      flags | (isGone ? constants.O_EXCL : constants.O_TRUNC),
      0o600,
    )
    try {
      for await (const piece of data) await file.writeFile(piece)
      const { uid, gid } = this.#owner(header)
      await file.chown(uid, gid)
      await file.chmod(header.mode)
      await file.utimes(header.mtimeMs / 1_000, header.mtimeMs / 1_000)
    } finally {
      await file.close()
    }
  }

  async #symlink(folder: HeldFolder, name: string, header: TarHeader): Promise<void> {
    await removed(folder, name)
    const path = folder.path(name)
    await symlink(header.target, path)
    const { uid, gid } = this.#owner(header)
    await lchown(path, uid, gid)
    await lutimes(path, header.mtimeMs / 1_000, header.mtimeMs / 1_000)
  }

  /** To a file of the same archive, or one that is in the folder already. */
  async #hardlink(folder: HeldFolder, name: string, header: TarHeader): Promise<void> {
    const parts = this.#parts(header.target)
    const file = parts.at(-1) ?? ''
    let at = this.#root
    const opened: HeldFolder[] = []
    try {
      for (const part of parts.slice(0, -1)) {
        at = await at.folder(part)
        opened.push(at)
      }
      await removed(folder, name)
      await link(at.path(file), folder.path(name))
    } finally {
      for (const one of opened) await one.close()
    }
  }
}

/** False when it is still there, because something is mounted on it. Errors: RootedError for a directory. */
async function removed(folder: HeldFolder, name: string): Promise<boolean> {
  try {
    await unlink(folder.path(name))
    return true
  } catch (err) {
    const code = errorCode(err)
    if (code === 'ENOENT') return true
    if (code === 'EBUSY') return false
    if (code === 'EISDIR' || code === 'EPERM') {
      throw new RootedError('invalid', `cannot put a file in place of the directory ${name}`)
    }
    throw err
  }
}

function ignoreAbsent(err: unknown): undefined {
  if (errorCode(err) === 'ENOENT') return undefined
  throw err
}

function ignoreExisting(err: unknown): void {
  if (errorCode(err) !== 'EEXIST') throw err
}
