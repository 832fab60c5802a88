// Takes snapshots of the own state machine when the log has grown enough, and compacts the log
// behind them. One at a time; a failure leaves the log as it is and fails the driver.
import type { Index, SnapshotMeta } from '../core/types.ts'
import type { DurableLog } from '../storage/log.ts'
import type { SnapshotDraft, SnapshotStore } from '../storage/snapshot-store.ts'
import type { StateMachine } from './environment.ts'
import { fillDraft } from './snapshot-source.ts'

/** When snapshots are taken, and what is kept behind them. */
export interface SnapshotPolicy {
  /** A snapshot is taken when the log grew by so much since the last one, or by the last one's size. */
  readonly logBytes: number
  /** Entries kept behind a snapshot, so that a follower that is a little behind needs none; logBytes at most. */
  readonly entriesKept: number
  /**
   * A leader keeps besides what a follower that answers has not acknowledged yet, so that one that is slow but gets on
   * needs no snapshot, as long as the log takes no more than this. Looked at whenever a snapshot was taken.
   */
  readonly logBytesMax: number
}

/** What a driver uses for a policy that it is not given; logBytesMax is four times logBytes also when that is given. */
export const defaultSnapshotPolicy: SnapshotPolicy = {
  logBytes: 64 * 1024 * 1024,
  entriesKept: 10_000,
  logBytesMax: 256 * 1024 * 1024,
}

/** A whole policy from what is given of it. */
export function snapshotPolicyOf(given: Partial<SnapshotPolicy> = {}): SnapshotPolicy {
  const { logBytes = defaultSnapshotPolicy.logBytes } = given
  return { ...defaultSnapshotPolicy, logBytesMax: 4 * logBytes, ...given }
}

export interface SnapshotMakerOptions {
  readonly log: DurableLog
  readonly snapshots: SnapshotStore
  readonly stateMachine: StateMachine
  readonly policy: SnapshotPolicy
  readonly metaAt: (index: Index) => SnapshotMeta
  /** A follower that answers still needs the entries after this index. */
  readonly neededAfter: () => Index
  /** The snapshot is durable: entries up to `compactTo` may go. */
  readonly onSaved: (meta: SnapshotMeta, compactTo: Index) => void
  /** One that was asked for while another was made is due: a pause is wanted. */
  readonly onWanted: () => void
  readonly onFailed: (err: Error) => void
}

export class SnapshotMaker {
  readonly #options: SnapshotMakerOptions
  #appendedAtLast: number
  #isMaking = false
  #isAsked = false
  #isStopped = false

  constructor(options: SnapshotMakerOptions) {
    this.#options = options
    // What an earlier life wrote and did not yet put into a snapshot counts.
    this.#appendedAtLast = options.log.appendedBytes - options.log.bytes
  }

  /** Takes one at the next pause, whatever the log's size; after the one that is being made. */
  ask(): void {
    this.#isAsked = true
  }

  stop(): void {
    this.#isStopped = true
  }

  /** The state machine is exactly at index. */
  pause(index: Index): void {
    const { snapshots } = this.#options
    if (this.#isMaking || this.#isStopped || index <= (snapshots.newest?.index ?? 0)) return
    if (!this.#isAsked && !this.#isDue()) return
    this.#isAsked = false
    this.#isMaking = true
    this.#appendedAtLast = this.#options.log.appendedBytes
    const meta = this.#options.metaAt(index)
    const source = this.#options.stateMachine.snapshot()
    snapshots.begin(meta, (err, draft) => {
      if (draft === undefined) {
        source.cancel()
        this.#fail(err ?? new Error('no draft'))
        return
      }
      const isCancelled = (): boolean => this.#isStopped || this.#isOverdue(meta)
      fillDraft(source, draft, isCancelled, (fillErr) => {
        if (fillErr !== undefined) return this.#discard(draft, fillErr)
        if (isCancelled()) return this.#discard(draft, undefined)
        this.#seal(draft)
      })
    })
  }

  #isDue(): boolean {
    const { log, snapshots, policy } = this.#options
    const grown = log.appendedBytes - this.#appendedAtLast
    return grown >= Math.max(policy.logBytes, snapshots.newestBytes)
  }

  /** A newer one was received meanwhile. */
  #isOverdue(meta: SnapshotMeta): boolean {
    return (this.#options.snapshots.newest?.index ?? 0) >= meta.index
  }

  #compactTo(index: Index): Index {
    const { log, policy } = this.#options
    const kept = Math.max(index - policy.entriesKept, log.indexKeeping(policy.logBytes))
    const needed = Math.max(this.#options.neededAfter(), log.indexKeeping(policy.logBytesMax))
    return Math.min(index, kept, needed)
  }

  #seal(draft: SnapshotDraft): void {
    const { snapshots } = this.#options
    const { meta } = draft.writer
    snapshots.seal(draft, (sealErr) => {
      if (sealErr !== undefined || this.#isOverdue(meta)) return this.#discard(draft, sealErr)
      snapshots.publish(draft, (err) => {
        this.#isMaking = false
        if (this.#isStopped) return
        if (err !== undefined) return this.#fail(err)
        this.#options.onSaved(meta, this.#compactTo(meta.index))
        if (this.#isAsked) this.#options.onWanted()
      })
    })
  }

  #discard(draft: SnapshotDraft, cause: Error | undefined): void {
    this.#options.snapshots.discard(draft, (err) => {
      const failure = cause ?? err
      this.#isMaking = false
      if (failure !== undefined) this.#fail(failure)
      else if (this.#isAsked && !this.#isStopped) this.#options.onWanted()
    })
  }

  #fail(err: Error): void {
    this.#isMaking = false
    if (!this.#isStopped) this.#options.onFailed(err)
  }
}
