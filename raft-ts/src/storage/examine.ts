// What a member's directory holds and what is to be done about it, as a plan. Reads only;
// open-storage.ts carries it out.
import type { HardState, NodeId, SnapshotMeta } from '../core/types.ts'
import type { Disk } from './disk.ts'
import { DamagedLogError, ForeignLogError, LostVoteError } from './errors.ts'
import { Keyring, newStoredKey } from './keyring.ts'
import { LogIndex } from './log-index.ts'
import { type Meta, metaName, readMeta } from './meta.ts'
import { type Replayed, replayLog } from './replay.ts'
import type { KeyEncryptionKey, RandomBytes } from './seal.ts'
import { formatVersion, segmentName, segmentSequence } from './segment.ts'
import { SnapshotReader } from './snapshot-file.ts'
import { listDrafts, listSnapshots } from './snapshot-store.ts'
import {
  type Ballot,
  contradicts,
  type FoundCopy,
  isBehind,
  readVoteCopy,
  voteName,
} from './vote-copy.ts'

/**
 * `new`: for an empty directory, the founding voters, the same list on each; ignored when there is a log.
 * `force-new`: what is here becomes a cluster of this one member. The others are lost, and with them
 * whatever only they held.
 */
export type ClusterBeginning =
  | { readonly kind: 'new'; readonly voters: readonly NodeId[] }
  | { readonly kind: 'force-new'; readonly id: NodeId }

/** What a member's directory is opened with. */
export interface StorageOptions {
  readonly disk: Disk
  /** Opens the data keys. */
  readonly kek: KeyEncryptionKey
  /** Tried after `kek`: while keys are exchanged, either may be the one. See Storage.kek. */
  readonly otherKeks?: readonly KeyEncryptionKey[]
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

/** Term and vote, and how far they are durable. */
export interface Promised {
  /** The most that was promised, by the log or its copy. */
  readonly newest: Ballot
  /** What the log holds durably of it. */
  readonly settled: Ballot
}

export interface Plan {
  /** To be made durable before anything is sealed. */
  readonly meta: Meta
  readonly keyring: Keyring
  readonly replayed: Replayed
  readonly snapshot: SnapshotReader | undefined
  readonly promised: Promised
  /**
   * Removed before the log is written, in this order; after damage not before the meta file says so: a
   * crash must not leave an empty directory that looks sound.
   */
  readonly discarded: readonly string[]
  /** Only with `repair`: what was found. */
  readonly damage: DamagedLogError | undefined
  /** Damage that costs nothing: the copy of the vote is written anew from the log. */
  readonly mended: DamagedLogError | undefined
}

const unvoted: Ballot = { term: 0, vote: undefined }

/** Throws DamagedLogError, WrongKeyError, ForeignLogError, DiskError. */
export function examine(options: StorageOptions): Plan {
  const { disk, group, repair = false } = options
  const found = attempt(() => readMetaOfFiles(disk))
  if (found.value !== undefined) checkGroup(found.value, group)
  const copy = readVoteCopy(disk, group)
  if (found.damage !== undefined) {
    if (!repair) throw found.damage
    return wipe(options, freshMeta(options), { damage: found.damage, logged: undefined, copy })
  }
  const before = found.value
  const meta = nextBoot(before ?? freshMeta(options))
  const keyring = new Keyring(meta.keys, candidates(options), meta)
  const replayed = replayLog(disk, keyring, repair)
  const checked = attempt(() => checkContent(options, keyring, { before, meta, replayed }))
  if (checked.damage !== undefined) {
    if (!repair) throw checked.damage
    const { damage } = checked
    return wipe(options, meta, { damage, logged: lastHardState(replayed), copy })
  }
  const damage = replayed.damage ?? suspicion(before) ?? lostVote(meta, replayed, copy)
  if (damage !== undefined && !repair) throw damage
  const isRepairing = meta.isRepairing || damage !== undefined
  return {
    meta: { ...meta, isRepairing },
    keyring,
    replayed,
    snapshot: checked.value,
    promised: promised(replayed, copy, damage ?? unrepaired(meta)),
    discarded: [...replayed.discarded, ...listDrafts(disk)],
    damage,
    mended: before === undefined || before.format === 1 ? undefined : lostCopy(copy),
  }
}

function candidates({ kek, otherKeks = [] }: StorageOptions): readonly KeyEncryptionKey[] {
  return [kek, ...otherKeks]
}

/** The newest snapshot, once all that is there fits together. Throws DamagedLogError. */
function checkContent(
  { disk, repair = false }: StorageOptions,
  keyring: Keyring,
  found: { readonly before: Meta | undefined; readonly meta: Meta; readonly replayed: Replayed },
): SnapshotReader | undefined {
  const { before, meta, replayed } = found
  const isCut = replayed.damage !== undefined
  if (!isCut) checkCleanEnd(before, replayed)
  const snapshot = newestSnapshot(disk, keyring)
  // Otherwise its content is checked when it is read; but then a repair would find nothing to mend.
  if (repair) snapshot?.verify()
  checkTogether(replayed, snapshot?.meta, isCut || meta.isRepairing)
  return snapshot
}

/** Damage that an earlier life met when it read something. */
function suspicion(before: Meta | undefined): DamagedLogError | undefined {
  if (before?.isSuspect !== true) return undefined
  return new DamagedLogError(metaName, 0, 'damage was met earlier, when something was read')
}

function unrepaired(meta: Meta): DamagedLogError | undefined {
  if (!meta.isRepairing) return undefined
  return new DamagedLogError(metaName, 0, 'a repair that was begun is not complete')
}

/** The log is behind what it held for certain, or says something else: a write was lost. */
function lostVote(meta: Meta, replayed: Replayed, copy: FoundCopy): DamagedLogError | undefined {
  if (meta.isRepairing || copy.kind !== 'found') return undefined
  const logged = lastHardState(replayed)
  const { newest, settled } = copy
  const isLost = settled !== undefined && isBehind(logged, settled)
  if (!isLost && !contradicts(logged, newest)) return undefined
  const { sequence, offset } = replayed.end ?? { sequence: 1, offset: 0 }
  const reason = isLost
    ? `it ends in term ${logged.term}, but it held a vote or term of ${settled.term}`
    : `it holds another vote in term ${logged.term} than the copy of the vote`
  return new DamagedLogError(segmentName(sequence), offset, reason)
}

/** `damage`: the log does not count alone. Throws LostVoteError when the copy is of no use then. */
function promised(
  replayed: Replayed,
  copy: FoundCopy,
  damage: DamagedLogError | undefined,
): Promised {
  const logged = lastHardState(replayed)
  if (damage !== undefined) requireCopy(logged, copy, damage)
  const durable = replayed.index.hardState
  if (copy.kind !== 'found') return { newest: logged, settled: durable }
  const isKnown = damage === undefined && copy.settled !== undefined
  return {
    newest: isBehind(logged, copy.newest) ? copy.newest : logged,
    settled: isKnown ? higher(durable, copy.settled) : durable,
  }
}

function higher(ballot: Ballot, other: Ballot): Ballot {
  return isBehind(ballot, other) ? other : ballot
}

function requireCopy(logged: Ballot, copy: FoundCopy, damage: DamagedLogError): void {
  const lost = lostCopy(copy)
  if (lost !== undefined) {
    throw new LostVoteError(damage, `the copy of its vote is of no use (${lost.reason})`)
  }
  if (copy.kind === 'found' && contradicts(logged, copy.newest)) {
    throw new LostVoteError(damage, 'the copy of its vote says another one')
  }
}

function lostCopy(copy: FoundCopy): DamagedLogError | undefined {
  if (copy.kind === 'damaged') return copy.damage
  if (copy.kind === 'found') return undefined
  return new DamagedLogError(voteName, 0, 'it is missing')
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
    format: formatVersion,
    group: options.group,
    bootCounter: 0,
    keys: [newStoredKey(options.kek, 1, options.randomBytes)],
    cleanEnd: undefined,
    isRepairing: false,
    isSuspect: false,
  }
}

function checkGroup(meta: Meta, group: string): void {
  if (meta.group === group) return
  throw new ForeignLogError(
    `the Raft directory belongs to group ${meta.group}, not ${group}; ` +
      'start with the directory of this group, or an empty one',
  )
}

function nextBoot(meta: Meta): Meta {
  const bootCounter = meta.bootCounter + 1
  return { ...meta, bootCounter, cleanEnd: undefined, isSuspect: false }
}

/** Deletes all but identity and what is known of the term. The member gets everything anew from its peers. */
function wipe(
  options: StorageOptions,
  meta: Meta,
  known: {
    readonly damage: DamagedLogError
    readonly logged: HardState | undefined
    readonly copy: FoundCopy
  },
): Plan {
  const { disk } = options
  const { damage, copy, logged = { ...unvoted, commit: 0 } } = known
  requireCopy(logged, copy, damage)
  const newest = copy.kind === 'found' && isBehind(logged, copy.newest) ? copy.newest : logged
  const sequences = disk.list().map(segmentSequence)
  const segments = sequences.filter((sequence) => sequence !== undefined).sort((a, b) => b - a)
  return {
    meta: { ...meta, isRepairing: true },
    keyring: new Keyring(meta.keys, candidates(options), meta),
    replayed: {
      index: new LogIndex(0, 0),
      segments: [],
      tail: undefined,
      previous: undefined,
      end: undefined,
      nextSequence: (segments[0] ?? 0) + 1,
      discarded: [],
      superseded: [],
      damage,
    },
    snapshot: undefined,
    promised: { newest, settled: unvoted },
    discarded: [...segments.map(segmentName), ...listSnapshots(disk), ...listDrafts(disk)],
    damage,
    mended: undefined,
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
