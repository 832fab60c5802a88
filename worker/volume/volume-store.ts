// The volumes of one host: folders that outlive containers and the daemon. One that is empty when a container first uses it
// is filled with the image's files at that place. Killed at any step, this leaves a volume whole, or none: a new one is made
// and filled under another name, an old one that is filled bears a mark until that is done.
// What a volume's options name is mounted in the namespace of the spawn helper, where containers are made: the host sees none of it.
import { lookup } from 'node:dns/promises'
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { SwarmError } from '../../proto/errors.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import type { Random } from '../../proto/lib/random.ts'
import { suggestion } from '../../proto/lib/suggest.ts'
import type { SpawnHelper } from '../executor/spawn/spawn-helper.ts'
import {
  checkDriverOptions,
  type DriverOptions,
  hostToResolve,
  mountArgv,
  sameOptions,
} from './driver-options.ts'
import { fillingPrivate, fillingShared } from './fill-argv.ts'
import {
  checkVolumeName,
  exists,
  readVolume,
  renameSynced,
  syncFolder,
  type VolumeRecord,
  writeSynced,
  writeVolume,
} from './volume-record.ts'

/** Gives the folder of the image whose files fill the volume; undefined when the image has none there. */
export type ImageFolder = <T>(work: (path: string | undefined) => Promise<T>) => Promise<T>

export interface VolumeRequest {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly options?: DriverOptions
  /** Undefined: leave an empty volume empty. */
  readonly fillFrom: ImageFolder | undefined
  /** Whose it is alone. */
  readonly containerId?: string
  /** It belongs to one slot of a service. */
  readonly isSlots?: boolean
}

export interface VolumeSummary extends VolumeRecord {
  readonly name: string
  /** The folder on this host. */
  readonly path: string
}

export interface VolumeUser {
  readonly containerId: string
  readonly name: string
  readonly isLive: boolean
}

export interface VolumeStoreOptions {
  readonly dir: string
  readonly helper: SpawnHelper
  readonly clock: Clock
  readonly random: Random
}

const copyTimeoutMs = 600_000
const mountTimeoutMs = 60_000

export class VolumeStore {
  readonly #options: VolumeStoreOptions
  readonly #busy = new Map<string, Promise<unknown>>()
  readonly #ofSlots = new Set<string>()
  readonly #listeners = new Set<() => void>()
  #usersOf: (name: string) => readonly VolumeUser[] = () => []

  constructor(options: VolumeStoreOptions) {
    this.#options = options
  }

  /** Removes what a former daemon was killed over. To be awaited before anything else. */
  async open(): Promise<void> {
    const { dir, helper } = this.#options
    await mkdir(dir, { recursive: true, mode: 0o711 })
    for (const name of await readdir(dir)) {
      // What it ran may still be at work there; then it is left for the next time, and nobody sees it.
      if (name.startsWith('.')) await helper.spawn(removal(`${dir}/${name}`))
    }
    for (const { name, isSlots } of await this.list()) if (isSlots === true) this.#ofSlots.add(name)
  }

  /** Who uses a volume is known to whoever keeps the containers. */
  setUsage(usersOf: (name: string) => readonly VolumeUser[]): void {
    this.#usersOf = usersOf
  }

  usersOf(name: string): readonly VolumeUser[] {
    return this.#usersOf(name)
  }

  /** Names of those that belong to one slot of a service, in order. */
  slotVolumes(): readonly string[] {
    return [...this.#ofSlots].sort()
  }

  /** Calls the listener after each change of slotVolumes; the result ends that. */
  onSlotVolumes(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Makes the volume when it is missing, mounts what its options name, and fills it when it is empty; its folder, as the spawn
   * helper sees it. Errors: INVALID_ARGUMENT, ALREADY_EXISTS (with other options), INTERNAL.
   */
  ensure(request: VolumeRequest): Promise<string> {
    checkVolumeName(request.name)
    checkDriverOptions(request.name, request.options ?? {})
    return this.#oneByOne(request.name, () => this.#ensureNow(request))
  }

  /** Makes a volume that nothing uses yet. Errors: INVALID_ARGUMENT, ALREADY_EXISTS (with other options or labels). */
  create(request: Omit<VolumeRequest, 'fillFrom'>): Promise<VolumeSummary> {
    checkVolumeName(request.name)
    checkDriverOptions(request.name, request.options ?? {})
    return this.#oneByOne(request.name, async () => {
      const { name, labels } = request
      const known = await this.#known(request)
      if (known !== undefined && !sameOptions(known.labels, labels)) throw otherwise(name, 'labels')
      if (known === undefined) await this.#make({ ...request, fillFrom: undefined })
      return this.#summary(name, known ?? (await readVolume(this.#dirOf(name))))
    })
  }

  /** Removes it with all it holds. A no-op on an unknown one. Errors: INTERNAL. */
  remove(name: string): Promise<void> {
    checkVolumeName(name)
    return this.#oneByOne(name, () => this.#removeNow(name))
  }

  /** Removes it unless a container uses it. Errors: NOT_FOUND, IN_USE, INTERNAL. */
  removeUnused(name: string): Promise<void> {
    checkVolumeName(name)
    return this.#oneByOne(name, async () => {
      if (!(await exists(this.#dirOf(name)))) throw noSuchVolume(name, await this.#names())
      const users = this.#usersOf(name)
      if (users.length > 0) throw inUse(name, users)
      await this.#removeNow(name)
    })
  }

  /** Unmounts what the options of these volumes name, where no container that lives uses it. */
  async release(names: readonly string[]): Promise<void> {
    for (const name of names) {
      const record = await readVolume(this.#dirOf(name))
      if (record === undefined || Object.keys(record.options).length === 0) continue
      await this.#oneByOne(name, async () => {
        if (this.#usersOf(name).some(({ isLive }) => isLive)) return
        await this.#unmount(name)
      })
    }
  }

  /** Removes those that were made for a container which is not there any more: a daemon was killed over it. Errors: INTERNAL. */
  async removeOrphans(): Promise<void> {
    for (const { name, containerId } of await this.list()) {
      if (containerId !== undefined && this.#usersOf(name).length === 0) await this.remove(name)
    }
  }

  /** By name. */
  async list(): Promise<readonly VolumeSummary[]> {
    const names = await this.#names()
    const records = await Promise.all(
      names.toSorted().map(async (name) => ({ name, record: await readVolume(this.#dirOf(name)) })),
    )
    return records.flatMap(({ name, record }) =>
      record === undefined ? [] : [this.#summary(name, record)],
    )
  }

  async #names(): Promise<readonly string[]> {
    return (await readdir(this.#options.dir)).filter((name) => !name.startsWith('.'))
  }

  /** Errors: NOT_FOUND. */
  async find(name: string): Promise<VolumeSummary> {
    checkVolumeName(name)
    const record = await readVolume(this.#dirOf(name))
    if (record === undefined) throw noSuchVolume(name, await this.#names())
    return this.#summary(name, record)
  }

  /** Of its files, in bytes on disk. */
  async size(name: string): Promise<number> {
    const argv = ['du', '-sx', '--block-size=1', '--', `${this.#dirOf(name)}/_data`]
    const { stdout } = await this.#options.helper.spawn(argv, { timeoutMs: copyTimeoutMs })
    return Number.parseInt(stdout, 10) || 0
  }

  async #ensureNow(request: VolumeRequest): Promise<string> {
    const { name } = request
    const data = `${this.#dirOf(name)}/_data`
    const known = await this.#known(request)
    const options = known?.options ?? request.options ?? {}
    const isMounted = Object.keys(options).length > 0
    if (known === undefined)
      await this.#make({ ...request, ...(isMounted && { fillFrom: undefined }) })
    if (isMounted) await this.#mount(name, options)
    if (known !== undefined || isMounted) await this.#fillOld(request, isMounted)
    return data
  }

  /** Errors: ALREADY_EXISTS. */
  async #known({ name, options = {} }: Omit<VolumeRequest, 'fillFrom'>) {
    const known = await readVolume(this.#dirOf(name))
    const asks = Object.keys(options).length > 0
    if (known !== undefined && asks && !sameOptions(known.options, options)) {
      throw otherwise(name, 'options')
    }
    return known
  }

  /** Under another name until it is whole. */
  async #make(request: VolumeRequest): Promise<void> {
    const { dir, random, clock } = this.#options
    const { name, labels, options = {}, fillFrom, containerId, isSlots } = request
    const half = `${dir}/.new-${newId(random)}`
    await writeVolume(half, {
      labels,
      options,
      createdAtMs: clock.wallMs(),
      ...(containerId !== undefined && { containerId }),
      ...(isSlots === true && { isSlots }),
    })
    try {
      const isFilled = await fillFrom?.((path) => this.#copy(path, `${half}/_data`, fillingPrivate))
      // What is one container's goes with it, at the latest when the host does.
      if (isFilled === true && containerId === undefined) await this.#sync(half)
      await renameSynced(half, this.#dirOf(name), dir)
    } catch (err) {
      await rm(half, { recursive: true, force: true })
      throw err
    }
    if (isSlots === true) this.#noteSlots(() => this.#ofSlots.add(name))
  }

  async #fillOld(request: VolumeRequest, isMounted: boolean): Promise<void> {
    const { name, fillFrom, containerId } = request
    const dir = this.#dirOf(name)
    const data = `${dir}/_data`
    const mark = `${dir}/filling`
    const wasCut = await exists(mark)
    const others = this.#usersOf(name).filter((user) => user.containerId !== containerId)
    // Where others may write, what is there may be theirs: it is filled over.
    if (wasCut && !isMounted && others.length === 0) await this.#run('empty', emptying(data), name)
    if (fillFrom !== undefined && (wasCut || (await this.#isEmpty(data)))) {
      await writeSynced(mark, '')
      await syncFolder(dir)
      await fillFrom((path) => this.#copy(path, data, fillingShared))
      await this.#sync(data)
    }
    if (!(await exists(mark))) return
    await rm(mark, { force: true })
    await syncFolder(dir)
  }

  /** Whether there was anything. */
  async #copy(
    from: string | undefined,
    to: string,
    filling: typeof fillingPrivate,
  ): Promise<boolean> {
    if (from === undefined || !(await stat(from)).isDirectory()) return false
    await this.#run("fill it with the image's files", filling(from, to), to)
    return true
  }

  async #isEmpty(data: string): Promise<boolean> {
    const argv = ['find', data, '-mindepth', '1', '-maxdepth', '1', '-print', '-quit']
    return (await this.#run('look into it', argv, data)) === ''
  }

  async #sync(path: string): Promise<void> {
    await this.#run('write it to disk', ['sync', '-f', '--', path], path)
  }

  async #mount(name: string, options: DriverOptions): Promise<void> {
    const { helper } = this.#options
    const { type, device } = options
    const data = `${this.#dirOf(name)}/_data`
    if ((await helper.spawn(['mountpoint', '-q', '--', data])).code === 0) return
    const host = hostToResolve(options)
    const address = host === undefined ? undefined : await addressOf(name, host)
    const argv = mountArgv(options, data, address)
    const result = await helper.spawn(argv, { timeoutMs: mountTimeoutMs })
    if (result.code === 0) return
    const why = result.stderr.trim().replaceAll(/password=[^,\s]*/g, 'password=***')
    // Docker's words. Not the options: they may hold a password.
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `error while mounting volume '${name}': failed to mount local volume: ${type} ${device}: ${why}`,
    )
  }

  async #unmount(name: string): Promise<void> {
    const { helper } = this.#options
    const data = `${this.#dirOf(name)}/_data`
    while ((await helper.spawn(['mountpoint', '-q', '--', data])).code === 0) {
      await this.#run('unmount it', ['umount', '--', data], name)
    }
  }

  async #removeNow(name: string): Promise<void> {
    const { dir, random } = this.#options
    const record = await readVolume(this.#dirOf(name))
    if (record === undefined) return
    if (Object.keys(record.options).length > 0) await this.#unmount(name)
    const gone = `${dir}/.gone-${newId(random)}`
    await rename(this.#dirOf(name), gone)
    await syncFolder(dir)
    if (this.#ofSlots.has(name)) this.#noteSlots(() => this.#ofSlots.delete(name))
    await this.#delete(gone)
  }

  async #delete(path: string): Promise<void> {
    await this.#run('remove it', removal(path), path)
  }

  async #run(what: string, argv: readonly string[], volume: string): Promise<string> {
    const result = await this.#options.helper.spawn(argv, { timeoutMs: copyTimeoutMs })
    if (result.code === 0) return result.stdout
    throw new SwarmError('INTERNAL', `volume ${volume}: cannot ${what}: ${result.stderr.trim()}`)
  }

  #noteSlots(change: () => void): void {
    change()
    for (const listener of [...this.#listeners]) listener()
  }

  #summary(name: string, record: VolumeRecord | undefined): VolumeSummary {
    if (record === undefined) throw noSuchVolume(name)
    return { name, ...record, path: `${this.#dirOf(name)}/_data` }
  }

  #dirOf(name: string): string {
    return `${this.#options.dir}/${name}`
  }

  async #oneByOne<T>(name: string, work: () => Promise<T>): Promise<T> {
    const before = this.#busy.get(name) ?? Promise.resolve()
    const mine = before.then(work, work)
    this.#busy.set(name, mine)
    try {
      return await mine
    } finally {
      if (this.#busy.get(name) === mine) this.#busy.delete(name)
    }
  }
}

function removal(path: string): readonly string[] {
  return ['rm', '-rf', '--one-file-system', '--', path]
}

function emptying(data: string): readonly string[] {
  return ['find', data, '-xdev', '-mindepth', '1', '-delete']
}

async function addressOf(name: string, host: string): Promise<string> {
  try {
    return (await lookup(host)).address
  } catch (cause) {
    const text = `volume ${name}: host "${host}" of its option o=addr= is not known: name another or give its address`
    throw new SwarmError('INVALID_ARGUMENT', text, { cause })
  }
}

/** `known`: those there are, of which the nearest is proposed. */
function noSuchVolume(name: string, known: readonly string[] = []): SwarmError {
  const near = suggestion(name, known)
  const hint = near === undefined || near === name ? '' : ` (did you mean ${near}?)`
  const text = `get ${name}: no such volume${hint}`
  return new SwarmError('NOT_FOUND', text, { details: { volume: name } })
}

function inUse(name: string, users: readonly VolumeUser[]): SwarmError {
  const names = users.map((user) => user.name).join(', ')
  return new SwarmError(
    'IN_USE',
    `remove ${name}: volume is in use - [${names}]: remove those first`,
  )
}

function otherwise(name: string, what: string): SwarmError {
  return new SwarmError(
    'ALREADY_EXISTS',
    `volume ${name} exists on this node with other ${what}: choose another name, or remove it with ` +
      `"tsswarm volume rm ${name}"`,
  )
}
