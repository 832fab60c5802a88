// Opens one member's directory: keys, log, snapshots, in an order that survives a crash between
// any two steps. What to do is decided in examine.ts.
import { forceNewCluster, newCluster } from '../core/bootstrap.ts'
import type { RestoredState } from '../core/config.ts'
import type { SnapshotMeta } from '../core/types.ts'
import type { Batch } from './batch.ts'
import type { Done } from './disk.ts'
import type { DamagedLogError } from './errors.ts'
import { type ClusterBeginning, examine, type Plan, type StorageOptions } from './examine.ts'
import { KeyRotation } from './key-rotation.ts'
import { DurableLog } from './log.ts'
import { writeMeta } from './meta.ts'
import { MetaKeeper } from './meta-keeper.ts'
import type { KeyEncryptionKey } from './seal.ts'
import { removeAll, SnapshotStore } from './snapshot-store.ts'
import { type Ballot, isBehind, VoteCopy } from './vote-copy.ts'

export type { ClusterBeginning, StorageOptions } from './examine.ts'

/** A segment of the log is closed and a new one begun beyond this size. */
export const defaultSegmentBytesMax = 16 * 1024 * 1024

/** One member's directory, open. */
export interface Storage {
  readonly log: DurableLog
  readonly snapshots: SnapshotStore
  /** What the core begins with; `applied` is the caller's to add. */
  readonly restored: Omit<RestoredState, 'applied'>
  /** Only with `repair`: what was found. */
  readonly damage: DamagedLogError | undefined
  /** The copy of the vote was damaged or missing and was written anew: nothing is lost, but the device is suspect. */
  readonly mended: DamagedLogError | undefined
  /** The key-encryption key that wraps the data keys: of those given, the one that opened them. */
  readonly kek: KeyEncryptionKey
  /** The member has caught up: it takes part again, also after a restart. */
  repaired(done: Done): void
  /** Damage was met when something was read: the next opening refuses the directory, or repairs it. */
  suspect(done: Done): void
  /**
   * Seals every segment and snapshot that is begun after the callback with a fresh data key; the next
   * append begins one. Older keys are forgotten with the last file that needs them. Errors: the disk's;
   * after one the log takes no more.
   */
  rotateDataKey(done: Done): void
  /**
   * Wraps all data keys with another key-encryption key, in one atomic step. The caller must have made
   * that key durable before, and must give both at the next opening unless the callback came without an
   * error: see rotateKeyFile. Errors: as rotateDataKey.
   */
  rewrap(kek: KeyEncryptionKey, done: Done): void
  /** Writes what waits and marks the end. No other call may follow. */
  close(done: Done): void
}

/**
 * Opens or creates the directory. Errors: DamagedLogError, WrongKeyError, ForeignLogError, DiskError;
 * they may come before this returns. Nothing sound is ever deleted.
 */
export function openStorage(
  options: StorageOptions,
  done: (err: Error | undefined, storage: Storage | undefined) => void,
): void {
  let plan: Plan
  try {
    plan = examine(options)
  } catch (err) {
    done(err as Error, undefined)
    return
  }
  const { disk } = options
  const { index, segments, previous, nextSequence, superseded } = plan.replayed
  const votes = new VoteCopy(disk, options.group)
  const start = { index, segments, previous, nextSequence, votes }
  const log = new DurableLog(disk, plan.keyring, start, options.segmentBytesMax)
  const { newest, settled } = plan.promised
  const discard: Step = (next) => removeAll(disk, plan.discarded, next)
  const mark: Step = (next) => writeMeta(disk, plan.meta, next)
  const steps: readonly Step[] = [
    // What an interrupted snapshot left may be all the room that a full disk has.
    ...(plan.damage === undefined ? [discard, mark] : [mark]),
    (next) => votes.begin(newest, settled, next),
    ...(plan.damage === undefined ? [] : [discard]),
    (next) => appendIfAny(log, plan.replayed.tail, next),
    (next) => appendIfAny(log, adopted(log, newest), next),
    (next) => appendIfAny(log, snapshotBase(log, plan.snapshot?.meta), next),
    (next) => appendIfAny(log, firstBatch(log, plan, options.beginning), next),
    (next) => removeAll(disk, superseded, next),
  ]
  runSteps(steps, (err) => {
    if (err !== undefined) return done(err, undefined)
    done(undefined, openedStorage(options, plan, log))
  })
}

type Step = (next: Done) => void

function runSteps(steps: readonly Step[], done: Done): void {
  const [step, ...rest] = steps
  if (step === undefined) {
    done()
    return
  }
  step((err) => {
    if (err !== undefined) return done(err)
    runSteps(rest, done)
  })
}

function appendIfAny(log: DurableLog, batch: Batch | undefined, done: Done): void {
  if (batch === undefined) done()
  else log.append(batch, done)
}

/** What the copy of the vote holds beyond the log: promised, as far as anybody knows. */
function adopted(log: DurableLog, { term, vote }: Ballot): Batch | undefined {
  const { hardState } = log
  if (!isBehind(hardState, { term, vote })) return undefined
  return { hardState: { term, vote, commit: hardState.commit }, entries: [] }
}

/**
 * A snapshot that the log does not lead up to was received and published just before a crash:
 * the log begins anew behind it.
 */
function snapshotBase(log: DurableLog, snapshot: SnapshotMeta | undefined): Batch | undefined {
  if (snapshot === undefined) return undefined
  const { index, term } = snapshot
  const known = log.term(index)
  if (index <= log.lastIndex && (known === undefined || known === term)) return undefined
  const { hardState } = log
  if (hardState.term >= term) return { base: { index, term }, entries: [] }
  const raised = { term, vote: undefined, commit: index }
  return { base: { index, term }, hardState: raised, entries: [] }
}

/** The first entries of a cluster, when this is its beginning. */
function firstBatch(
  log: DurableLog,
  plan: Plan,
  beginning: ClusterBeginning | undefined,
): Batch | undefined {
  if (beginning?.kind === 'force-new') {
    return forceNewCluster(beginning.id, log.hardState, log.lastIndex)
  }
  const isEmpty = log.lastIndex === 0 && log.hardState.term === 0 && plan.snapshot === undefined
  if (beginning === undefined || !isEmpty || plan.meta.isRepairing) return undefined
  return newCluster(beginning.voters)
}

function openedStorage(options: StorageOptions, plan: Plan, log: DurableLog): Storage {
  const { disk, randomBytes } = options
  const { keyring } = plan
  const snapshot = plan.snapshot?.meta
  const snapshots = new SnapshotStore(disk, keyring, plan.snapshot)
  const meta = new MetaKeeper(disk, plan.meta)
  const keys = new KeyRotation({
    meta,
    keyring,
    randomBytes,
    usedKeyIds: () => [...log.keyIds, ...snapshots.keyIds],
    onFailed: (err) => log.fail(err),
  })
  log.onRemoved(() => keys.sweep())
  snapshots.onRemoved(() => keys.sweep())
  // What a crash left between the removal of a file and the end of its key.
  keys.sweep()
  return {
    log,
    snapshots,
    restored: {
      hardState: log.hardState,
      ...(snapshot === undefined ? {} : { snapshot }),
      firstIndex: log.firstIndex,
      lastIndex: log.lastIndex,
      confs: log.confs.filter((at) => at.index > (snapshot?.index ?? 0)),
      repairing: plan.meta.isRepairing,
    },
    damage: plan.damage,
    mended: plan.mended,
    get kek() {
      return keyring.kek
    },
    repaired: (done) => meta.update((now) => ({ ...now, isRepairing: false }), done),
    suspect: (done) => meta.update((now) => ({ ...now, isSuspect: true }), done),
    rotateDataKey: (done) => keys.rotateDataKey(done),
    rewrap: (kek, done) => keys.rewrap(kek, done),
    close: (done) =>
      log.close((err) => {
        if (err !== undefined) return done(err)
        meta.update((now) => ({ ...now, cleanEnd: log.end }), done)
      }),
  }
}
