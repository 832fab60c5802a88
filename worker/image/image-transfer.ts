// What pulls and loads share: marks on disk that make an image count only when all of it is
// written, spool folders, and the repair after a crash.
import { mkdir, open, readdir, readFile, rm } from 'node:fs/promises'
import { SwarmError } from '../../proto/errors.ts'
import type { ImageStore, ImageStorePaths } from './image-store.ts'
import { parseReference } from './reference.ts'
import { findImages, layerChain, type StoredImage } from './store-index.ts'

/** A pull or load under way. */
export interface Transfer {
  /** For blobs; on the disk of the store. */
  readonly tmpDir: string
  /** For credentials; on tmpfs. */
  readonly authDir: string
  close(): Promise<void>
}

/** Marks on disk that a transfer is under way, so that a crash is noticed. A failure leaves nothing. */
export async function openTransfer(store: ImageStore, token: string): Promise<Transfer> {
  const { stateDir, runDir } = store.paths
  const mark = `${stateDir}/transfers/${token}`
  const tmpDir = `${stateDir}/tmp/${token}`
  const authDir = `${runDir}/auth-${token}`
  const close = async (): Promise<void> => {
    await rm(tmpDir, { recursive: true, force: true })
    await rm(authDir, { recursive: true, force: true })
    await rm(mark, { force: true })
  }
  try {
    await writeDurable(mark, await bootId())
    await mkdir(tmpDir, { recursive: true, mode: 0o700 })
    await mkdir(authDir, { recursive: true, mode: 0o700 })
  } catch (err) {
    await close()
    throw err
  }
  return { tmpDir, authDir, close }
}

/** What a full disk makes of `what` ("cannot pull NAME") is RESOURCE_EXHAUSTED; any other failure stays as it is. */
export function ofFullDisk(what: string, err: unknown): unknown {
  const code = err instanceof Error && 'code' in err ? err.code : undefined
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return err
  const text = `${what}: no space left on this host's disk`
  return new SwarmError('RESOURCE_EXHAUSTED', text, { cause: err })
}

/** Makes what the tool just wrote count: all data to disk, then the mark. Errors: INTERNAL. */
export async function finishTransfer(store: ImageStore, name: string): Promise<StoredImage> {
  await store.syncToDisk()
  const [image] = findImages(await store.listAll(), name.replace(/^@/, ''))
  if (image === undefined) {
    throw new SwarmError('INTERNAL', `image ${name} is not in the store although it was written`)
  }
  if (!store.isReady(image.id)) {
    await writeDurable(`${store.paths.stateDir}/ready/${image.id}`, name)
    store.setReady(image.id)
  }
  return image
}

/**
 * Makes the folders and repairs what a crash left: after a mere restart of the daemon what is in
 * the store is whole; after a crash of the host, images and layers that were not marked are
 * deleted, for their data may be missing.
 */
export async function openStore(store: ImageStore): Promise<void> {
  await makeFolders(store.paths)
  await store.loadReady()
  const { stateDir } = store.paths
  const marks = await readdir(`${stateDir}/transfers`)
  if (marks.length === 0) return
  const boot = await bootId()
  const boots = await Promise.all(
    marks.map((mark) => readFile(`${stateDir}/transfers/${mark}`, 'utf8')),
  )
  if (boots.every((one) => one === boot)) await keepAll(store)
  else await deleteUnmarked(store)
  for (const mark of marks) await rm(`${stateDir}/transfers/${mark}`, { force: true })
}

async function makeFolders({ rootDir, runDir, stateDir }: ImageStorePaths): Promise<void> {
  for (const path of [rootDir, runDir, stateDir]) {
    if (/[:,\s[\]+@\\]/.test(path)) {
      throw new SwarmError(
        'INVALID_ARGUMENT',
        `the folder ${path} cannot hold images: choose one without spaces and : , + @ [ ] \\`,
      )
    }
  }
  await rm(`${stateDir}/tmp`, { recursive: true, force: true })
  for (const name of ['ready', 'transfers', 'tmp', 'empty']) {
    await mkdir(`${stateDir}/${name}`, { recursive: true, mode: 0o700 })
  }
  await mkdir(rootDir, { recursive: true, mode: 0o700 })
  await mkdir(runDir, { recursive: true, mode: 0o700 })
}

async function keepAll(store: ImageStore): Promise<void> {
  await store.syncToDisk()
  for (const image of await store.listAll()) {
    if (store.isReady(image.id)) continue
    await writeDurable(`${store.paths.stateDir}/ready/${image.id}`, '')
    store.setReady(image.id)
  }
}

async function deleteUnmarked(store: ImageStore): Promise<void> {
  const layers = await store.layers()
  const images = await store.listAll()
  const kept = new Set(
    images
      .filter((one) => store.isReady(one.id))
      .flatMap((one) => layerChain(one, layers))
      .map((layer) => layer.id),
  )
  for (const image of images) {
    if (!store.isReady(image.id)) await store.storage(['delete-image', image.id])
  }
  const left = [...(await store.layers()).values()].filter((one) => !kept.has(one.id))
  const depth = (id: string): number => {
    const parent = layers.get(id)?.parentId
    return parent === undefined ? 0 : 1 + depth(parent)
  }
  // Children before their parents.
  for (const layer of left.sort((a, b) => depth(b.id) - depth(a.id))) {
    await store.storage(['delete-layer', layer.id])
  }
}

/** Changes with every start of the kernel. */
export async function bootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
}

async function writeDurable(path: string, text: string): Promise<void> {
  for (const [name, flags, data] of [
    [path, 'w', text],
    [path.slice(0, path.lastIndexOf('/')), 'r', undefined],
  ] as const) {
    const file = await open(name, flags)
    try {
      if (data !== undefined) await file.writeFile(data)
      await file.sync()
    } finally {
      await file.close()
    }
  }
}

/** Full names an archive or a user gave. Errors: INVALID_ARGUMENT. */
export function fullNames(names: readonly string[]): readonly string[] {
  return names.map((name) => {
    const { registry, repository, tag } = parseReference(name)
    return `${registry}/${repository}:${tag ?? 'latest'}`
  })
}
