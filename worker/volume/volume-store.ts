// The volumes of one host: folders that outlive containers. A volume that is empty when a container first uses it is
// filled with the image's files at that place. Local ones only; no drivers.
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { SwarmError } from '../../proto/errors.ts'
import type { SpawnHelper } from '../executor/spawn/spawn-helper.ts'

/** Gives the folder of the image whose files fill the volume; undefined when the image has none there. */
export type ImageFolder = <T>(work: (path: string | undefined) => Promise<T>) => Promise<T>

export interface VolumeRequest {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** Undefined: leave an empty volume empty. */
  readonly fillFrom: ImageFolder | undefined
}

export interface VolumeSummary {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** The folder on this host. */
  readonly path: string
}

const copyTimeoutMs = 600_000

export class VolumeStore {
  readonly #dir: string
  readonly #helper: SpawnHelper
  readonly #busy = new Map<string, Promise<unknown>>()

  constructor(dir: string, helper: SpawnHelper) {
    this.#dir = dir
    this.#helper = helper
  }

  /** Makes the volume when it is missing and fills it when it is empty; its folder. Errors: INVALID_ARGUMENT, INTERNAL. */
  ensure(request: VolumeRequest): Promise<string> {
    checkName(request.name)
    return this.#oneByOne(request.name, () => this.#ensureNow(request))
  }

  /** Removes it with all it holds. A no-op on an unknown one. Errors: INTERNAL. */
  remove(name: string): Promise<void> {
    checkName(name)
    return this.#oneByOne(name, async () => {
      const result = await this.#helper.spawn(['rm', '-rf', '--', `${this.#dir}/${name}`], {
        timeoutMs: copyTimeoutMs,
      })
      if (result.code === 0) return
      throw new SwarmError('INTERNAL', `cannot remove volume ${name}: ${result.stderr.trim()}`)
    })
  }

  async list(): Promise<readonly VolumeSummary[]> {
    const names = await readdir(this.#dir)
    return Promise.all(
      names.toSorted().map(async (name) => ({
        name,
        labels: await this.#labels(name),
        path: `${this.#dir}/${name}/_data`,
      })),
    )
  }

  async #ensureNow({ name, labels, fillFrom }: VolumeRequest): Promise<string> {
    const dir = `${this.#dir}/${name}`
    const data = `${dir}/_data`
    // Left by a crash in the middle of filling: what is there is not to be trusted.
    const filling = `${dir}/filling`
    if (await exists(filling)) await rm(data, { recursive: true, force: true })
    if (!(await exists(dir))) {
      await mkdir(dir, { recursive: true, mode: 0o711 })
      await writeFile(`${dir}/volume.json`, JSON.stringify({ labels }))
    }
    await mkdir(data, { recursive: true, mode: 0o755 })
    if (fillFrom === undefined || (await readdir(data)).length > 0) return data
    await writeFile(filling, '')
    await fillFrom((path) => (path === undefined ? Promise.resolve() : this.#copy(path, data)))
    await rm(filling)
    return data
  }

  async #copy(from: string, to: string): Promise<void> {
    if (!(await stat(from)).isDirectory()) return
    const result = await this.#helper.spawn(['cp', '-a', '--', `${from}/.`, `${to}/`], {
      timeoutMs: copyTimeoutMs,
    })
    if (result.code === 0) return
    throw new SwarmError(
      'INTERNAL',
      `cannot fill volume ${to} with the image's files: ${result.stderr.trim()}`,
    )
  }

  async #labels(name: string): Promise<Readonly<Record<string, string>>> {
    try {
      const text = await readFile(`${this.#dir}/${name}/volume.json`, 'utf8')
      const { labels = {} }: { readonly labels?: Readonly<Record<string, string>> } =
        JSON.parse(text)
      return labels
    } catch {
      // A crash while the volume was made: it has no labels, and needs none.
      return {}
    }
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

function checkName(name: string): void {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/.test(name)) return
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `volume name ${JSON.stringify(name)} must be letters, digits and _ . - and begin with a letter or digit. ` +
      'For a folder of the host use a bind mount',
  )
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
