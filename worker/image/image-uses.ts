// When each image of this host was used last, and by which service: what is not used longest goes first. And what registries call it. A note lost to
// a crash costs no more than an image that goes too early, and is pulled again.
import { readFile, rename, writeFile } from 'node:fs/promises'
import { z } from 'zod'
import type { Clock } from '../../proto/lib/clock.ts'
import type { Logger } from '../../proto/lib/log.ts'

export interface ImageUse {
  /** ms since 1970 */
  readonly usedMs: number
  /** A registry gave it to this host. */
  readonly isPulled: boolean
  /** When each service used it last, by id. */
  readonly services: Readonly<Record<string, number>>
  /** `sha256:…` by repository (`docker.io/library/nginx`), as it was pulled from there or pushed there last; empty: it was taken away. */
  readonly digests: Readonly<Record<string, string>>
}

/** What a registry calls an image. */
export interface RegistryDigest {
  /** Full. */
  readonly repository: string
  readonly digest: string
}

const unknown: ImageUse = { usedMs: 0, isPulled: false, services: {}, digests: {} }

/** Of one image; those that used it longest ago are forgotten. */
const servicesMax = 64
const repositoriesMax = 64

const schema = z.record(
  z.string(),
  z.object({
    usedMs: z.number(),
    isPulled: z.boolean(),
    services: z.record(z.string(), z.number()),
    digests: z.record(z.string(), z.string()).default({}),
  }),
)

export class ImageUses {
  readonly #path: string
  readonly #clock: Clock
  readonly #uses = new Map<string, ImageUse>()
  #isSaved = true

  constructor(path: string, clock: Clock) {
    this.#path = path
    this.#clock = clock
  }

  /** Reads what is kept. A file that is missing or damaged says nothing. */
  async open(): Promise<void> {
    const text = await readFile(this.#path, 'utf8').catch(() => '{}')
    for (const [id, use] of Object.entries(parsed(text))) this.#uses.set(id, use)
  }

  /** The image is used now. */
  note(id: string, serviceId?: string): void {
    const nowMs = this.#clock.wallMs()
    const known = this.#uses.get(id) ?? unknown
    const { services: all } = known
    const services = serviceId === undefined ? all : newest({ ...all, [serviceId]: nowMs })
    this.#uses.set(id, { ...known, usedMs: nowMs, services })
    this.#isSaved = false
  }

  /** A registry gave it now. */
  notePulled(id: string, from: RegistryDigest): void {
    this.note(id)
    this.#uses.set(id, { ...this.of(id), isPulled: true })
    this.noteDigest(id, from)
  }

  /** A registry has it. */
  noteDigest(id: string, { repository, digest }: RegistryDigest): void {
    const use = this.of(id)
    const { [repository]: _, ...others } = use.digests
    const kept = Object.entries({ ...others, [repository]: digest }).slice(-repositoriesMax)
    this.#uses.set(id, { ...use, digests: Object.fromEntries(kept) })
    this.#isSaved = false
  }

  /** What is known of one, without taking note of it. */
  known(id: string): ImageUse | undefined {
    return this.#uses.get(id)
  }

  /** One that is seen for the first time counts as used now. */
  of(id: string): ImageUse {
    if (!this.#uses.has(id)) this.note(id)
    return this.#uses.get(id) ?? unknown
  }

  /** The others are gone. */
  keepOnly(ids: ReadonlySet<string>): void {
    for (const id of [...this.#uses.keys()]) {
      if (ids.has(id)) continue
      this.#uses.delete(id)
      this.#isSaved = false
    }
  }

  /** Writes what is not on disk yet. Never rejects. */
  async save(log: Logger): Promise<void> {
    if (this.#isSaved) return
    this.#isSaved = true
    try {
      const fresh = `${this.#path}.new`
      await writeFile(fresh, JSON.stringify(Object.fromEntries(this.#uses)), { mode: 0o600 })
      await rename(fresh, this.#path)
    } catch (err) {
      this.#isSaved = false
      log.warn({ err }, 'uses of images not saved')
    }
  }
}

function newest(services: Readonly<Record<string, number>>): ImageUse['services'] {
  const entries = Object.entries(services)
  if (entries.length <= servicesMax) return services
  return Object.fromEntries(entries.toSorted(([, a], [, b]) => b - a).slice(0, servicesMax))
}

function parsed(text: string): Readonly<Record<string, ImageUse>> {
  try {
    const found = schema.safeParse(JSON.parse(text))
    return found.success ? found.data : {}
  } catch {
    return {}
  }
}
