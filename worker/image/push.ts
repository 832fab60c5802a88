// Sends images of the store to a registry. Not for archives (save.ts).
import { mkdir, readFile, rm } from 'node:fs/promises'
import { SwarmError } from '../../proto/errors.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { PullProgress, RegistryAuth } from '../executor/executor.ts'
import type { ImageStore } from './image-store.ts'
import type { RegistryDigest } from './image-uses.ts'
import { type Patience, usualPatience } from './patience.ts'
import {
  familiarName,
  familiarReference,
  fullName,
  type ImageReference,
  parseReference,
  parseRepository,
} from './reference.ts'
import { type RegistryAccess, registryFlags, withAuthDir } from './registry-access.ts'
import { registryError } from './registry-manifest.ts'
import { type Stall, watchSending } from './sending.ts'
import type { StoredImage } from './store-index.ts'

export interface PushRequest {
  /** A name of an image of this host; its registry is where it goes. */
  readonly reference: string
  readonly allTags: boolean
  readonly auth: RegistryAuth | undefined
  readonly signal: AbortSignal
  readonly progress: (step: PullProgress) => void
}

export interface PushDeps {
  readonly store: ImageStore
  readonly clock: Clock
  readonly random: Random
  readonly insecureRegistries: readonly string[]
  readonly patience?: Patience
  /** After each name. */
  readonly onPushed: (imageId: string, there: RegistryDigest) => void
}

interface Outgoing {
  readonly image: StoredImage
  /** Full. */
  readonly name: string
}

const pushTimeoutMs = 6 * 3_600_000

/**
 * Sends one name, or all tags of it. No image is removed meanwhile. Errors: IMAGE_NOT_FOUND, INVALID_ARGUMENT,
 * UNAUTHENTICATED, UNAVAILABLE, RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED, CANCELLED.
 */
export async function pushImage(deps: PushDeps, request: PushRequest): Promise<void> {
  const { store, random } = deps
  const tmpDir = `${store.paths.stateDir}/tmp/${newId(random)}`
  await mkdir(tmpDir, { mode: 0o700 })
  const send = (authDir: string): Promise<void> =>
    store.lock.shared(async () => {
      const outgoing = whatGoes(await store.list(), request)
      for (const one of outgoing) await pushOne(deps, request, { ...one, authDir, tmpDir })
    }, request.signal)
  try {
    await withAuthDir(store.paths.runDir, send)
  } finally {
    await rm(tmpDir, { recursive: true, force: true })
  }
}

/** The names that are sent, each with its image. Errors: IMAGE_NOT_FOUND, INVALID_ARGUMENT. */
export function whatGoes(
  images: readonly StoredImage[],
  { reference, allTags }: Pick<PushRequest, 'reference' | 'allTags'>,
): readonly Outgoing[] {
  const wanted = allTags ? parseRepository(reference) : parseReference(reference)
  if (wanted.digest !== undefined) {
    throw new SwarmError('INVALID_ARGUMENT', `cannot push a digest reference: ${reference}`)
  }
  const outgoing = images.flatMap((image) =>
    image.names
      .filter((name) => {
        const own = parseReference(name)
        const isTag = own.digest === undefined && (allTags || own.tag === wanted.tag)
        return isTag && fullName(own) === fullName(wanted)
      })
      .map((name) => ({ image, name })),
  )
  if (outgoing.length > 0) return outgoing
  const what = allTags ? familiarName(wanted) : familiarReference(wanted)
  throw new SwarmError(
    'IMAGE_NOT_FOUND',
    `An image does not exist locally with the tag: ${what}. Give one that name with image tag`,
  )
}

/** Where one name goes, and how far it is. */
interface Sending extends Outgoing {
  readonly deps: PushDeps
  readonly request: PushRequest
  /** Of one push alone. */
  readonly tmpDir: string
  readonly access: RegistryAccess
  readonly reference: ImageReference
  readonly subject: string
  readonly totalBytes: number
}

async function pushOne(
  deps: PushDeps,
  request: PushRequest,
  {
    image,
    name,
    authDir,
    tmpDir,
  }: Outgoing & { readonly authDir: string; readonly tmpDir: string },
): Promise<void> {
  const reference = parseReference(name)
  const { registry, tag = '' } = reference
  const { insecureRegistries, store } = deps
  const subject = familiarReference(reference)
  const access = { registry, auth: request.auth, insecureRegistries, authDir }
  const totalBytes = await store.sizeBytes(image)
  const to = { deps, request, image, name, tmpDir, access, reference, subject, totalBytes }
  const digest = await sendImage(to)
  deps.onPushed(image.id, { repository: fullName(reference), digest })
  request.progress({ step: 'pushed', subject, doneBytes: totalBytes, totalBytes })
  const size = Buffer.byteLength(await sentManifest(to, digest))
  const step = `digest: ${digest} size: ${size}`
  request.progress({ step, subject: tag, doneBytes: 0, totalBytes: 0 })
}

/** The digest under which the registry has it then. A registry that takes nothing for too long is given up. */
async function sendImage(to: Sending): Promise<string> {
  const { deps, request, tmpDir, subject, totalBytes } = to
  const { store, clock, patience = usualPatience } = deps
  const { controller, release } = childController(request.signal)
  const tell = (bytes: number): void => {
    const doneBytes = Math.min(bytes, totalBytes)
    request.progress({ step: 'pushing', subject, doneBytes, totalBytes })
  }
  tell(0)
  const digestFile = `${tmpDir}/digest`
  const copy = ['copy', `--digestfile=${digestFile}`, ...(await registryFlags(to.access, 'dest-'))]
  const watch = watchSending(tmpDir, clock, {
    onBytes: tell,
    stalledMs: patience.stalledMs,
    onStalled: (stall) => controller.abort(stalled(to, stall)),
  })
  try {
    const argv = [...copy, store.transport(`@${to.image.id}`), `docker://${to.name}`]
    const { signal } = controller
    const result = await store.skopeo(argv, { timeoutMs: pushTimeoutMs, signal, tmpDir })
    if (signal.reason instanceof SwarmError) throw signal.reason
    refuse(to, result)
    return (await readFile(digestFile, 'utf8')).trim()
  } finally {
    watch.stop()
    release()
  }
}

/** As the registry has it. */
async function sentManifest(to: Sending, digest: string): Promise<string> {
  const { deps, request, access, reference } = to
  const { answerMs } = deps.patience ?? usualPatience
  const name = `docker://${fullName(reference)}@${digest}`
  const argv = ['inspect', '--raw', ...(await registryFlags(access, '')), name]
  const { signal } = request
  const options = { timeoutMs: answerMs, signal, explains: true }
  const result = await deps.store.skopeo(argv, options)
  refuse(to, result)
  return result.stdout
}

function refuse(
  { request, subject, reference: { registry } }: Sending,
  { code, stderr }: { readonly code: number; readonly stderr: string },
): void {
  if (request.signal.aborted) {
    throw new SwarmError('CANCELLED', `the push of ${subject} was given up`)
  }
  if (code !== 0) throw registryError('push', stderr, { subject, registry })
}

function stalled(
  { subject, reference, totalBytes }: Sending,
  { sentBytes, silentMs }: Stall,
): SwarmError {
  return new SwarmError(
    'DEADLINE_EXCEEDED',
    `the push of ${subject} stands still: registry ${reference.registry} has taken nothing for ` +
      `${Math.floor(silentMs / 1000)} s, and ${Math.min(sentBytes, totalBytes)} of ${totalBytes} bytes are sent. ` +
      'Try again, or look after the registry and the way to it',
  )
}
