// Loads images from an archive file (`docker save`, OCI layout as tar, plain or compressed) into
// the store.
import { createHash } from 'node:crypto'
import { open, rename } from 'node:fs/promises'
import { SwarmError } from '../../proto/errors.ts'
import { newId } from '../../proto/lib/ids.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { PullProgress } from '../executor/executor.ts'
import type { ImageStore } from './image-store.ts'
import {
  finishTransfer,
  fullNames,
  ofFullDisk,
  openTransfer,
  type Transfer,
} from './image-transfer.ts'
import { familiarReference, parseReference } from './reference.ts'
import { lastLine } from './registry-manifest.ts'
import type { StoredImage } from './store-index.ts'

export interface LoadRequest {
  /** Fills the file at `path` with the archive. */
  readonly write: (path: string) => Promise<void>
  readonly signal: AbortSignal
  readonly progress: (step: PullProgress) => void
}

/** One image of an archive: where the tool finds it, and the names it gets. */
interface ArchiveImage {
  readonly source: string
  /** Full names; one `@id` when it has none. */
  readonly targets: readonly string[]
}

const loadTimeoutMs = 3_600_000

/**
 * The images of the archive, complete on disk. Errors: INVALID_ARGUMENT, CANCELLED,
 * RESOURCE_EXHAUSTED.
 */
export async function loadArchive(
  store: ImageStore,
  random: Random,
  request: LoadRequest,
): Promise<readonly StoredImage[]> {
  const loading = store.lock.shared(async () => {
    const transfer = await openTransfer(store, newId(random))
    try {
      const path = `${transfer.tmpDir}/archive.tar`
      await request.write(path)
      await decompress(store, path)
      const images = await readArchive(store, path)
      const loaded: StoredImage[] = []
      for (const image of images) {
        loaded.push(await loadImage(store, image, { ...request, transfer }))
      }
      return loaded
    } finally {
      await transfer.close()
    }
  }, request.signal)
  return loading.catch((err: unknown) => {
    throw ofFullDisk('cannot load the archive', err)
  })
}

async function loadImage(
  store: ImageStore,
  image: ArchiveImage,
  { transfer, signal, progress }: LoadRequest & { readonly transfer: Transfer },
): Promise<StoredImage> {
  let loaded: StoredImage | undefined
  for (const target of image.targets) {
    const subject = target.startsWith('@') ? target.slice(1) : familiar(target)
    progress({ step: 'storing', subject, doneBytes: 0, totalBytes: 0 })
    const result = await store.skopeo(['copy', image.source, store.transport(target)], {
      timeoutMs: loadTimeoutMs,
      signal,
      tmpDir: transfer.tmpDir,
    })
    if (signal.aborted) throw new SwarmError('CANCELLED', `the load of ${subject} was given up`)
    if (result.code !== 0) throw loadError(subject, result.stderr)
    loaded = await finishTransfer(store, target)
  }
  if (loaded === undefined) throw invalidArchive('an image in it has no name')
  // It may have had other names before.
  return { ...loaded, names: loaded.names.filter((name) => image.targets.includes(name)) }
}

function loadError(subject: string, stderr: string): SwarmError {
  const reason = lastLine(stderr)
  return /no space left on device/i.test(stderr)
    ? new SwarmError(
        'RESOURCE_EXHAUSTED',
        `cannot load ${subject}: no space left on this host's disk`,
      )
    : new SwarmError('INVALID_ARGUMENT', `cannot load ${subject} from the archive: ${reason}`)
}

async function readArchive(store: ImageStore, path: string): Promise<readonly ArchiveImage[]> {
  const manifest = await extract(store, path, 'manifest.json')
  if (manifest !== undefined) return dockerImages(store, path, manifest)
  const index = await extract(store, path, 'index.json')
  if (index !== undefined) return ociImages(path, index)
  throw invalidArchive('it has neither manifest.json nor index.json')
}

async function dockerImages(
  store: ImageStore,
  path: string,
  text: string,
): Promise<readonly ArchiveImage[]> {
  const rows: readonly {
    readonly Config?: string
    readonly RepoTags?: readonly string[] | null
  }[] = parseJson(text)
  if (!Array.isArray(rows)) throw invalidArchive('its manifest.json is no list')
  return Promise.all(
    rows.map(async (row, index) => {
      const source = `docker-archive:${path}:@${index}`
      const names = row.RepoTags ?? []
      if (names.length > 0) return { source, targets: fullNames(names) }
      const config = await extract(store, path, row.Config ?? '')
      if (config === undefined) throw invalidArchive('an image in it has no configuration')
      return { source, targets: [`@${createHash('sha256').update(config).digest('hex')}`] }
    }),
  )
}

function ociImages(path: string, text: string): readonly ArchiveImage[] {
  const index: {
    readonly manifests?: readonly { readonly annotations?: Readonly<Record<string, string>> }[]
  } = parseJson(text)
  const entries = index.manifests ?? []
  return entries.map(({ annotations = {} }) => {
    const ref = annotations['org.opencontainers.image.ref.name']
    const name = annotations['io.containerd.image.name'] ?? ref
    if (name === undefined || !/[/:]/.test(name)) {
      throw invalidArchive('an image in it has no full name: save it with name:tag')
    }
    const selector = ref !== undefined && entries.length > 1 ? `:${ref}` : ''
    return { source: `oci-archive:${path}${selector}`, targets: fullNames([name]) }
  })
}

interface Compression {
  /** The first bytes of such a file, in hexadecimal. */
  readonly magic: string
  readonly program: string
  readonly suffix: string
}

const compressions: readonly Compression[] = [
  { magic: '1f8b', program: 'gzip', suffix: 'gz' },
  { magic: 'fd377a585a00', program: 'xz', suffix: 'xz' },
  { magic: '28b52ffd', program: 'zstd', suffix: 'zst' },
  { magic: '425a68', program: 'bzip2', suffix: 'bz2' },
]

/** In place: not every version of skopeo reads compressed archives. */
export async function decompress(store: ImageStore, path: string): Promise<void> {
  const start = await firstBytes(path)
  const found = compressions.find(({ magic }) => start.startsWith(magic))
  if (found === undefined) return
  const packed = `${path}.${found.suffix}`
  await rename(path, packed)
  const result = await store.run([found.program, '-d', '-q', packed], { timeoutMs: loadTimeoutMs })
  if (result.code === 0) return
  throw invalidArchive(
    `it cannot be unpacked: ${result.stderr.trim()}; is ${found.program} installed?`,
  )
}

async function firstBytes(path: string): Promise<string> {
  const file = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 0)
    return buffer.toString('hex', 0, bytesRead)
  } finally {
    await file.close()
  }
}

/** A file of the archive as text; undefined when there is none. */
async function extract(store: ImageStore, path: string, name: string): Promise<string | undefined> {
  const result = await store.run(['tar', '-xOf', path, name], { timeoutMs: loadTimeoutMs })
  return result.code === 0 ? result.stdout : undefined
}

function parseJson<T>(text: string): T {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw invalidArchive('its table of contents is no JSON', cause)
  }
}

function invalidArchive(why: string, cause?: unknown): SwarmError {
  return new SwarmError(
    'INVALID_ARGUMENT',
    `this is no image archive: ${why}. Make one with docker save or skopeo copy`,
    cause === undefined ? {} : { cause },
  )
}

function familiar(name: string): string {
  return familiarReference(parseReference(name))
}
