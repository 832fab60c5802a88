// The images of one daemon: what is there, what a reference means, where the layers lie. They rest
// in a containers-storage store that skopeo writes; pulling and loading are in image-transfer.ts.
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { SwarmError } from '../../proto/errors.ts'
import { SharedLock } from '../../proto/lib/shared-lock.ts'
import { suggestion } from '../../proto/lib/suggest.ts'
import type { ResolvedImage } from '../executor/executor.ts'
import {
  inPrivateMounts,
  type SpawnHelper,
  type SpawnResult,
} from '../executor/spawn/spawn-helper.ts'
import { type ImagePlatform, platformText } from './platform.ts'
import { familiarReference, parseReference } from './reference.ts'
import { complaint } from './registry-manifest.ts'
import {
  findImages,
  type ImageConfig,
  isNative,
  layerChain,
  parseContainerIds,
  parseImageConfig,
  parseImages,
  parseLayers,
  type StoredImage,
  type StoredLayer,
  storedPlatform,
} from './store-index.ts'

/** Where an image store keeps what. */
export interface ImageStorePaths {
  /** Where tools find registries (registries-conf.ts); absent: as the host says. */
  readonly registriesConf?: string
  /** The containers-storage root. */
  readonly rootDir: string
  /** Its run-time folder, on tmpfs. */
  readonly runDir: string
  /**
   * Our own marks: which images are complete on disk, which pulls are under way; and what is being
   * downloaded.
   */
  readonly stateDir: string
}

/** The layers of an image for an overlay mount. */
export interface LowerLayers {
  /** The mount is made from within this folder. */
  readonly overlayDir: string
  /** Names relative to it, the topmost first; at least one. */
  readonly lowers: readonly string[]
}

interface Index {
  readonly stamp: string
  readonly images: readonly StoredImage[]
  readonly layers: ReadonlyMap<string, StoredLayer>
}

const storeTimeoutMs = 120_000
const ownProcesses = ['--pid', '--fork', '--kill-child', '--mount-proc', '--ipc', '--uts']
const toolEnv = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/root',
}

export class ImageStore {
  /**
   * Pulls and loads hold it shared, removals exclusively: a removal beside a pull of the same
   * layers breaks the pull.
   */
  readonly lock = new SharedLock()
  readonly paths: ImageStorePaths
  readonly #helper: SpawnHelper
  readonly #ready = new Set<string>()
  readonly #configs = new Map<string, ImageConfig>()
  readonly #lowers = new Map<string, LowerLayers>()
  #platforms: ReadonlyMap<string, ImagePlatform> = new Map()
  #index: Index = { stamp: '', images: [], layers: new Map() }

  constructor(paths: ImageStorePaths, helper: SpawnHelper) {
    this.paths = paths
    this.#helper = helper
  }

  /** Reads which images are complete. To be called once, and again after markReady by others. */
  async loadReady(): Promise<void> {
    this.#ready.clear()
    for (const id of await readdir(`${this.paths.stateDir}/ready`)) this.#ready.add(id)
  }

  /** The images that are complete on disk. */
  async list(): Promise<readonly StoredImage[]> {
    const { images } = await this.#read()
    return images.filter((image) => this.#ready.has(image.id))
  }

  /** All the store has, also what a pull has not finished. */
  async listAll(): Promise<readonly StoredImage[]> {
    return (await this.#read()).images
  }

  async layers(): Promise<ReadonlyMap<string, StoredLayer>> {
    return (await this.#read()).layers
  }

  /** By reference, id, or the beginning of an id. Errors: AMBIGUOUS. */
  async find(text: string): Promise<StoredImage | undefined> {
    const [first, ...more] = findImages(await this.list(), text)
    if (more.length === 0) return first
    throw new SwarmError('AMBIGUOUS', `image id ${text} is ambiguous (${more.length + 1} matches)`)
  }

  /** Errors: IMAGE_NOT_FOUND, AMBIGUOUS. */
  async get(text: string): Promise<StoredImage> {
    const image = await this.find(text)
    if (image !== undefined) return image
    const names = (await this.list()).flatMap((one) => one.names.map(shortName))
    const near = suggestion(text, names)
    const hint = near === undefined ? '' : ` (did you mean ${near}?)`
    throw new SwarmError('IMAGE_NOT_FOUND', `No such image: ${text}${hint}`)
  }

  async resolved(text: string, image: StoredImage): Promise<ResolvedImage> {
    const digest = image.digests.at(-1)
    const sizeBytes = await this.sizeBytes(image)
    return {
      reference: isId(text) ? text : familiar(text),
      id: `sha256:${image.id}`,
      ...(digest === undefined ? {} : { digest }),
      ...(isNative(image) || image.platform === undefined
        ? {}
        : { foreignPlatform: platformText(image.platform) }),
      sizeBytes,
    }
  }

  async sizeBytes(image: StoredImage): Promise<number> {
    const { layers } = await this.#read()
    return layerChain(image, layers).reduce((sum, layer) => sum + layer.sizeBytes, 0)
  }

  /** Of all layers that are in the store. */
  async layersBytes(): Promise<number> {
    const layers = [...(await this.layers()).values()]
    return layers.reduce((sum, layer) => sum + layer.sizeBytes, 0)
  }

  /** Cached: an image's configuration never changes. Errors: DATA_LOSS. */
  async config(image: StoredImage): Promise<ImageConfig> {
    const known = this.#configs.get(image.id)
    if (known !== undefined) return known
    const config = parseImageConfig(await this.configText(image), image.id)
    this.#configs.set(image.id, config)
    return config
  }

  /** The configuration as in the registry. Errors: DATA_LOSS. */
  async configText(image: StoredImage): Promise<string> {
    const key = Buffer.from(`sha256:${image.id}`).toString('base64')
    const path = `${this.paths.rootDir}/overlay-images/${image.id}/=${key}`
    return readFile(path, 'utf8').catch((cause: unknown) => {
      throw new SwarmError(
        'DATA_LOSS',
        `image ${image.id} has lost its configuration: pull it again`,
        {
          cause,
        },
      )
    })
  }

  /** Cached: layers never change. Errors: DATA_LOSS. */
  async lowerLayers(image: StoredImage): Promise<LowerLayers> {
    const known = this.#lowers.get(image.id)
    if (known !== undefined) return known
    const overlayDir = `${this.paths.rootDir}/overlay`
    const lowers = await this.#lowersOf(image, overlayDir)
    const layers = { overlayDir, lowers }
    this.#lowers.set(image.id, layers)
    return layers
  }

  async #lowersOf(image: StoredImage, overlayDir: string): Promise<readonly string[]> {
    if (image.layerId === undefined) return [`${this.paths.stateDir}/empty`]
    const dir = `${overlayDir}/${image.layerId}`
    try {
      const link = (await readFile(`${dir}/link`, 'utf8')).trim()
      const lower = await readFile(`${dir}/lower`, 'utf8').catch(() => '')
      return [`l/${link}`, ...lower.trim().split(':')].filter((one) => one !== '')
    } catch (cause) {
      throw new SwarmError('DATA_LOSS', `image ${image.id} has lost its top layer: pull it again`, {
        cause,
      })
    }
  }

  isReady(id: string): boolean {
    return this.#ready.has(id)
  }

  /** After its marker is on disk. */
  setReady(id: string): void {
    this.#ready.add(id)
  }

  /** After it was deleted. */
  async unmark(id: string): Promise<void> {
    await rm(`${this.paths.stateDir}/ready/${id}`, { force: true })
    this.#ready.delete(id)
    this.#configs.delete(id)
    this.#lowers.delete(id)
  }

  /**
   * Runs skopeo. In a mount namespace of its own, because the store would leave a mount on the
   * host.
   */
  async skopeo(args: readonly string[], options: SkopeoOptions): Promise<SpawnResult> {
    const { tmpDir, explains = false, ...rest } = options
    const spool = tmpDir === undefined ? [] : ['--tmpdir', tmpDir]
    const debug = explains ? ['--debug'] : []
    const { registriesConf } = this.paths
    const conf = registriesConf === undefined ? [] : [`--registries-conf=${registriesConf}`]
    const argv = ['skopeo', '--insecure-policy', ...debug, ...spool, ...conf, ...args]
    const result = await this.#command(argv, rest)
    return explains ? { ...result, stderr: complaint(result, options.timeoutMs) } : result
  }

  /**
   * Runs buildah on the store, and all that it starts in namespaces of its own, so that nothing of it outlives it. A
   * second cgroup tree beside the first is hidden: crun refuses such hosts.
   */
  buildah(args: readonly string[], options: BuildahOptions): Promise<SpawnResult> {
    const { tmpDir, registriesConf, ...rest } = options
    const { rootDir, runDir } = this.paths
    const store = ['--root', rootDir, '--runroot', runDir, '--storage-driver', 'overlay']
    const program = ['buildah', ...store, ...args]
    return this.#helper.spawn(['unshare', ...ownProcesses, ...inPrivateMounts, ...program], {
      ...rest,
      env: { ...toolEnv, TMPDIR: tmpDir, CONTAINERS_REGISTRIES_CONF: registriesConf },
    })
  }

  /** Ids of what buildah calls containers: those of a build that was ended. Errors: INTERNAL. */
  async containers(): Promise<readonly string[]> {
    const path = `${this.paths.rootDir}/overlay-containers/containers.json`
    return parseContainerIds(await readOr(path))
  }

  /** Runs containers-storage on the store. Errors: INTERNAL with what it printed. */
  async storage(args: readonly string[]): Promise<void> {
    const { rootDir, runDir } = this.paths
    const argv = ['containers-storage', '-s', 'overlay', '-g', rootDir, '-R', runDir, ...args]
    const result = await this.#command(argv, { timeoutMs: storeTimeoutMs })
    if (result.code === 0) return
    throw new SwarmError('INTERNAL', `the image store failed: ${result.stderr.trim()}`, {
      details: { command: args.join(' ') },
    })
  }

  /** A skopeo name for what lies in the store: `docker.io/x/y:tag`, `…@sha256:…` or `@id`. */
  transport(name: string): string {
    return `containers-storage:[overlay@${this.paths.rootDir}+${this.paths.runDir}]${name}`
  }

  /** Writes all of the store's data to disk. Errors: INTERNAL. */
  async syncToDisk(): Promise<void> {
    const result = await this.#helper.spawn(['sync', '-f', this.paths.rootDir], {
      timeoutMs: storeTimeoutMs,
    })
    if (result.code !== 0) {
      throw new SwarmError('INTERNAL', `cannot write images to disk: ${result.stderr.trim()}`)
    }
  }

  run(argv: readonly string[], options: SkopeoOptions): Promise<SpawnResult> {
    return this.#helper.spawn(argv, options)
  }

  #command(
    argv: readonly string[],
    options: Omit<SkopeoOptions, 'tmpDir' | 'explains'>,
  ): Promise<SpawnResult> {
    return this.#helper.spawn(['unshare', '--mount', '--propagation', 'private', ...argv], {
      ...options,
      env: toolEnv,
    })
  }

  /** What a configuration says never changes: each is read once. */
  async #withPlatforms(images: readonly StoredImage[]): Promise<readonly StoredImage[]> {
    const before = this.#platforms
    const fresh = new Map<string, ImagePlatform>()
    const known: StoredImage[] = []
    for (const image of images) {
      const platform = before.get(image.id) ?? (await this.#platformOf(image))
      if (platform !== undefined) fresh.set(image.id, platform)
      known.push(platform === undefined ? image : { ...image, platform })
    }
    this.#platforms = fresh
    return known
  }

  /** Of one that is being written it is not known yet. */
  async #platformOf(image: StoredImage): Promise<ImagePlatform | undefined> {
    return storedPlatform(await this.configText(image).catch(() => ''))
  }

  /**
   * The store's tables, read again only when they changed. They are replaced by rename, never
   * written in place.
   */
  async #read(): Promise<Index> {
    const imagesPath = `${this.paths.rootDir}/overlay-images/images.json`
    const layersPath = `${this.paths.rootDir}/overlay-layers/layers.json`
    const stamp = `${await fileStamp(imagesPath)} ${await fileStamp(layersPath)}`
    if (stamp === this.#index.stamp) return this.#index
    const [images, layers] = await Promise.all([readOr(imagesPath), readOr(layersPath)])
    const byId = new Map(parseLayers(layers).map((layer) => [layer.id, layer]))
    const known = await this.#withPlatforms(parseImages(images))
    this.#index = { stamp, images: known, layers: byId }
    return this.#index
  }
}

export interface BuildahOptions {
  readonly timeoutMs: number
  readonly signal: AbortSignal
  readonly tmpDir: string
  readonly registriesConf: string
}

export interface SkopeoOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal
  readonly input?: string
  /** Where blobs are spooled. */
  readonly tmpDir?: string
  /** Tells why it had no answer in time: skopeo itself tries again and again without a word. */
  readonly explains?: boolean
  /** What comes after that is dropped. */
  readonly outputBytesMax?: number
}

function isId(text: string): boolean {
  return /^(sha256:)?[0-9a-f]{12,64}$/.test(text)
}

function familiar(text: string): string {
  return familiarReference(parseReference(text))
}

async function fileStamp(path: string): Promise<string> {
  try {
    const { mtimeNs, ino, size } = await stat(path, { bigint: true })
    return `${mtimeNs}/${ino}/${size}`
  } catch {
    return 'absent'
  }
}

/** An empty list while the store has not been written yet. */
async function readOr(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (err) {
    if (err instanceof Error && 'code' in err && err.code === 'ENOENT') return '[]'
    throw err
  }
}

/** As people write it. */
function shortName(name: string): string {
  return familiarReference(parseReference(name)).replace(/:latest$/, '')
}
