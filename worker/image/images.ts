// The images of one daemon as the rest of the worker uses them: pull, load, list, remove, and what
// is in use.
import { writeFile } from 'node:fs/promises'
import { SwarmError } from '../../proto/errors.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import type { Random } from '../../proto/lib/random.ts'
import { Semaphore } from '../../proto/lib/semaphore.ts'
import {
  type ContainerConfig,
  type PullOptions,
  type RegistryAuth,
  type ResolvedImage,
  serviceIdLabel,
} from '../executor/executor.ts'
import type { SpawnHelper } from '../executor/spawn/spawn-helper.ts'
import { type BuildRequest, buildImage, cleanUp } from './build.ts'
import type { ImageFacts } from './eviction.ts'
import { filteredImages, type ImageFilter, namedByFilters } from './image-filters.ts'
import { ImageStore, type ImageStorePaths } from './image-store.ts'
import { openStore } from './image-transfer.ts'
import { ImageUses, type RegistryDigest } from './image-uses.ts'
import { type ImportRequest, importArchive } from './import.ts'
import { type LoadRequest, loadArchive } from './load.ts'
import { tryLogin } from './login.ts'
import { type OfferedImage, OfferedImages } from './offered-image.ts'
import type { Patience } from './patience.ts'
import { type ImagePlatform, isFor, parsePlatform } from './platform.ts'
import { isPruned, type PruneWish } from './prune.ts'
import { Puller } from './pull.ts'
import { type PushRequest, pushImage } from './push.ts'
import {
  familiarReference,
  fullName,
  fullReference,
  type ImageReference,
  parseReference,
} from './reference.ts'
import { type RegistriesConf, type RegistryMirror, registriesConf } from './registries-conf.ts'
import { saveArchive } from './save.ts'
import {
  findImages,
  type ImageConfig,
  isNative,
  repositoryDigests,
  type StoredImage,
} from './store-index.ts'
import { pullAllTags } from './tags.ts'

export interface ImagesOptions {
  readonly paths: ImageStorePaths
  readonly helper: SpawnHelper
  readonly clock: Clock
  readonly random: Random
  readonly insecureRegistries: readonly string[]
  /** Default: none. */
  readonly registryMirrors?: readonly RegistryMirror[]
  readonly patience?: Patience
  /** cgroup of the commands of builds. */
  readonly buildCgroup: string
}

/** A container that needs an image. */
export interface ImageUser {
  readonly containerId: string
  readonly running: boolean
}

/** An image as users see it. */
export interface ImageSummary {
  /** `sha256:…` */
  readonly id: string
  /** `nginx:1.27` */
  readonly names: readonly string[]
  /** `nginx@sha256:…` */
  readonly digests: readonly string[]
  readonly sizeBytes: number
  readonly createdAtMs: number
}

export interface RemovedImage {
  readonly untagged: readonly string[]
  readonly deleted: readonly string[]
}

export interface PrunedImages extends RemovedImage {
  readonly reclaimedBytes: number
}

const removeWaitMs = 30_000
const noUse = { digests: {}, isPulled: false }

export interface EvictionRequest {
  /** Ids, in the order in which images go; others stay. */
  readonly order: (images: readonly ImageFacts[]) => readonly string[]
  /** Asked before each. */
  readonly isEnough: () => Promise<boolean>
}

export class Images {
  readonly store: ImageStore
  /** What was used when. */
  readonly uses: ImageUses
  readonly #options: ImagesOptions
  readonly #registries: RegistriesConf
  readonly #puller: Puller
  readonly #offered: OfferedImages
  readonly #deleting = new Set<string>()
  readonly #building = new Semaphore(1)
  #usersOf: (imageId: string) => readonly ImageUser[] = () => []

  constructor(options: ImagesOptions) {
    this.#options = options
    const { insecureRegistries, registryMirrors = [], paths } = options
    this.#registries = { insecureRegistries, registryMirrors }
    const conf = { registriesConf: `${paths.runDir}/registries.conf` }
    const isOwn = registryMirrors.length > 0
    this.store = new ImageStore(isOwn ? { ...paths, ...conf } : paths, options.helper)
    this.uses = new ImageUses(`${paths.stateDir}/uses.json`, options.clock)
    this.#puller = new Puller({ ...options, store: this.store })
    this.#offered = new OfferedImages({ ...options, store: this.store })
  }

  /** Makes the folders, repairs what a crash left. To be awaited before anything else. */
  async open(): Promise<void> {
    await openStore(this.store)
    await this.uses.open()
    const { registriesConf: path } = this.store.paths
    if (path !== undefined) await writeFile(path, registriesConf(this.#registries))
    const { buildCgroup: cgroup, clock } = this.#options
    await cleanUp({ store: this.store, cgroup, clock })
  }

  /** Tells who uses an image (`sha256:…`); asked in the very tick in which a removal decides. */
  setUsage(usersOf: (imageId: string) => readonly ImageUser[]): void {
    this.#usersOf = usersOf
  }

  /** As Executor.pull. */
  async pull(reference: string, options: PullOptions): Promise<ResolvedImage> {
    const parsed = parseReference(reference)
    const platform = options.platform === undefined ? undefined : parsePlatform(options.platform)
    const subject = familiarReference(parsed)
    if (parsed.digest !== undefined || options.policy === 'missing') {
      const [local] = findImages(await this.store.list(), reference)
      if (local !== undefined && this.#serves(local, parsed, platform)) {
        options.progress?.({ step: 'up to date', subject, doneBytes: 0, totalBytes: 0 })
        this.uses.note(local.id)
        const { digest } = parsed
        const resolved = await this.store.resolved(reference, local)
        return digest === undefined ? resolved : { ...resolved, digest }
      }
    }
    const { image, digest } = await this.#puller.pull({
      reference: parsed,
      platform,
      auth: options.auth,
      signal: options.signal ?? new AbortController().signal,
      progress: options.progress ?? (() => {}),
    })
    this.uses.notePulled(image.id, { repository: fullName(parsed), digest })
    options.progress?.({ step: 'done', subject, doneBytes: 0, totalBytes: 0 })
    return { ...(await this.store.resolved(reference, image)), digest }
  }

  /**
   * Whether the local image is what a pull would bring. One of another platform is there because somebody asked for it by its platform: for all
   * others the registry is asked, unless it can have come from none, or they name the very image.
   */
  #serves(
    local: StoredImage,
    { digest }: ImageReference,
    platform: ImagePlatform | undefined,
  ): boolean {
    if (platform !== undefined)
      return local.platform === undefined || isFor(local.platform, platform)
    if (isNative(local)) return true
    return digest === undefined ? !this.uses.of(local.id).isPulled : local.digests[0] === digest
  }

  /** All tags that the registry lists, one after another. As pullAllTags; after each a step with its digest. */
  pullAll(repository: string, options: PullOptions): Promise<readonly ResolvedImage[]> {
    const { signal = new AbortController().signal, auth, progress } = options
    return pullAllTags(
      { ...this.#options, ...this.#registries, store: this.store },
      {
        ...{ repository, auth, signal },
        pull: (reference) => this.pull(reference, options),
        onPulled: (tag, { digest = '' }) =>
          progress?.({ step: `digest: ${digest}`, subject: tag, doneBytes: 0, totalBytes: 0 }),
      },
    )
  }

  /** What the registry has under the reference. Errors: INVALID_ARGUMENT. */
  offered(reference: string, signal: AbortSignal, auth?: RegistryAuth): Promise<OfferedImage> {
    return this.#offered.ask(reference, signal, auth)
  }

  /** As loadArchive. */
  async load(request: LoadRequest): Promise<readonly ImageSummary[]> {
    const images = await loadArchive(this.store, this.#options.random, request)
    return Promise.all(images.map((image) => this.#summary(image)))
  }

  /** As importArchive. */
  async import(request: ImportRequest): Promise<ImageSummary> {
    const { clock, random } = this.#options
    const deps = { store: this.store, random, wallMs: () => clock.wallMs() }
    return this.#summary(await importArchive(deps, request))
  }

  /**
   * Newest first; with a reference only what it means, with filters those for which all hold. Errors: INVALID_ARGUMENT,
   * IMAGE_NOT_FOUND and AMBIGUOUS of images that filters name.
   */
  async list(
    reference = '',
    filters: readonly ImageFilter[] = [],
  ): Promise<readonly ImageSummary[]> {
    const all = await this.store.list()
    const wanted = reference === '' ? all : all.filter((image) => matches(image, reference))
    const summaries = await Promise.all(wanted.map((image) => this.#summary(image)))
    const sorted = summaries.toSorted((a, b) => b.createdAtMs - a.createdAtMs)
    if (filters.length === 0) return sorted
    const createdAtMs = new Map<string, number>()
    for (const text of namedByFilters(filters)) {
      createdAtMs.set(text, (await this.store.get(text)).createdAtMs)
    }
    const labels = new Map<string, ImageConfig['labels']>()
    for (const image of wanted) {
      labels.set(`sha256:${image.id}`, (await this.store.config(image)).labels)
    }
    const labelled = sorted.map((one) => ({ ...one, labels: labels.get(one.id) ?? {} }))
    return filteredImages(labelled, filters, (text) => createdAtMs.get(text) ?? 0)
  }

  /** Errors: IMAGE_NOT_FOUND, AMBIGUOUS. */
  async get(text: string): Promise<ImageSummary> {
    return this.#summary(await this.store.get(text))
  }

  /**
   * For a new container. `pin` gets the id (`sha256:…`) in the tick in which it is sure that the image stays, and must
   * make it count as used. Errors: IMAGE_NOT_FOUND, AMBIGUOUS.
   */
  async forContainer(
    { image: text, labels }: Pick<ContainerConfig, 'image' | 'labels'>,
    pin: (imageId: string) => void,
  ): Promise<StoredImage> {
    const image = await this.store.get(text)
    if (!this.#deleting.has(image.id)) {
      pin(`sha256:${image.id}`)
      this.uses.note(image.id, labels[serviceIdLabel])
      return image
    }
    throw new SwarmError('IMAGE_NOT_FOUND', `No such image: ${text}: it is just being removed`)
  }

  /**
   * Takes a name away, and the image with its last name. `force` also takes what ended containers
   * use and images with several names by id. Errors: IMAGE_NOT_FOUND, AMBIGUOUS, IN_USE,
   * UNAVAILABLE.
   */
  remove(text: string, force: boolean): Promise<RemovedImage> {
    return this.#alone(`cannot remove image ${text}`, () => this.#removeNow(text, force))
  }

  /**
   * Gives an image one more name; an image that had it loses it. Errors: IMAGE_NOT_FOUND, AMBIGUOUS, INVALID_ARGUMENT,
   * UNAVAILABLE.
   */
  tag(source: string, target: string): Promise<void> {
    return this.#alone(`cannot tag ${source}`, async () => {
      const name = parseReference(target)
      if (name.digest !== undefined) {
        throw new SwarmError(
          'INVALID_ARGUMENT',
          `refusing to create a tag with a digest: ${target}`,
        )
      }
      const { id } = await this.store.get(source)
      await this.store.storage(['add-names', '-n', fullReference(name), id])
    })
  }

  /** As saveArchive. */
  save(references: readonly string[], signal: AbortSignal): AsyncIterable<Uint8Array> {
    return saveArchive(this.store, { references, signal, token: newId(this.#options.random) })
  }

  /** As pushImage. */
  push(request: PushRequest): Promise<void> {
    const onPushed = (id: string, there: RegistryDigest): void => this.uses.noteDigest(id, there)
    return pushImage({ ...this.#options, store: this.store, onPushed }, request)
  }

  /** As tryLogin. */
  login(registry: string, auth: RegistryAuth, signal: AbortSignal): Promise<void> {
    return tryLogin({ ...this.#options, store: this.store }, registry, { auth, signal })
  }

  /** Removes what is wished and no container uses, running or ended. Errors: UNAVAILABLE. */
  prune(wish: PruneWish): Promise<PrunedImages> {
    return this.#alone('cannot remove unused images', () => this.#pruneNow(wish))
  }

  async #pruneNow(wish: PruneWish): Promise<PrunedImages> {
    const before = await this.store.layersBytes()
    const untagged: string[] = []
    const deleted: string[] = []
    for (const image of await this.store.list()) {
      const { labels } = await this.store.config(image)
      const isUsed = this.#usersOf(`sha256:${image.id}`).length > 0
      if (isUsed || !isPruned(image, labels, wish)) continue
      await this.#delete(image)
      untagged.push(...image.names.map(familiar))
      deleted.push(`sha256:${image.id}`)
    }
    if (wish.untilMs === 0 && [...wish.labels, ...wish.otherLabels].length === 0) {
      await this.#deleteBuildSteps()
    }
    return { untagged, deleted, reclaimedBytes: before - (await this.store.layersBytes()) }
  }

  /** First what builds keep goes, then images, none that a container uses. Errors: UNAVAILABLE. */
  evict(request: EvictionRequest): Promise<PrunedImages> {
    return this.#alone('cannot remove unused images', () => this.#evictNow(request))
  }

  async #evictNow({ order, isEnough }: EvictionRequest): Promise<PrunedImages> {
    const before = await this.store.layersBytes()
    await this.#deleteBuildSteps()
    const untagged: string[] = []
    const deleted: string[] = []
    const isUsed = (id: string): boolean => this.#usersOf(`sha256:${id}`).length > 0
    const images = new Map((await this.store.list()).map((image) => [image.id, image]))
    const facts = [...images.keys()].map((id) => ({ id, ...this.uses.of(id), isUsed: isUsed(id) }))
    for (const id of order(facts)) {
      const image = images.get(id)
      if (await isEnough()) break
      // Or it was asked for since.
      const isAsked = this.uses.of(id).usedMs !== facts.find((one) => one.id === id)?.usedMs
      if (image === undefined || isUsed(id) || isAsked) continue
      await this.#delete(image)
      untagged.push(...image.names.map(familiar))
      deleted.push(`sha256:${id}`)
    }
    return { untagged, deleted, reclaimedBytes: before - (await this.store.layersBytes()) }
  }

  /** What builds keep for later ones. Beside no transfer, so that nothing else in the store is without its mark. */
  async #deleteBuildSteps(): Promise<void> {
    for (const { id } of await this.store.listAll()) {
      if (!this.store.isReady(id)) await this.store.storage(['delete-image', id])
    }
  }

  /** As buildImage. */
  async build(request: BuildRequest): Promise<ImageSummary> {
    const { clock, random, buildCgroup: cgroup } = this.#options
    const { store } = this
    const deps = { store, clock, random, ...this.#registries, cgroup, turn: this.#building }
    return this.#summary(await buildImage(deps, request))
  }

  /** Beside no pull, load or other removal. Errors: UNAVAILABLE when those do not end. */
  async #alone<T>(failure: string, work: () => Promise<T>): Promise<T> {
    const controller = new AbortController()
    const timer = this.#options.clock.setTimer(removeWaitMs, () => controller.abort())
    try {
      return await this.store.lock.exclusive(() => {
        timer.cancel()
        return work()
      }, controller.signal)
    } catch (err) {
      if (!controller.signal.aborted) throw err
      throw new SwarmError(
        'UNAVAILABLE',
        `${failure} while images are being pulled: try again when that is done`,
        { cause: err },
      )
    } finally {
      timer.cancel()
    }
  }

  async #removeNow(text: string, force: boolean): Promise<RemovedImage> {
    const image = await this.store.get(text)
    const named = namesMeant(image, text)
    const digested = named.length === 0 ? tryParse(text) : undefined
    if (digested?.digest !== undefined && image.names.length > 0) {
      // A digest beside names is one more name, as in Docker: they stay, and the image with them.
      this.uses.noteDigest(image.id, { repository: fullName(digested), digest: '' })
      return { untagged: [familiarReference({ ...digested, tag: undefined })], deleted: [] }
    }
    const rest = image.names.filter((name) => !named.includes(name))
    if (named.length > 0 && rest.length > 0) {
      await this.store.storage(['set-names', ...rest.flatMap((name) => ['-n', name]), image.id])
      return { untagged: named.map(familiar), deleted: [] }
    }
    this.#refuseIfNeeded(image, { text, force, byId: named.length === 0 })
    await this.#delete(image)
    return { untagged: image.names.map(familiar), deleted: [`sha256:${image.id}`] }
  }

  /** From the tick on in which it was seen that nobody uses it. */
  async #delete(image: StoredImage): Promise<void> {
    this.#deleting.add(image.id)
    try {
      await this.store.storage(['delete-image', image.id])
      await this.store.unmark(image.id)
    } finally {
      this.#deleting.delete(image.id)
    }
  }

  #refuseIfNeeded(
    image: StoredImage,
    {
      text,
      force,
      byId,
    }: { readonly text: string; readonly force: boolean; readonly byId: boolean },
  ): void {
    const users = this.#usersOf(`sha256:${image.id}`)
    const user = users.find((one) => one.running) ?? users[0]
    if (user !== undefined && (user.running || !force)) {
      const how = user.running ? 'cannot be forced' : 'must be forced'
      throw new SwarmError(
        'IN_USE',
        `conflict: unable to remove image ${text} (${how}): container ${user.containerId} uses it`,
        { details: { containerId: user.containerId } },
      )
    }
    if (byId && !force && image.names.length > 1) {
      throw new SwarmError(
        'IN_USE',
        `conflict: unable to remove image ${text} (must be forced): it has several names, ` +
          `${image.names.map(familiar).join(', ')}`,
      )
    }
  }

  async #summary(image: StoredImage): Promise<ImageSummary> {
    return {
      id: `sha256:${image.id}`,
      names: image.names.filter((name) => !name.includes('@')).map(familiar),
      digests: repositoryDigests(image, this.uses.known(image.id) ?? noUse).map(familiar),
      sizeBytes: await this.store.sizeBytes(image),
      createdAtMs: image.createdAtMs,
    }
  }
}

/** Which of the image's names the text names; none when it is an id. */
function namesMeant(image: StoredImage, text: string): readonly string[] {
  return image.names.filter((name) => {
    const wanted = tryParse(text)
    if (wanted === undefined) return false
    const own = parseReference(name)
    const sameName = own.registry === wanted.registry && own.repository === wanted.repository
    const sameDigest = wanted.digest !== undefined && own.digest === wanted.digest
    return sameName && (sameDigest || (wanted.digest === undefined && own.tag === wanted.tag))
  })
}

/** `nginx` lists all tags of it, `nginx:1.27` that one, an id that one. */
function matches(image: StoredImage, text: string): boolean {
  if (findImages([image], text).length > 0) return true
  if (/[:@]/.test(text.slice(text.lastIndexOf('/') + 1))) return false
  const wanted = parseReference(text)
  return image.names.some((name) => {
    const own = parseReference(name)
    return own.registry === wanted.registry && own.repository === wanted.repository
  })
}

function tryParse(text: string) {
  try {
    return parseReference(text)
  } catch {
    return undefined
  }
}

function familiar(name: string): string {
  return familiarReference(parseReference(name))
}
