// Group commit on the leader: update callbacks run one after another over one overlay and ride one entry; while an entry is in
// flight the next one fills. Knows nothing of applying: the store tells it which of its entries were.
import { SwarmError } from '../../proto/errors.ts'
import { InvariantError } from '../../proto/lib/assert.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import {
  type Batch,
  entryBytesMax,
  fail,
  isFull,
  newBatch,
  notLeader,
  outcomeUnknown,
  type Settlement,
  settle,
  type Waiting,
} from './batch.ts'
import { encodeTransaction } from './entry-codec.ts'
import { Overlay, type OverlayEntry } from './overlay.ts'
import { Pipeline } from './pipeline.ts'
import type { Proposer } from './proposer.ts'
import type { RequestResult, State, Write, Transaction as Writes } from './state.ts'
import type { Tx, UpdateOptions } from './store.ts'
import { changesMax, Transaction } from './transaction.ts'

const waitingMax = 20_000
/** Entries proposed and not yet applied. A second one leaves only when it is full. */
const inFlightMax = 4

interface Ran {
  readonly transaction: Writes
  readonly bytes: Uint8Array | undefined
  readonly written: readonly OverlayEntry[]
  readonly settlement: Settlement
}

export interface GroupCommitDeps {
  readonly state: State
  readonly proposer: Proposer
  readonly clock: Clock
  readonly origin: string
  readonly nowMs: () => number
}

export class GroupCommit {
  readonly #deps: GroupCommitDeps
  readonly #overlay: Overlay
  #isLeader = false
  #isPumpQueued = false
  #waiting: Waiting[] = []
  /** Not proposed; only the last one is open. */
  #batches: Batch[] = []
  readonly #pipeline: Pipeline
  #sequence = 0
  #term = 0

  constructor(deps: GroupCommitDeps) {
    this.#deps = deps
    this.#overlay = new Overlay(deps.state)
    const { proposer, clock } = deps
    this.#pipeline = new Pipeline({
      proposer,
      clock,
      onLost: (unknown, refused) => {
        for (const batch of unknown) fail(batch, outcomeUnknown)
        for (const batch of refused) fail(batch, notLeader)
        this.endTerm()
      },
    })
  }

  get isLeader(): boolean {
    return this.#isLeader
  }

  startTerm(term: number): void {
    if (this.#isLeader) this.endTerm()
    this.#term = term
    this.#overlay.reset()
    this.#isLeader = true
  }

  /** Nothing is proposed any more. Callbacks that were not end with NOT_LEADER, the others with OUTCOME_UNKNOWN. */
  endTerm(): void {
    this.#isLeader = false
    const proposed = this.#pipeline.clear()
    const [unproposed, waiting] = [this.#batches, this.#waiting]
    this.#batches = []
    this.#waiting = []
    this.#overlay.reset()
    for (const batch of proposed) fail(batch, outcomeUnknown)
    for (const batch of unproposed) fail(batch, notLeader)
    for (const { reject } of waiting) reject(notLeader())
  }

  update<T>(fn: (tx: Tx) => T, options: UpdateOptions): Promise<T> {
    if (!this.#isLeader) return Promise.reject(notLeader())
    if (this.#waiting.length >= waitingMax) return Promise.reject(tooManyWaiting())
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ fn, options, resolve: resolve as (value: unknown) => void, reject })
      this.#queuePump()
    })
  }

  /** The batch that a committed entry is, when it was proposed here. */
  ownBatch(data: Uint8Array): Batch | undefined {
    return this.#pipeline.find(data)
  }

  /** The oldest proposal was applied. */
  applied(): void {
    const batch = this.#pipeline.shift()
    for (const entry of batch.written) this.#overlay.settle(entry)
    for (const { request } of batch.transactions) {
      if (request !== undefined) this.#overlay.requests.delete(request.id)
    }
    for (const settlement of batch.settlements) settle(settlement)
    this.#queuePump()
  }

  /** A proposal was committed where it does not fit: before one it builds on, or in a term that this node did not know of yet. */
  voided(own: Batch, term: number): void {
    if (own.header.term === term && own !== this.#pipeline.first) {
      this.#pipeline.voided(own)
      return
    }
    const batches = [...this.#pipeline.clear(), ...this.#batches]
    this.#batches = []
    this.#overlay.reset()
    for (const batch of batches) fail(batch, notLeader)
    if (own.header.term === term) this.#queuePump()
    else this.endTerm()
  }

  /** In a microtask, so that updates of one tick ride together. */
  #queuePump(): void {
    if (this.#isPumpQueued) return
    this.#isPumpQueued = true
    queueMicrotask(() => {
      this.#isPumpQueued = false
      this.#pump()
    })
  }

  #pump(): void {
    let next = 0
    for (let isMoving = true; isMoving; ) {
      while (this.#isLeader && next < this.#waiting.length && this.#hasRoom()) {
        this.#run(this.#waiting[next] as Waiting)
        next += 1
      }
      isMoving = this.#isLeader && this.#mayPropose()
      if (isMoving) this.#pipeline.propose(this.#batches.shift() as Batch)
    }
    this.#waiting = this.#waiting.slice(next)
  }

  /** Whether another callback may run: there is no batch that waits to leave. */
  #hasRoom(): boolean {
    return this.#batches.length < 2 && !isFull(this.#batches[0])
  }

  #mayPropose(): boolean {
    const [first, second] = this.#batches
    if (first === undefined) return false
    const { size, isHeld } = this.#pipeline
    if (size === 0) return true
    return size < inFlightMax && !isHeld && (second !== undefined || isFull(first))
  }

  #run(waiting: Waiting): void {
    const { requestId } = waiting.options
    const done = requestId === undefined ? undefined : this.#done(requestId)
    if (done !== undefined) {
      this.#afterTail(waiting, () => firstResult(done, waiting.options))
      return
    }
    const nowMs = Math.max(this.#deps.nowMs(), this.#overlay.stampMs)
    const tx = new Transaction(this.#overlay, this.#batches.at(-1)?.header.nowMs ?? nowMs)
    try {
      const value = waiting.fn(tx)
      refusePromise(value)
      this.#finish(waiting, tx, value)
    } catch (err) {
      tx.rollback()
      this.#afterTail(waiting, () => {
        throw err
      })
    }
  }

  #finish(waiting: Waiting, tx: Transaction, value: unknown): void {
    const { requestId, method = '' } = waiting.options
    const written = tx.commit()
    // A row that the transaction both made and removed stays in the overlay only.
    const writes = written.filter(
      (entry) => entry.row !== undefined || this.#isStored(entry),
    ) as readonly Write[]
    const request =
      requestId === undefined
        ? undefined
        : { id: requestId, method, resultJson: JSON.stringify(value) as string | undefined }
    if (writes.length === 0 && request === undefined) {
      tx.rollback()
      this.#afterTail(waiting, () => value)
      return
    }
    const transaction = { writes, request }
    const bytes = this.#deps.proposer.needsBytes ? encodeTransaction(transaction) : undefined
    if ((bytes?.length ?? 0) > entryBytesMax) throw tooLarge()
    const settlement = { waiting, outcome: { kind: 'value', value }, isProposed: true } as const
    this.#append({ transaction, bytes, written, settlement }, tx.nowMs)
  }

  #isStored({ table, id, before }: OverlayEntry): boolean {
    return this.#overlay.under(table, id, before) !== undefined
  }

  /** Puts a transaction into the open batch, or into a new one when it does not fit. */
  #append({ transaction, bytes, written, settlement }: Ran, nowMs: number): void {
    let batch = this.#batches.at(-1)
    const length = bytes?.length ?? 0
    const changes = transaction.writes.length
    if (
      batch === undefined ||
      batch.changes + changes > changesMax ||
      batch.bytes + length > entryBytesMax
    ) {
      batch = this.#newBatch(nowMs)
    }
    batch.transactions.push(transaction)
    if (bytes !== undefined) batch.encoded.push(bytes)
    for (const entry of written) entry.before = undefined
    batch.written.push(...written)
    batch.settlements.push(settlement)
    batch.changes += changes
    batch.bytes += length
    this.#overlay.version += 1
    const { request } = transaction
    if (request !== undefined) this.#overlay.requests.set(request.id, request)
  }

  #newBatch(nowMs: number): Batch {
    this.#sequence += 1
    const header = {
      featureLevel: this.#deps.state.featureLevel,
      origin: this.#deps.origin,
      sequence: this.#sequence,
      term: this.#term,
      baseVersion: this.#overlay.version,
      nowMs,
    }
    const batch = newBatch(header)
    this.#overlay.stampMs = nowMs
    this.#batches.push(batch)
    return batch
  }

  /** What the id was answered with, applied or about to be. */
  #done(requestId: string): RequestResult | undefined {
    return this.#overlay.requests.get(requestId) ?? this.#deps.state.requests.get(requestId)
  }

  /** Ends a callback that changed nothing when all it may have seen is applied. */
  #afterTail(waiting: Waiting, result: () => unknown): void {
    const settlement: Settlement = { waiting, outcome: outcomeOf(result), isProposed: false }
    const tail = this.#batches.at(-1) ?? this.#pipeline.last
    if (tail === undefined) settle(settlement)
    else tail.settlements.push(settlement)
  }
}

function outcomeOf(result: () => unknown): Settlement['outcome'] {
  try {
    return { kind: 'value', value: result() }
  } catch (err) {
    return { kind: 'error', err }
  }
}

function firstResult(done: RequestResult, { requestId, method = '' }: UpdateOptions): unknown {
  if (done.method === method) {
    return done.resultJson === undefined ? undefined : JSON.parse(done.resultJson)
  }
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `request ${requestId} was ${done.method || 'another request'} before; make a new request id for ${method || 'this'}`,
    { details: { requestId: requestId ?? '', method, first: done.method } },
  )
}

function refusePromise(value: unknown): void {
  if (value instanceof Promise) throw new InvariantError('an update callback must be synchronous')
}

function tooManyWaiting(): SwarmError {
  return new SwarmError(
    'RESOURCE_EXHAUSTED',
    `the leader has ${waitingMax} changes waiting and takes no more; try again in a moment`,
  )
}

function tooLarge(): SwarmError {
  return new SwarmError(
    'RESOURCE_EXHAUSTED',
    `one update may change at most ${entryBytesMax / 2 ** 20} MiB; split it or make its objects smaller`,
  )
}
