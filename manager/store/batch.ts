// A batch: what rides one entry, and how the promises of its callbacks end.
import { SwarmError } from '../../proto/errors.ts'
import type { EntryHeader } from './entry-codec.ts'
import type { OverlayEntry } from './overlay.ts'
import type { Transaction } from './state.ts'
import type { Tx, UpdateOptions } from './store.ts'
import { changesMax } from './transaction.ts'

export const entryBytesMax = 1.5 * 2 ** 20

/** A callback and its promise. */
export interface Waiting {
  readonly fn: (tx: Tx) => unknown
  readonly options: UpdateOptions
  readonly resolve: (value: unknown) => void
  readonly reject: (err: unknown) => void
}

/** How a callback's promise ends once its batch was applied. */
export interface Settlement {
  readonly waiting: Waiting
  readonly outcome:
    | { readonly kind: 'value'; readonly value: unknown }
    | { readonly kind: 'error'; readonly err: unknown }
  /** Whether it wrote anything: then nobody knows when the entry is lost. */
  readonly isProposed: boolean
}

export interface Batch {
  readonly header: EntryHeader
  readonly transactions: Transaction[]
  readonly encoded: Uint8Array[]
  readonly written: OverlayEntry[]
  readonly settlements: Settlement[]
  changes: number
  bytes: number
}

export function newBatch(header: EntryHeader): Batch {
  return {
    header,
    transactions: [],
    encoded: [],
    written: [],
    settlements: [],
    changes: 0,
    bytes: 0,
  }
}

export function isFull(batch: Batch | undefined): boolean {
  return batch !== undefined && (batch.changes >= changesMax || batch.bytes >= entryBytesMax)
}

export function settle({ waiting, outcome }: Settlement): void {
  if (outcome.kind === 'value') waiting.resolve(outcome.value)
  else waiting.reject(outcome.err)
}

/** Callbacks that wrote nothing are safe to repeat whatever became of the entry. */
export function fail(batch: Batch, reason: () => SwarmError): void {
  for (const { waiting, isProposed } of batch.settlements) {
    waiting.reject(isProposed ? reason() : notLeader())
  }
}

export function notLeader(): SwarmError {
  return new SwarmError(
    'NOT_LEADER',
    'this manager is not the leader, nothing was changed; repeat the request at the leader',
  )
}

export function outcomeUnknown(): SwarmError {
  return new SwarmError(
    'OUTCOME_UNKNOWN',
    'leadership was lost while the change was being replicated: it may or may not take effect; repeat it with the same request id, or look first',
  )
}
