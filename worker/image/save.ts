// Writes images of the store into one docker archive (`docker save`). Not for pushing (push.ts).
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { SwarmError } from '../../proto/errors.ts'
import { fileChunks } from './file-chunks.ts'
import type { ImageStore } from './image-store.ts'
import { openTransfer } from './image-transfer.ts'
import { familiarReference, fullName, parseReference } from './reference.ts'
import { lastLine } from './registry-manifest.ts'
import { findImages, type StoredImage } from './store-index.ts'

/** One image, and the full names under which it is saved; none when it was named by its id. */
export interface SavedImage {
  readonly id: string
  readonly names: readonly string[]
}

export interface SaveRequest {
  readonly references: readonly string[]
  readonly signal: AbortSignal
  /** Of the folder in which the archive is made. */
  readonly token: string
}

const saveTimeoutMs = 3_600_000

/**
 * The archive in pieces. While it is made no image is removed. Errors: IMAGE_NOT_FOUND, AMBIGUOUS, CANCELLED,
 * RESOURCE_EXHAUSTED, INTERNAL.
 */
export async function* saveArchive(
  store: ImageStore,
  request: SaveRequest,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { references, signal, token } = request
  const transfer = await openTransfer(store, token)
  try {
    const path = await store.lock.shared(async () => {
      const images = savedImages(await store.list(), references)
      return await writeArchive({ store, dir: transfer.tmpDir, signal }, images)
    }, signal)
    yield* fileChunks(path)
  } finally {
    await transfer.close()
  }
}

/**
 * What is to be saved, each image once. A name without a tag means all of its tags, as in Docker. Errors:
 * IMAGE_NOT_FOUND, AMBIGUOUS.
 */
export function savedImages(
  images: readonly StoredImage[],
  references: readonly string[],
): readonly SavedImage[] {
  const saved = new Map<string, Set<string>>()
  for (const text of references) {
    for (const { id, names } of meant(images, text)) {
      const known = saved.get(id) ?? new Set()
      for (const name of names) known.add(name)
      saved.set(id, known)
    }
  }
  return [...saved].map(([id, names]) => ({ id, names: [...names] }))
}

function meant(images: readonly StoredImage[], text: string): readonly SavedImage[] {
  const tagged = allTags(images, text)
  if (tagged.length > 0) return tagged
  const [image, ...more] = findImages(images, text)
  if (image === undefined) throw new SwarmError('IMAGE_NOT_FOUND', `No such image: ${text}`)
  if (more.length > 0) {
    throw new SwarmError('AMBIGUOUS', `image id ${text} is ambiguous (${more.length + 1} matches)`)
  }
  const full = /^(sha256:)?[0-9a-f]{4,64}$/.test(text) ? undefined : parseReference(text)
  const names = image.names.filter((name) => {
    const own = parseReference(name)
    return full !== undefined && own.tag === full.tag && fullName(own) === fullName(full)
  })
  return [{ id: image.id, names: names.filter((name) => !name.includes('@')) }]
}

/** Empty for what names a tag or a digest, or no name. */
function allTags(images: readonly StoredImage[], text: string): readonly SavedImage[] {
  if (/[:@]/.test(text.slice(text.lastIndexOf('/') + 1))) return []
  const wanted = nameOf(text)
  return images.flatMap(({ id, names }) => {
    const tags = names.filter((name) => !name.includes('@') && nameOf(name) === wanted)
    return tags.length === 0 ? [] : [{ id, names: tags }]
  })
}

function nameOf(text: string): string | undefined {
  try {
    return fullName(parseReference(text))
  } catch {
    return undefined
  }
}

interface Place {
  readonly store: ImageStore
  readonly dir: string
  readonly signal: AbortSignal
}

/** Path of the archive. */
async function writeArchive(place: Place, images: readonly SavedImage[]): Promise<string> {
  const [only, ...more] = images
  if (only === undefined) throw new SwarmError('INVALID_ARGUMENT', 'no image to save was named')
  const one = `${place.dir}/one.tar`
  if (more.length === 0) {
    await writeOne(place, only, one)
    return one
  }
  const all = `${place.dir}/all`
  await mkdir(all)
  const manifest: unknown[] = []
  for (const image of images) {
    await writeOne(place, image, one)
    // Layers are named by their content: those that images share are there once.
    await tar(place, ['-C', all, '-xf', one])
    await rm(one)
    const rows: unknown = JSON.parse(await readFile(`${all}/manifest.json`, 'utf8'))
    if (Array.isArray(rows)) manifest.push(...rows)
  }
  await writeFile(`${all}/manifest.json`, JSON.stringify(manifest))
  // An index of the format before 1.10, of the last image alone.
  await rm(`${all}/repositories`, { force: true })
  await tar(place, ['-C', all, '-cf', one, ...(await readdir(all))])
  return one
}

async function writeOne(place: Place, image: SavedImage, path: string): Promise<void> {
  const { store, dir, signal } = place
  const [first, ...others] = image.names.map((name) => familiarReference(parseReference(name)))
  const result = await store.skopeo(
    [
      'copy',
      ...others.flatMap((name) => ['--additional-tag', name]),
      store.transport(`@${image.id}`),
      `docker-archive:${path}${first === undefined ? '' : `:${first}`}`,
    ],
    { timeoutMs: saveTimeoutMs, signal, tmpDir: dir },
  )
  refuse(place, result)
}

async function tar(place: Place, args: readonly string[]): Promise<void> {
  const { store, signal } = place
  refuse(place, await store.run(['tar', ...args], { timeoutMs: saveTimeoutMs, signal }))
}

function refuse(
  { signal }: Place,
  { code, stderr }: { readonly code: number; readonly stderr: string },
): void {
  if (signal.aborted) throw new SwarmError('CANCELLED', 'the save was given up')
  if (code === 0) return
  throw /no space left on device/i.test(stderr)
    ? new SwarmError('RESOURCE_EXHAUSTED', "cannot save: no space left on this host's disk")
    : new SwarmError('INTERNAL', `cannot save: ${lastLine(stderr)}`)
}
