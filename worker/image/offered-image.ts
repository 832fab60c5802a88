// For which platforms a registry has an image: asked before a service is made, so that its tasks go to nodes that can run it. Not for pulling.
// Source: Docker's /distribution/NAME/json, which its client asks (swarm-semantics 2, Placement.Platforms).
import { hasCode } from '../../proto/errors.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { Semaphore } from '../../proto/lib/semaphore.ts'
import type { RegistryAuth } from '../executor/executor.ts'
import type { ImageStore } from './image-store.ts'
import type { ImagePlatform } from './platform.ts'
import {
  familiarReference,
  fullName,
  type ImageReference,
  parseReference,
  pinnedReference,
} from './reference.ts'
import { registryFlags, withAuthDir } from './registry-access.ts'
import { parseManifest, platformOfConfig, platformsOf, pullError } from './registry-manifest.ts'
import { findByReference } from './store-index.ts'

export interface OfferedImage {
  /** Of what the reference means now; empty: unknown. */
  readonly digest: string
  /** Empty: unknown, or any. */
  readonly platforms: readonly ImagePlatform[]
  /** Why the registry did not say; empty: it did. */
  readonly failure: string
  /** This host has an image under the reference. */
  readonly isLocal: boolean
}

export interface OfferedImagesOptions {
  readonly store: Pick<ImageStore, 'list' | 'skopeo' | 'paths'>
  readonly clock: Clock
  readonly insecureRegistries: readonly string[]
}

interface AskOptions {
  readonly timeoutMs: number
  readonly signal: AbortSignal
  readonly auth: RegistryAuth | undefined
}

const askedAtOnce = 4
const askMs = 10_000
/** An image that is here may never have been in a registry: nobody waits long for one to say so. */
const localAskMs = 1_000
/** A registry that did not answer is not asked again so soon about what is local. */
const rememberedMs = 300_000
const registriesMax = 256

export class OfferedImages {
  readonly #options: OfferedImagesOptions
  readonly #slots = new Semaphore(askedAtOnce)
  /** When each did not answer. */
  readonly #silent = new Map<string, number>()

  constructor(options: OfferedImagesOptions) {
    this.#options = options
  }

  /** Errors: INVALID_ARGUMENT. */
  async ask(text: string, signal: AbortSignal, auth?: RegistryAuth): Promise<OfferedImage> {
    const { store, clock } = this.#options
    const reference = parseReference(text)
    const isLocal = findByReference(await store.list(), reference) !== undefined
    const { registry } = reference
    const silentMs = clock.monotonicMs() - (this.#silent.get(registry) ?? Number.NEGATIVE_INFINITY)
    if (isLocal && silentMs < rememberedMs) {
      return { ...unknown, isLocal, failure: `registry ${registry} did not answer a moment ago` }
    }
    try {
      const timeoutMs = isLocal ? localAskMs : askMs
      const offered = await this.#slots.run(() =>
        this.#asked(reference, { timeoutMs, signal, auth }),
      )
      this.#silent.delete(registry)
      return { ...offered, failure: '', isLocal }
    } catch (err) {
      if (signal.aborted) throw err
      // It answered all the same if it only does not know the image, or not us.
      if (!hasCode(err, 'IMAGE_NOT_FOUND', 'UNAUTHENTICATED')) this.#noteSilent(registry)
      return { ...unknown, isLocal, failure: err instanceof Error ? err.message : String(err) }
    }
  }

  #noteSilent(registry: string): void {
    this.#silent.delete(registry)
    this.#silent.set(registry, this.#options.clock.monotonicMs())
    const [oldest] = this.#silent.keys()
    if (this.#silent.size > registriesMax && oldest !== undefined) this.#silent.delete(oldest)
  }

  async #asked(
    reference: ImageReference,
    options: AskOptions,
  ): Promise<Pick<OfferedImage, 'digest' | 'platforms'>> {
    const manifest = parseManifest(await this.#inspect(reference, ['--raw'], options))
    const { digest } = manifest
    if (manifest.kind === 'list') return { digest, platforms: platformsOf(manifest.platforms) }
    const one = { ...reference, digest }
    const config = await this.#inspect(one, ['--config', '--raw'], options)
    return { digest, platforms: platformOfConfig(config) }
  }

  /** Errors: as a pull. */
  async #inspect(
    reference: ImageReference,
    what: readonly string[],
    options: AskOptions,
  ): Promise<string> {
    const { store, insecureRegistries } = this.#options
    const { registry, digest } = reference
    const name =
      digest === undefined ? pinnedReference(reference) : `${fullName(reference)}@${digest}`
    const { auth } = options
    const result = await withAuthDir(store.paths.runDir, async (authDir) => {
      const flags = await registryFlags({ registry, auth, insecureRegistries, authDir }, '')
      return await store.skopeo(['inspect', ...what, ...flags, `docker://${name}`], {
        ...options,
        explains: true,
      })
    })
    if (result.code === 0) return result.stdout
    throw pullError(result.stderr, familiarReference(reference), registry)
  }
}

const unknown = { digest: '', platforms: [] }
