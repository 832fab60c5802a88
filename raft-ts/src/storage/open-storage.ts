// Opens one member's directory: keys, log, snapshots, in an order that survives a crash between
// any two steps. What to do is decided in examine.ts.
import { forceNewCluster, newCluster } from '../core/bootstrap.ts'
import type { RestoredState } from '../core/config.ts'
import type { SnapshotMeta } from '../core/types.ts'
import type { Batch } from './batch.ts'
import type { Disk, Done } from './disk.ts'
import type { DamagedLogError } from './errors.ts'
import { type ClusterBeginning, examine, type Plan, type StorageOptions } from './examine.ts'
import { DurableLog } from './log.ts'
import { type Meta, writeMeta } from './meta.ts'
import { removeAll, SnapshotStore } from './snapshot-store.ts'

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
  /** The member has caught up: it takes part again, also after a restart. */
  repaired(done: Done): void
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
  const start = { index, segments, previous, nextSequence }
  const log = new DurableLog(disk, plan.keyring, start, options.segmentBytesMax)
  const steps: readonly Step[] = [
    (next) => removeAll(disk, plan.discarded, next),
    (next) => writeMeta(disk, plan.meta, next),
    (next) => appendIfAny(log, plan.replayed.tail, next),
    (next) => appendIfAny(log, snapshotBase(log, plan.snapshot?.meta), next),
    (next) => appendIfAny(log, firstBatch(log, plan, options.beginning), next),
    (next) => removeAll(disk, superseded, next),
  ]
  runSteps(steps, (err) => {
    if (err !== undefined) return done(err, undefined)
    done(undefined, openedStorage(disk, plan, log))
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

function openedStorage(disk: Disk, plan: Plan, log: DurableLog): Storage {
  const snapshot = plan.snapshot?.meta
  let meta: Meta = plan.meta
  return {
    log,
    snapshots: new SnapshotStore(disk, plan.keyring, plan.snapshot),
    restored: {
      hardState: log.hardState,
      ...(snapshot === undefined ? {} : { snapshot }),
      firstIndex: log.firstIndex,
      lastIndex: log.lastIndex,
      confs: log.confs.filter((at) => at.index > (snapshot?.index ?? 0)),
      repairing: meta.isRepairing,
    },
    damage: plan.damage,
    repaired: (done) => {
      meta = { ...meta, isRepairing: false }
      writeMeta(disk, meta, done)
    },
    close: (done) =>
      log.close((err) => {
        if (err !== undefined) return done(err)
        writeMeta(disk, { ...meta, cleanEnd: log.end }, done)
      }),
  }
}
