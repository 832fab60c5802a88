// Sends images of the store to a registry. Not for archives (save.ts).
import { mkdir, readFile, rm } from 'node:fs/promises'
import { SwarmError } from '../../proto/errors.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { PullProgress, RegistryAuth } from '../executor/executor.ts'
import type { ImageStore } from './image-store.ts'
import { familiarName, familiarReference, fullName, parseReference } from './reference.ts'
import { registryFlags, withAuthDir } from './registry-access.ts'
import { registryError } from './registry-manifest.ts'
import { watchSending } from './sending.ts'
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
}

interface Outgoing {
  readonly image: StoredImage
  /** Full. */
  readonly name: string
}

const pushTimeoutMs = 6 * 3_600_000
const inspectTimeoutMs = 30_000

/**
 * Sends one name, or all tags of it. No image is removed meanwhile. Errors: IMAGE_NOT_FOUND, INVALID_ARGUMENT,
 * UNAUTHENTICATED, UNAVAILABLE, RESOURCE_EXHAUSTED, CANCELLED.
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
  const wanted = parseReference(reference)
  if (wanted.digest !== undefined) {
    throw new SwarmError('INVALID_ARGUMENT', `cannot push a digest reference: ${reference}`)
  }
  if (allTags && /:[^/]+$/.test(reference)) {
    throw new SwarmError('INVALID_ARGUMENT', `tag can't be used with --all-tags/-a: ${reference}`)
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

async function pushOne(
  { store, clock, insecureRegistries }: PushDeps,
  { auth, signal, progress }: PushRequest,
  {
    image,
    name,
    authDir,
    tmpDir,
  }: Outgoing & { readonly authDir: string; readonly tmpDir: string },
): Promise<void> {
  const reference = parseReference(name)
  const { registry, tag = '' } = reference
  const subject = familiarReference(reference)
  const access = { registry, auth, insecureRegistries, authDir }
  const target = `docker://${name}`
  const totalBytes = await store.sizeBytes(image)
  const run = async (argv: readonly string[], timeoutMs: number): Promise<string> => {
    const result = await store.skopeo(argv, { timeoutMs, signal, tmpDir })
    if (signal.aborted) throw new SwarmError('CANCELLED', `the push of ${subject} was given up`)
    if (result.code !== 0) throw registryError('push', result.stderr, { subject, registry })
    return result.stdout
  }
  const tell = (doneBytes: number): void =>
    progress({ step: 'pushing', subject, doneBytes: Math.min(doneBytes, totalBytes), totalBytes })
  tell(0)
  const digestFile = `${tmpDir}/digest`
  const destination = await registryFlags(access, 'dest-')
  const sending = watchSending(tmpDir, clock, tell)
  const copy = ['copy', `--digestfile=${digestFile}`, ...destination]
  await run([...copy, store.transport(`@${image.id}`), target], pushTimeoutMs).finally(() =>
    sending.stop(),
  )
  progress({ step: 'pushed', subject, doneBytes: totalBytes, totalBytes })
  const digest = (await readFile(digestFile, 'utf8')).trim()
  const raw = await run(
    [
      'inspect',
      '--raw',
      ...(await registryFlags(access, '')),
      `docker://${fullName(reference)}@${digest}`,
    ],
    inspectTimeoutMs,
  )
  const size = Buffer.byteLength(raw)
  progress({ step: `digest: ${digest} size: ${size}`, subject: tag, doneBytes: 0, totalBytes: 0 })
}
