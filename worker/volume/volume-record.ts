// What is kept of a volume beside its files, and the steps on disk that make it whole or nothing: a volume appears, and goes, by
// one renaming.
import { mkdir, open, readFile, rename, stat } from 'node:fs/promises'
import { SwarmError } from '../../proto/errors.ts'
import type { DriverOptions } from './driver-options.ts'

export interface VolumeRecord {
  readonly labels: Readonly<Record<string, string>>
  readonly options: DriverOptions
  readonly createdAtMs: number
  /** Made for this container alone, and removed with it. */
  readonly containerId?: string
  /** It belongs to one slot of a service. */
  readonly isSlots?: boolean
}

/** Errors: INVALID_ARGUMENT. */
export function checkVolumeName(name: string): void {
  if (/^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$/.test(name)) return
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `volume name ${JSON.stringify(name)} must be letters, digits and _ . - and begin with a letter or digit. ` +
      'For a folder of the host use a bind mount',
  )
}

/** Undefined when there is no such volume. One of an earlier version has less to tell. */
export async function readVolume(dir: string): Promise<VolumeRecord | undefined> {
  const found = await stat(dir).catch(() => undefined)
  if (found === undefined) return undefined
  const nothing = { labels: {}, options: {}, createdAtMs: Math.round(found.mtimeMs) }
  try {
    const written: Partial<VolumeRecord> = JSON.parse(await readFile(`${dir}/volume.json`, 'utf8'))
    return { ...nothing, ...written }
  } catch {
    // Only an earlier version left one behind without.
    return nothing
  }
}

/** A folder `_data` in `dir`, and the record beside it. */
export async function writeVolume(dir: string, record: VolumeRecord): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o711 })
  await mkdir(`${dir}/_data`, { recursive: true, mode: 0o755 })
  await writeSynced(`${dir}/volume.json`, JSON.stringify(record))
}

/** The same names again after a crash of the host. */
export async function renameSynced(from: string, to: string, parent: string): Promise<void> {
  await rename(from, to)
  await syncFolder(parent)
}

export async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
