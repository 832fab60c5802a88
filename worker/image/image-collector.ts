// Removes images that nothing uses when they fill the disk. What goes first is decided in eviction.ts.
import { statfs } from 'node:fs/promises'
import { hasCode } from '../../proto/errors.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { NodeCondition } from '../../proto/objects/index.ts'
import { evictionOrder, type Fill, type GcLimits, isAbove } from './eviction.ts'
import type { Images, PrunedImages } from './images.ts'

export interface CollectorDeps {
  readonly images: Images
  /** Asked each time it looks. */
  readonly limits: () => GcLimits
  readonly clock: Clock
  readonly log: Logger
  /** Ids of the services that have a container here. */
  readonly services: () => Promise<ReadonlySet<string>>
  /** Hears what is to be known of it; empty: nothing. */
  readonly onConditions: (conditions: readonly NodeCondition[]) => void
  /** Bytes of the disk that a folder is on; default: as the kernel says. */
  readonly disk?: (path: string) => Promise<Pick<Fill, 'diskBytes' | 'diskUsedBytes'>>
}

const everyMs = 60_000
/** How long it is told that images were removed. */
const toldMs = 600_000

export class ImageCollector {
  readonly #deps: CollectorDeps
  #toldUntilMs = 0
  #removed: readonly NodeCondition[] = []

  constructor(deps: CollectorDeps) {
    this.#deps = deps
  }

  /** Looks again and again until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, images, log } = this.#deps
    while (!signal.aborted) {
      await wait(clock, everyMs, signal)
      if (!signal.aborted) await this.look()
      await images.uses.save(log)
    }
  }

  /** Once. What was removed; undefined: there was room. Never rejects. */
  async look(): Promise<PrunedImages | undefined> {
    const { log } = this.#deps
    try {
      return await this.#collect()
    } catch (err) {
      if (hasCode(err, 'UNAVAILABLE')) log.info({ err }, 'images not removed, trying again later')
      else log.warn({ err }, 'images not removed, trying again later')
      return undefined
    }
  }

  async #collect(): Promise<PrunedImages | undefined> {
    const { images, limits, clock, log } = this.#deps
    const { high, low, revisions } = limits()
    const all = await images.store.list()
    images.uses.keepOnly(new Set(all.map(({ id }) => id)))
    const before = await this.#fill()
    if (high === undefined || !isAbove(high, before)) {
      this.#tell([])
      return undefined
    }
    const services = await this.#deps.services()
    const gone = await images.evict({
      order: (facts) => evictionOrder(facts, { nowMs: clock.wallMs(), services, revisions }),
      isEnough: async () => !isAbove(low, await this.#fill()),
    })
    const after = await this.#fill()
    const fields = { ...gone, usedBytes: before.diskUsedBytes, diskBytes: before.diskBytes }
    if (gone.deleted.length > 0) log.info(fields, 'unused images removed')
    const isFull = isAbove(high, after)
    if (isFull) log.warn({ ...after }, 'images fill the disk, and none can be removed')
    if (gone.deleted.length > 0) this.#removed = [removedCondition(gone, before)]
    if (gone.deleted.length > 0) this.#toldUntilMs = clock.monotonicMs() + toldMs
    this.#tell(isFull ? [fullCondition(after)] : [])
    return gone
  }

  #tell(now: readonly NodeCondition[]): void {
    if (this.#deps.clock.monotonicMs() >= this.#toldUntilMs) this.#removed = []
    this.#deps.onConditions([...now, ...this.#removed])
  }

  async #fill(): Promise<Fill> {
    const { images, disk = diskOf } = this.#deps
    const { store } = images
    return { ...(await disk(store.paths.rootDir)), imageBytes: await store.layersBytes() }
  }
}

async function diskOf(path: string): Promise<Pick<Fill, 'diskBytes' | 'diskUsedBytes'>> {
  const { bsize, blocks, bfree, bavail } = await statfs(path)
  const diskUsedBytes = (blocks - bfree) * bsize
  // As df: what only root may have counts for nobody.
  return { diskUsedBytes, diskBytes: diskUsedBytes + bavail * bsize }
}

function removedCondition({ deleted, reclaimedBytes }: PrunedImages, fill: Fill): NodeCondition {
  const count = deleted.length === 1 ? '1 unused image was' : `${deleted.length} unused images were`
  const message = `${count} removed, ${megabytes(reclaimedBytes)}: ${words(fill)}. They are pulled again when they are needed`
  return { code: 'IMAGES_REMOVED', message }
}

function fullCondition(fill: Fill): NodeCondition {
  const message = `images cannot be removed, since all are in use or kept: ${words(fill)}. Remove what else is there, or raise imageGcHigh`
  return { code: 'IMAGES_FILL_DISK', message }
}

function words({ diskBytes, diskUsedBytes, imageBytes }: Fill): string {
  const share = diskBytes === 0 ? 0 : Math.round((100 * diskUsedBytes) / diskBytes)
  return `the disk of images is ${share} % full, ${megabytes(imageBytes)} of it layers`
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`
}
