// What is kept of a container for the next daemon: all of it on tmpfs, and on disk what a user may still ask after a
// restart of the host. Not the environment: it may hold secrets.
import { renameSync, writeFileSync } from 'node:fs'
import { readFile, rename, writeFile } from 'node:fs/promises'
import type { RuntimeName } from '../../../proto/spec/runtime-names.ts'
import type {
  ContainerConfig,
  ExitStatus,
  ImageHealth,
  ImagePort,
  ResolvedImage,
} from '../executor.ts'
import type { NetworkAttachment } from '../network-attacher.ts'
import type { IdMapping } from './id-mapping.ts'
import type { ProcessIdentity } from './processes.ts'
import { parseSignal } from './signals.ts'
import { hasOwnUsers } from './user-namespace.ts'

export interface ContainerRecord {
  readonly format: 1
  readonly config: ContainerConfig
  readonly image: ResolvedImage
  readonly createdAtMs: number
  /** A record of an older daemon has none: crun. */
  readonly runtime?: RuntimeName
  /** Of its user namespace; absent: it has the host's users. */
  readonly userns?: IdMapping
  /** Of the kernel that runs it. */
  readonly bootId: string
  /** `creating`: a crash in between leaves nothing worth keeping. */
  readonly phase: 'creating' | 'created' | 'started' | 'exited'
  readonly process?: ProcessIdentity
  /** conmon. */
  readonly monitor?: ProcessIdentity
  readonly startedAtMs?: number
  readonly exit?: ExitStatus
  readonly attachment?: NetworkAttachment
  /** A record of an older daemon has none. */
  readonly imageHealth?: ImageHealth
  readonly imagePorts?: readonly ImagePort[]
  readonly stopSignal: number
  readonly stopGraceMs: number
  /** Names; removed with the container. */
  readonly anonymousVolumes: readonly string[]
}

const defaultGraceMs = 10_000

/** Of one that is about to be made. Errors: INVALID_ARGUMENT for a stop signal that there is not. */
export function newRecord(
  config: ContainerConfig,
  {
    remap,
    ...facts
  }: Pick<ContainerRecord, 'runtime' | 'createdAtMs' | 'bootId'> & {
    readonly remap: IdMapping | undefined
  },
): ContainerRecord {
  return {
    format: 1,
    config,
    ...facts,
    ...(remap !== undefined && hasOwnUsers(config) && { userns: remap }),
    image: { reference: config.image, id: '', sizeBytes: 0 },
    phase: 'creating',
    stopSignal: parseSignal(config.stopSignal || 'SIGTERM'),
    stopGraceMs: config.stopGraceMs ?? defaultGraceMs,
    anonymousVolumes: [],
  }
}

/** Replaces the file whole. Not synced: its loss means that the host went down, and then the container is gone too. */
export async function writeRecord(path: string, record: ContainerRecord): Promise<void> {
  const temporary = `${path}.new`
  await writeFile(temporary, JSON.stringify(record), { mode: 0o600 })
  await rename(temporary, path)
}

/**
 * The same at once, for a record in memory: a tmpfs answers in 20 µs, less than it costs to have a thread do it.
 */
export function writeRecordInMemory(path: string, record: ContainerRecord): void {
  const temporary = `${path}.new`
  writeFileSync(temporary, JSON.stringify(record), { mode: 0o600 })
  renameSync(temporary, path)
}

/** Undefined when it is absent or damaged. */
export async function readRecord(path: string): Promise<ContainerRecord | undefined> {
  try {
    const record: ContainerRecord = JSON.parse(await readFile(path, 'utf8'))
    return record.format === 1 ? record : undefined
  } catch {
    return undefined
  }
}

/** For the disk: without the environment. */
export function withoutSecrets(record: ContainerRecord): ContainerRecord {
  return { ...record, config: { ...record.config, env: [] } }
}
