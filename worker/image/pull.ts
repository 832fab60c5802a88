// Brings an image from a registry into the store, with progress. One pull of a reference at a time:
// callers that ask for the same share it.
import { readdir, stat } from 'node:fs/promises'
import { SwarmError } from '../../proto/errors.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { PullProgress, RegistryAuth } from '../executor/executor.ts'
import type { ImageStore } from './image-store.ts'
import { finishTransfer, ofFullDisk, openTransfer } from './image-transfer.ts'
import { type Patience, usualPatience } from './patience.ts'
import { type ImagePlatform, isFor, ownPlatform, platformEntry, platformText } from './platform.ts'
import {
  familiarReference,
  fullName,
  fullReference,
  type ImageReference,
  pinnedReference,
} from './reference.ts'
import { registryFlags } from './registry-access.ts'
import {
  type Blob,
  parseManifest,
  platformsOf,
  pullError,
  type RegistryManifest,
} from './registry-manifest.ts'
import { findByReference, type StoredImage, storedPlatform } from './store-index.ts'

export interface PullerOptions {
  readonly store: ImageStore
  readonly clock: Clock
  readonly random: Random
  /** Registries (`host[:port]`) that speak plain HTTP or have no trusted certificate. */
  readonly insecureRegistries: readonly string[]
  readonly patience?: Patience
}

export interface PullRequest {
  readonly reference: ImageReference
  /** Undefined: this host's, and whatever it is of an image that has one alone. */
  readonly platform: ImagePlatform | undefined
  readonly auth: RegistryAuth | undefined
  readonly signal: AbortSignal
  readonly progress: (step: PullProgress) => void
}

const longestMs = 6 * 3_600_000
const progressEveryMs = 200

export interface PulledImage {
  readonly image: StoredImage
  /** `sha256:…` of what the reference means: maybe of a list of platforms. */
  readonly digest: string
}

/** What a pull in progress is shared by. */
interface Flight {
  readonly done: Promise<PulledImage>
  readonly controller: AbortController
  readonly listeners: Set<(step: PullProgress) => void>
  interested: number
}

export class Puller {
  readonly #options: PullerOptions
  readonly #patience: Patience
  readonly #flights = new Map<string, Flight>()

  constructor(options: PullerOptions) {
    this.#options = options
    this.#patience = options.patience ?? usualPatience
  }

  /**
   * The image once it is complete on disk. Aborting leaves the pull to others who wait for it.
   * Errors: IMAGE_NOT_FOUND, UNAUTHENTICATED, UNAVAILABLE, RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED,
   * CANCELLED.
   */
  async pull(request: PullRequest): Promise<PulledImage> {
    const { reference, auth, platform } = request
    const key = JSON.stringify([fullReference(reference), auth ?? {}, platform ?? {}])
    const flight = this.#flights.get(key) ?? this.#start(key, request)
    flight.listeners.add(request.progress)
    flight.interested += 1
    try {
      return await raceAbort(flight.done, request.signal, familiarReference(request.reference))
    } finally {
      flight.listeners.delete(request.progress)
      flight.interested -= 1
      if (flight.interested === 0) flight.controller.abort()
    }
  }

  #start(key: string, request: PullRequest): Flight {
    const { controller } = childController()
    const listeners = new Set<(step: PullProgress) => void>()
    const progress = (step: PullProgress): void => {
      for (const listener of listeners) listener(step)
    }
    const shared = { ...request, signal: controller.signal, progress }
    const done = this.#options.store.lock
      .shared(() => this.#pullNow(shared), controller.signal)
      .catch((err: unknown) => {
        throw ofFullDisk(`cannot pull ${familiarReference(request.reference)}`, err)
      })
      .finally(() => this.#flights.delete(key))
    // Whoever waits sees the failure; with nobody left it concerns nobody.
    done.catch(() => {})
    const flight = { done, controller, listeners, interested: 0 }
    this.#flights.set(key, flight)
    return flight
  }

  async #pullNow(request: PullRequest): Promise<PulledImage> {
    const { store, random } = this.#options
    const { reference, progress } = request
    const subject = familiarReference(reference)
    const transfer = await openTransfer(store, newId(random))
    try {
      const { insecureRegistries } = this.#options
      const { auth } = request
      const access = { ...reference, auth, insecureRegistries, authDir: transfer.authDir }
      const authFlags = await registryFlags(access, 'src-')
      progress({ step: 'resolving', subject, doneBytes: 0, totalBytes: 0 })
      const wanted = await this.#wantedImage(request, authFlags)
      const known = findByReference(await store.list(), reference)
      if (known?.digests.includes(wanted.imageDigest) === true) {
        progress({ step: 'up to date', subject, doneBytes: 0, totalBytes: 0 })
        return { image: known, digest: wanted.digest }
      }
      const { totalBytes, layerBytes } = await this.#missingBytes(wanted.manifest)
      const { tmpDir } = transfer
      await this.#copy({ request, authFlags, wanted, totalBytes, layerBytes, tmpDir })
      progress({ step: 'storing', subject, doneBytes: totalBytes, totalBytes })
      return { image: await finishTransfer(store, wanted.storedAs), digest: wanted.digest }
    } finally {
      await transfer.close()
    }
  }

  /** Asks the registry what the reference means now, for the platform. */
  async #wantedImage(request: PullRequest, flags: readonly string[]): Promise<WantedImage> {
    const { reference, platform = ownPlatform() } = request
    const pinned = pinnedReference(reference)
    const manifest = await this.#inspect(request, pinned, flags)
    const { digest } = manifest
    if (manifest.kind === 'image') {
      if (request.platform !== undefined) await this.#refuseOther(request, digest, flags)
      return { digest, imageDigest: digest, manifest, storedAs: pinned, choice: [] }
    }
    const entry = platformEntry(manifest.platforms, platform)
    if (entry === undefined) throw notFor(reference, platform, platformsOf(manifest.platforms))
    const name = `${fullName(reference)}@${entry.digest}`
    const image = await this.#inspect(request, name, flags)
    return {
      ...{ digest, imageDigest: entry.digest, manifest: image, storedAs: name },
      choice: choiceFlags(entry),
    }
  }

  /** Errors: IMAGE_NOT_FOUND for an image of one platform that is not the one asked for. */
  async #refuseOther(
    request: PullRequest,
    digest: string,
    flags: readonly string[],
  ): Promise<void> {
    const { reference, platform = ownPlatform() } = request
    const name = `${fullName(reference)}@${digest}`
    const config = await this.#asked(request, name, [...flags, '--config'])
    const found = storedPlatform(config)
    if (found !== undefined && !isFor(found, platform)) throw notFor(reference, platform, [found])
  }

  async #inspect(
    request: PullRequest,
    name: string,
    flags: readonly string[],
  ): Promise<RegistryManifest> {
    return parseManifest(await this.#asked(request, name, flags))
  }

  async #asked(request: PullRequest, name: string, flags: readonly string[]): Promise<string> {
    const { signal } = request
    const inspectFlags = flags.map((flag) => flag.replace('--src-', '--'))
    const result = await this.#options.store.skopeo(
      ['inspect', '--raw', ...inspectFlags, `docker://${name}`],
      { timeoutMs: this.#patience.answerMs, signal, explains: true },
    )
    if (result.code !== 0) throw this.#failure(request, result.stderr)
    return result.stdout
  }

  /** Bytes of the blobs the store does not have. */
  async #missingBytes(manifest: RegistryManifest): Promise<MissingBytes> {
    if (manifest.kind !== 'image') return { totalBytes: 0, layerBytes: 0 }
    const layers = await this.#options.store.layers()
    const present = new Set([...layers.values()].map((layer) => layer.blobDigest))
    const bytesOf = (blobs: readonly Blob[]): number =>
      blobs
        .filter((blob) => !present.has(blob.digest))
        .reduce((sum, blob) => sum + blob.sizeBytes, 0)
    const { blobs } = manifest
    return { totalBytes: bytesOf(blobs), layerBytes: bytesOf(blobs.slice(0, -1)) }
  }

  async #copy(copy: CopyRequest): Promise<void> {
    const { request, wanted } = copy
    const { store, clock } = this.#options
    const { controller, release } = childController(request.signal)
    const giveUp = (doneBytes: number, silentMs: number): void =>
      controller.abort(stalled(copy, { doneBytes, silentMs }))
    const watcher = watchProgress(copy, { clock, patience: this.#patience, giveUp })
    try {
      const name = fullName(request.reference)
      const result = await store.skopeo(
        [
          'copy',
          ...[...wanted.choice, ...copy.authFlags],
          `docker://${name}@${wanted.digest}`,
          store.transport(pinnedReference(request.reference)),
        ],
        { timeoutMs: longestMs, signal: controller.signal, tmpDir: copy.tmpDir },
      )
      if (controller.signal.reason instanceof SwarmError) throw controller.signal.reason
      if (result.code !== 0) throw this.#failure(request, result.stderr)
    } finally {
      watcher.stop()
      release()
    }
  }

  #failure(request: PullRequest, stderr: string): SwarmError {
    const subject = familiarReference(request.reference)
    if (request.signal.aborted) return cancelled(subject)
    return pullError(stderr, subject, request.reference.registry)
  }
}

interface WantedImage {
  /** What the reference means: maybe of a list of platforms. */
  readonly digest: string
  /** Of the image for this platform. */
  readonly imageDigest: string
  readonly manifest: RegistryManifest
  /** A full name by which the store has that image then, and no other. */
  readonly storedAs: string
  /** Flags of skopeo for that image of the list. */
  readonly choice: readonly string[]
}

interface CopyRequest extends MissingBytes {
  readonly request: PullRequest
  readonly authFlags: readonly string[]
  readonly wanted: WantedImage
  readonly tmpDir: string
}

/** So that skopeo takes the very entry, whatever it takes this host for. */
function choiceFlags({ os, architecture, variant }: ImagePlatform): readonly string[] {
  const own = [`--override-os=${os}`, `--override-arch=${architecture}`]
  return variant === undefined ? own : [...own, `--override-variant=${variant}`]
}

/** Of a list that is longer no more are named. */
const namedMax = 16

function notFor(
  reference: ImageReference,
  platform: ImagePlatform,
  there: readonly ImagePlatform[],
): SwarmError {
  const names = there.slice(0, namedMax).map(platformText).join(', ')
  const known = names === '' ? 'no image of a platform' : names
  return new SwarmError(
    'IMAGE_NOT_FOUND',
    `No such image: ${familiarReference(reference)} for platform ${platformText(platform)}: registry ${reference.registry} has it for ${known}`,
  )
}

/** Without the configuration, and with it. */
interface MissingBytes {
  readonly layerBytes: number
  readonly totalBytes: number
}

interface Watch {
  readonly clock: Clock
  readonly patience: Patience
  readonly giveUp: (doneBytes: number, silentMs: number) => void
}

/**
 * Blobs are spooled to files below tmpDir: their size is the progress. Without growth for too long
 * it gives up.
 */
function watchProgress(copy: CopyRequest, { clock, patience, giveUp }: Watch): { stop(): void } {
  const { progress, reference } = copy.request
  const subject = familiarReference(reference)
  const { totalBytes, layerBytes } = copy
  let doneBytes = 0
  let grewAtMs = clock.monotonicMs()
  let stopped = false
  const look = async (): Promise<void> => {
    const seen = await bytesBelow(copy.tmpDir)
    if (stopped) return
    if (seen > doneBytes) {
      doneBytes = seen
      grewAtMs = clock.monotonicMs()
      const shown = totalBytes === 0 ? seen : Math.min(seen, totalBytes)
      progress({ step: 'downloading', subject, doneBytes: shown, totalBytes })
    }
    // A large layer is unpacked for minutes before the configuration is asked for, and nothing grows meanwhile.
    const limitMs = doneBytes < layerBytes ? patience.stalledMs : patience.unpackMs
    if (clock.monotonicMs() - grewAtMs > limitMs) giveUp(doneBytes, limitMs)
    else timer = clock.setTimer(progressEveryMs, run)
  }
  const run = (): void => {
    look().catch(() => giveUp(doneBytes, 0))
  }
  let timer = clock.setTimer(progressEveryMs, run)
  return {
    stop: () => {
      stopped = true
      timer.cancel()
    },
  }
}

async function bytesBelow(dir: string): Promise<number> {
  const names = await readdir(dir, { recursive: true }).catch(() => [])
  const sizes = await Promise.all(
    names.map((name) =>
      stat(`${dir}/${name}`).then(
        (found) => (found.isFile() ? found.size : 0),
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

function raceAbort<T>(work: Promise<T>, signal: AbortSignal, subject: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(cancelled(subject))
    if (signal.aborted) return abort()
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

function cancelled(subject: string): SwarmError {
  return new SwarmError('CANCELLED', `the pull of ${subject} was given up`)
}

function stalled(
  { request: { reference }, totalBytes }: CopyRequest,
  { doneBytes, silentMs }: { readonly doneBytes: number; readonly silentMs: number },
): SwarmError {
  return new SwarmError(
    'DEADLINE_EXCEEDED',
    `the pull of ${familiarReference(reference)} stands still: registry ${reference.registry} has sent nothing for ` +
      `${silentMs / 1000} s, and ${doneBytes} of ${totalBytes} bytes are here. Try again, or look after the registry and the way to it`,
  )
}
