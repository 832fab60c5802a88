// Opens the log of this member, with its key file; a damaged one is repaired from the other members, if there are any.
import {
  DamagedLogError,
  defaultSegmentBytesMax,
  LostVoteError,
  openKeyFile,
  openNodeDisk,
  openStorage,
  type Storage,
  type StorageOptions,
  settleKeyFile,
  systemRandomBytes,
} from 'raft-ts'
import type { FromThread, ThreadConfig } from './thread-messages.ts'

/** Takes a line for the daemon's log. */
export type HostLog = (
  level: Extract<FromThread, { kind: 'log' }>['level'],
  fields: Readonly<Record<string, unknown>>,
  message: string,
) => void

/**
 * Resolves with the open log. A damaged one is cut when other members can give back what it lacks; this one neither
 * votes nor serves until it has all of it. Errors: those of openStorage.
 */
export async function openLog(config: ThreadConfig, log: HostLog): Promise<Storage> {
  const keys = openKeyFile(config.keyFile, systemRandomBytes)
  const options = { ...storageOptions(config), ...keys }
  const storage = await open(options).catch((err: unknown) => {
    if (!(err instanceof DamagedLogError) || err instanceof LostVoteError) throw err
    if (!isRepairable(config)) throw err
    const { file, offset, reason } = err
    log('error', { file, offset, reason }, 'the Raft log is damaged: repairing it from the others')
    return open({ ...options, repair: true })
  })
  await settleKeyFile(config.keyFile, storage.kek)
  if (storage.mended !== undefined) {
    const { file, reason } = storage.mended
    log('error', { file, reason }, 'the copy of the vote was damaged, and is written anew')
  }
  if (storage.restored.repairing) {
    const { term, vote } = storage.restored.hardState
    log('warn', { term, vote }, 'Raft: no part until the log holds all that was committed')
  }
  return storage
}

/** Whether others can give back what a damaged log lost. Who is all that is left of a cluster cannot be repaired. */
export function isRepairable({ id, peers, beginning }: ThreadConfig): boolean {
  return beginning?.kind !== 'force-new' && peers.some((peer) => peer.id !== id)
}

function storageOptions(config: ThreadConfig): Omit<StorageOptions, 'kek'> {
  const beginning =
    config.beginning?.kind === 'new'
      ? ({ kind: 'new', voters: [config.id] } as const)
      : config.beginning && ({ kind: 'force-new', id: config.id } as const)
  return {
    disk: openNodeDisk(config.directory),
    // A directory of an earlier membership is refused: it holds promises under another id.
    group: `${config.group}/${config.id}`,
    randomBytes: systemRandomBytes,
    // Whole segments are dropped: small enough that compaction has something to drop.
    segmentBytesMax: Math.min(defaultSegmentBytesMax, config.snapshotLogBytes / 4),
    ...(beginning && { beginning }),
  }
}

function open(options: StorageOptions): Promise<Storage> {
  return new Promise((resolve, reject) => {
    openStorage(options, (err, storage) => (storage === undefined ? reject(err) : resolve(storage)))
  })
}
