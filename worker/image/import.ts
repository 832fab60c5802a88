// Makes an image of one layer of a file tree in an archive. Not for archives of images (load.ts).
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, rename, stat, writeFile } from 'node:fs/promises'
import { SwarmError } from '../../proto/errors.ts'
import { newId } from '../../proto/lib/ids.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { PullProgress } from '../executor/executor.ts'
import type { ImageStore } from './image-store.ts'
import { finishTransfer, fullNames, ofFullDisk, openTransfer } from './image-transfer.ts'
import { changedConfig } from './import-changes.ts'
import { decompress } from './load.ts'
import { type ImagePlatform, ownPlatform, parsePlatform } from './platform.ts'
import { familiarReference, parseReference } from './reference.ts'
import { lastLine } from './registry-manifest.ts'
import type { StoredImage } from './store-index.ts'

export interface ImportOptions {
  /** NAME[:TAG]; empty: it gets none. */
  readonly reference: string
  /** As import-changes.ts reads them. */
  readonly changes: readonly string[]
  /** Of the layer, for `image history`. */
  readonly message: string
  /** os[/arch[/variant]]; empty: this host's. */
  readonly platform: string
}

export interface ImportRequest {
  readonly options: ImportOptions
  /** Fills the file at `path` with the archive, plain or compressed. */
  readonly write: (path: string) => Promise<void>
  readonly signal: AbortSignal
  readonly progress: (step: PullProgress) => void
}

export interface ImportDeps {
  readonly store: ImageStore
  readonly random: Random
  /** ms since 1970. */
  readonly wallMs: () => number
}

const importTimeoutMs = 3_600_000

/** The image, complete on disk. Errors: INVALID_ARGUMENT, CANCELLED, RESOURCE_EXHAUSTED. */
export async function importArchive(
  deps: ImportDeps,
  request: ImportRequest,
): Promise<StoredImage> {
  const { store, random } = deps
  const { options, signal } = request
  const plan = planned(options)
  const importing = store.lock.shared(async () => {
    const transfer = await openTransfer(store, newId(random))
    try {
      const archive = `${transfer.tmpDir}/archive.tar`
      await request.write(archive)
      await decompress(store, archive)
      if ((await stat(archive)).size === 0) throw noArchive('it is empty')
      const dir = `${transfer.tmpDir}/layout`
      const createdAt = new Date(deps.wallMs()).toISOString()
      const imageId = await writeLayout(dir, archive, { ...plan, createdAt })
      const target = plan.name ?? `@${imageId}`
      const subject = plan.name === undefined ? imageId : familiarReference(parseReference(target))
      request.progress({ step: 'storing', subject, doneBytes: 0, totalBytes: 0 })
      const argv = ['copy', `oci:${dir}`, store.transport(target)]
      const result = await store.skopeo(argv, {
        timeoutMs: importTimeoutMs,
        signal,
        tmpDir: transfer.tmpDir,
      })
      if (signal.aborted) throw new SwarmError('CANCELLED', 'the import was given up')
      if (result.code !== 0) throw importError(result.stderr)
      return await finishTransfer(store, target)
    } finally {
      await transfer.close()
    }
  }, signal)
  return importing.catch((err: unknown) => {
    throw ofFullDisk('cannot import the archive', err)
  })
}

interface ImportPlan {
  /** Full; undefined: it gets none. */
  readonly name: string | undefined
  readonly platform: ImagePlatform
  readonly config: ReturnType<typeof changedConfig>
  readonly comment: string
}

/** Errors: INVALID_ARGUMENT, before anything is received. */
function planned({ reference, changes, message, platform }: ImportOptions): ImportPlan {
  const isPinned = reference !== '' && parseReference(reference).digest !== undefined
  if (isPinned) {
    throw new SwarmError('INVALID_ARGUMENT', `cannot import to digest reference ${reference}`)
  }
  return {
    name: reference === '' ? undefined : fullNames([reference])[0],
    platform: platform === '' ? ownPlatform() : parsePlatform(platform),
    config: changedConfig(changes),
    comment: message === '' ? 'Imported from -' : message,
  }
}

/** An OCI layout around the archive, which is moved into it. The id of the image. */
async function writeLayout(
  dir: string,
  archive: string,
  { platform, config, comment, createdAt: created }: ImportPlan & { readonly createdAt: string },
): Promise<string> {
  const blobs = `${dir}/blobs/sha256`
  await mkdir(blobs, { recursive: true, mode: 0o700 })
  const { size } = await stat(archive)
  const layer = await fileDigest(archive)
  await rename(archive, `${blobs}/${layer}`)
  const blob = async (mediaType: string, value: object): Promise<Descriptor> => {
    const bytes = Buffer.from(JSON.stringify(value))
    const digest = createHash('sha256').update(bytes).digest('hex')
    await writeFile(`${blobs}/${digest}`, bytes)
    return { mediaType, digest: `sha256:${digest}`, size: bytes.length }
  }
  const image = await blob('application/vnd.oci.image.config.v1+json', {
    created,
    // Docker's, beside OCI's: what its image inspect tells.
    comment,
    ...platform,
    config,
    rootfs: { type: 'layers', diff_ids: [`sha256:${layer}`] },
    history: [{ created, comment }],
  })
  const manifest = await blob(manifestType, {
    schemaVersion: 2,
    mediaType: manifestType,
    config: image,
    layers: [
      { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: `sha256:${layer}`, size },
    ],
  })
  await writeFile(`${dir}/oci-layout`, '{"imageLayoutVersion":"1.0.0"}')
  await writeFile(`${dir}/index.json`, JSON.stringify({ schemaVersion: 2, manifests: [manifest] }))
  return image.digest.replace('sha256:', '')
}

const manifestType = 'application/vnd.oci.image.manifest.v1+json'

interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

async function fileDigest(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk)
  return hash.digest('hex')
}

function importError(stderr: string): SwarmError {
  if (/no space left on device/i.test(stderr)) {
    const text = "cannot import the archive: no space left on this host's disk"
    return new SwarmError('RESOURCE_EXHAUSTED', text)
  }
  return noArchive(lastLine(stderr))
}

function noArchive(why: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', `cannot import what is no tar archive: ${why}`)
}
