// What a member's directory holds and what is to be done about it, as a plan. Reads only;
// open-storage.ts carries it out.
import type { HardState, NodeId, SnapshotMeta } from '../core/types.ts'
import type { Disk } from './disk.ts'
import { DamagedLogError, ForeignLogError } from './errors.ts'
import { Keyring, newStoredKey } from './keyring.ts'
import { LogIndex } from './log-index.ts'
import { type Meta, metaName, readMeta } from './meta.ts'
import { type Replayed, replayLog } from './replay.ts'
import type { KeyEncryptionKey, RandomBytes } from './seal.ts'
import { segmentName, segmentSequence } from './segment.ts'
import { SnapshotReader } from './snapshot-file.ts'
import { listDrafts, listSnapshots } from './snapshot-store.ts'

/**
 * `new`: for an empty directory, the founding voters, the same list on each; ignored when there is a log.
 * `force-new`: what is here becomes a cluster of this one member. The others are lost, and with them
 * whatever only they held.
 */
export type ClusterBeginning =
  | { readonly kind: 'new'; readonly voters: readonly NodeId[] }
  | { readonly kind: 'force-new'; readonly id: NodeId }

export interface StorageOptions {
  readonly disk: Disk
  /** Opens the data key. */
  readonly kek: KeyEncryptionKey
  /** Names the group of members; a directory of another group is refused. */
  readonly group: string
  readonly randomBytes: RandomBytes
  /** A segment is closed before it grows beyond. */
  readonly segmentBytesMax: number
  /** Without it an empty member waits to be added by others. */
  readonly beginning?: ClusterBeginning
  /** Cut a damaged log instead of refusing it. The member then takes no part until it has caught up. */
  readonly repair?: boolean
}

export interface Plan {
  /** To be made durable before anything is sealed. */
  readonly meta: Meta
  readonly keyring: Keyring
  readonly replayed: Replayed
  readonly snapshot: SnapshotReader | undefined
  /** Removed before anything is written, in this order. */
  readonly discarded: readonly string[]
  /** Only with `repair`: what was found. */
  readonly damage: DamagedLogError | undefined
}

/** Throws DamagedLogError, WrongKeyError, ForeignLogError, DiskError. */
export function examine(options: StorageOptions): Plan {
  const { disk, repair = false } = options
  const found = attempt(() => readMetaOfFiles(disk))
  if (found.damage !== undefined) {
    if (!repair) throw found.damage
    return wipe(options, freshMeta(options), { damage: found.damage, hardState: undefined })
  }
  const meta = nextBoot(found.value ?? freshMeta(options), options.group)
  const keyring = new Keyring(meta.keys, options.kek, meta)
  const replayed = replayLog(disk, keyring, repair)
  const isCut = replayed.damage !== undefined
  const checked = attempt(() => {
    if (!isCut) checkCleanEnd(found.value, replayed)
    const snapshot = newestSnapshot(disk, keyring)
    // Otherwise its content is checked when it is read; but then a repair would find nothing to mend.
    if (repair) snapshot?.verify()
    checkTogether(replayed, snapshot?.meta, isCut || meta.isRepairing)
    return snapshot
  })
  if (checked.damage !== undefined) {
    if (!repair) throw checked.damage
    return wipe(options, meta, { damage: checked.damage, hardState: lastHardState(replayed) })
  }
  return {
    meta: { ...meta, isRepairing: meta.isRepairing || isCut },
    keyring,
    replayed,
    snapshot: checked.value,
    discarded: [...replayed.discarded, ...listDrafts(disk)],
    damage: replayed.damage,
  }
}

type Attempt<T> =
  | { readonly value: T; readonly damage: undefined }
  | { readonly value: undefined; readonly damage: DamagedLogError }

function attempt<T>(run: () => T): Attempt<T> {
  try {
    return { value: run(), damage: undefined }
  } catch (err) {
    if (err instanceof DamagedLogError) return { value: undefined, damage: err }
    throw err
  }
}

/** Undefined for an empty directory. */
function readMetaOfFiles(disk: Disk): Meta | undefined {
  const meta = readMeta(disk)
  const holdsData = disk.list().some((name) => segmentSequence(name) !== undefined)
  if (meta !== undefined || (!holdsData && listSnapshots(disk).length === 0)) return meta
  throw new DamagedLogError(metaName, 0, 'it is missing, but log or snapshot files are there')
}

function freshMeta(options: StorageOptions): Meta {
  return {
    group: options.group,
    bootCounter: 0,
    keys: [newStoredKey(options.kek, 1, options.randomBytes)],
    cleanEnd: undefined,
    isRepairing: false,
  }
}

function nextBoot(meta: Meta, group: string): Meta {
  if (meta.group !== group) {
    throw new ForeignLogError(
      `the Raft directory belongs to group ${meta.group}, not ${group}; ` +
        'start with the directory of this group, or an empty one',
    )
  }
  return { ...meta, bootCounter: meta.bootCounter + 1, cleanEnd: undefined }
}

/** Deletes all but identity and what is known of the term. The member gets everything anew from its peers. */
function wipe(
  options: StorageOptions,
  meta: Meta,
  known: { readonly damage: DamagedLogError; readonly hardState: HardState | undefined },
): Plan {
  const { disk } = options
  const sequences = disk.list().map(segmentSequence)
  const segments = sequences.filter((sequence) => sequence !== undefined).sort((a, b) => b - a)
  const hardState = known.hardState && { ...known.hardState, commit: 0 }
  return {
    meta: { ...meta, isRepairing: true },
    keyring: new Keyring(meta.keys, options.kek, meta),
    replayed: {
      index: new LogIndex(0, 0),
      segments: [],
      tail: hardState && { hardState, entries: [] },
      previous: undefined,
      end: undefined,
      nextSequence: (segments[0] ?? 0) + 1,
      discarded: [],
      superseded: [],
      damage: known.damage,
    },
    snapshot: undefined,
    discarded: [...segments.map(segmentName), ...listSnapshots(disk), ...listDrafts(disk)],
    damage: known.damage,
  }
}

function lastHardState(replayed: Replayed): HardState {
  return replayed.tail?.hardState ?? replayed.index.hardState
}

/** A log that was closed in order must end where it ended then: it catches a file that was shortened since. */
function checkCleanEnd(before: Meta | undefined, { end }: Replayed): void {
  const clean = before?.cleanEnd
  if (clean === undefined) return
  if (
    end?.sequence === clean.sequence &&
    end.offset === clean.offset &&
    end.chain === clean.chain
  ) {
    return
  }
  const name = segmentName(clean.sequence)
  throw new DamagedLogError(name, end?.offset ?? 0, `it was closed with ${clean.offset} bytes`)
}

function newestSnapshot(disk: Disk, keyring: Keyring): SnapshotReader | undefined {
  const name = listSnapshots(disk).at(-1)
  return name === undefined ? undefined : new SnapshotReader(disk, keyring, name)
}

/** Log and snapshot must reach to one another, and hold all that the hard state says is committed. */
function checkTogether(
  replayed: Replayed,
  snapshot: SnapshotMeta | undefined,
  mayLackCommitted: boolean,
): void {
  const { index, tail } = replayed
  const snapshotIndex = snapshot?.index ?? 0
  // The tail may truncate to below the end of what was compacted with the segments before it.
  const tailFirst = tail?.entries[0]?.index ?? Number.POSITIVE_INFINITY
  const base = Math.min(tail?.base?.index ?? index.firstIndex - 1, tailFirst - 1)
  const name = segmentName(replayed.segments[0]?.sequence ?? 1)
  if (base > snapshotIndex) {
    const reason = `entries ${snapshotIndex + 1} to ${base} are neither in the log nor in a snapshot`
    throw new DamagedLogError(name, 0, reason)
  }
  const last = tail?.entries.at(-1)?.index ?? tail?.base?.index ?? index.lastIndex
  const { commit } = lastHardState(replayed)
  if (commit <= Math.max(last, snapshotIndex) || mayLackCommitted) return
  const reason = `it ends at entry ${last}, but entries up to ${commit} were committed`
  throw new DamagedLogError(name, 0, reason)
}
