// Raft in a worker thread, as the main thread holds it: a busy or collecting main thread never costs
// the leadership. The daemon must end when `closed` rejects.
import { Worker } from 'node:worker_threads'
import { SwarmError } from '../../proto/errors.ts'
import { unreachable } from '../../proto/lib/assert.ts'
import type { Logger } from '../../proto/lib/log.ts'
import { packProposals } from './entry-pack.ts'
import { MachineQueue } from './machine-queue.ts'
import type {
  ChangeOutcome,
  Leadership,
  MemberStep,
  ProposeOutcome,
  RaftCredentials,
  RaftHandle,
  RaftId,
  RaftPeer,
  RaftStatus,
  ReadOutcome,
  SnapshotPoint,
  StateMachine,
  TransferOutcome,
} from './raft-handle.ts'
import type {
  FromThread,
  RaftAnswer,
  RaftRequest,
  RaftTiming,
  ThreadBeginning,
  ThreadConfig,
  ToThread,
} from './thread-messages.ts'

/** Proposals without an outcome; more are answered busy at once. */
const proposalsMax = 65_536
const proposalBytesMax = 64 * 1024 * 1024

export const defaultRaftTiming: RaftTiming = { tickMs: 50, heartbeatTicks: 2, electionTicks: 10 }
const defaultSnapshotLogBytes = 64 * 1024 * 1024

export interface RaftThreadOptions {
  /** This member's Raft id: a fresh random string for every join. */
  readonly id: RaftId
  /** Log and snapshots; created when missing. */
  readonly directory: string
  /** Holds the key that wraps the data key; created with mode 0600 when missing. */
  readonly keyFile: string
  /** Names the cluster; a directory of another one is refused. */
  readonly group: string
  /** host:port for peers. */
  readonly listenAddress: string
  readonly credentials: RaftCredentials
  /** Members known from before, this one included or not. A damaged log is repaired when there are others. */
  readonly peers: readonly RaftPeer[]
  /** Absent: the directory holds a log, or others will add this member. */
  readonly beginning?: ThreadBeginning
  readonly timing?: RaftTiming
  /** A snapshot is taken when the log grew by so much. Default 64 MiB. */
  readonly snapshotLogBytes?: number
  readonly stateMachine: StateMachine
  readonly onLeadership: (leadership: Leadership) => void
  readonly log: Logger
}

/**
 * Starts the thread; resolves when the log is open and peers are listened for. Errors: DATA_LOSS (damaged
 * log, and nobody to repair it from), FAILED_PRECONDITION (foreign directory, wrong key), ADDRESS_IN_USE,
 * RESOURCE_EXHAUSTED, INTERNAL.
 */
export async function startRaftThread(options: RaftThreadOptions): Promise<RaftHandle> {
  const thread = new RaftThread(options)
  await thread.started
  return thread
}

interface Waiting {
  readonly bytes: number
  readonly resolve: (outcome: ProposeOutcome) => void
}

class RaftThread implements RaftHandle {
  readonly id: RaftId
  readonly started: Promise<void>
  readonly closed: Promise<void>
  readonly #options: RaftThreadOptions
  readonly #worker: Worker
  readonly #queue: MachineQueue
  readonly #proposals = new Map<number, Waiting>()
  readonly #requests = new Map<number, (answer: RaftAnswer | undefined) => void>()
  #proposalBytes = 0
  #nextSequence = 0
  #nextRequest = 0
  /** Made in this turn of the loop; they travel together. */
  #batch: Uint8Array[] = []
  #leadership: Leadership = { role: 'follower', leader: undefined, term: 0 }
  #isStopping = false
  #failure: SwarmError | undefined
  #isEnded = false
  #settleStarted: (err?: SwarmError) => void = () => {}
  #settleClosed: (err?: SwarmError) => void = () => {}

  constructor(options: RaftThreadOptions) {
    this.#options = options
    this.id = options.id
    this.started = new Promise((resolve, reject) => {
      this.#settleStarted = (err) => (err === undefined ? resolve() : reject(err))
    })
    this.closed = new Promise((resolve, reject) => {
      this.#settleClosed = (err) => (err === undefined ? resolve() : reject(err))
    })
    // Whoever only awaits the start must not be killed by an unhandled rejection of the end.
    this.closed.catch(() => {})
    this.#queue = new MachineQueue(
      options.stateMachine,
      (message, transfer) => this.#post(message, transfer),
      (err) => this.#machineFailed(err),
    )
    this.#worker = new Worker(new URL('./raft-worker.js', import.meta.url), {
      name: 'raft',
      workerData: threadConfig(options),
    })
    this.#worker.on('message', (message: FromThread) => this.#heard(message))
    this.#worker.on('error', (err) => this.#fail('INTERNAL', `the Raft thread broke: ${err.stack}`))
    this.#worker.on('exit', (code) => this.#exited(code))
  }

  leadership(): Leadership {
    return this.#leadership
  }

  propose(data: Uint8Array): Promise<ProposeOutcome> {
    if (this.#isEnded) return Promise.resolve({ kind: 'lost' })
    if (
      this.#proposals.size >= proposalsMax ||
      (this.#proposalBytes > 0 && this.#proposalBytes + data.length > proposalBytesMax)
    ) {
      return Promise.resolve({ kind: 'busy' })
    }
    if (this.#batch.length === 0) queueMicrotask(() => this.#sendBatch())
    this.#batch.push(data)
    const sequence = this.#nextSequence
    this.#nextSequence += 1
    this.#proposalBytes += data.length
    return new Promise((resolve) => {
      this.#proposals.set(sequence, { bytes: data.length, resolve })
    })
  }

  async readIndex(): Promise<ReadOutcome> {
    const answer = await this.#request({ kind: 'read' })
    return answer?.kind === 'read' ? answer.outcome : { kind: 'no-leader' }
  }

  async status(): Promise<RaftStatus> {
    const answer = await this.#request({ kind: 'status' })
    if (answer?.kind === 'status') return answer.status
    throw this.#failure ?? new SwarmError('UNAVAILABLE', 'Raft has stopped on this manager')
  }

  async changeMembers(steps: readonly MemberStep[]): Promise<ChangeOutcome> {
    const answer = await this.#request({ kind: 'change', steps })
    return answer?.kind === 'change' ? answer.outcome : { kind: 'lost' }
  }

  async transferLeadership(to?: RaftId): Promise<TransferOutcome> {
    const answer = await this.#request({ kind: 'transfer', to })
    if (answer?.kind === 'transfer') return answer.outcome
    return { kind: 'failed', reason: 'Raft has stopped on this manager' }
  }

  setPeers(peers: readonly RaftPeer[]): void {
    this.#post({ kind: 'set-peers', peers })
  }

  setCredentials(credentials: RaftCredentials): void {
    this.#post({ kind: 'set-credentials', credentials })
  }

  async compact(): Promise<SnapshotPoint> {
    const answer = await this.#request({ kind: 'compact' })
    if (answer?.kind === 'compact') return answer.at
    throw this.#failure ?? new SwarmError('UNAVAILABLE', 'Raft has stopped on this manager')
  }

  async rotateKeys(): Promise<void> {
    const answer = await this.#request({ kind: 'rotate-keys' })
    if (answer?.kind === 'rotate-keys') return
    throw this.#failure ?? new SwarmError('UNAVAILABLE', 'Raft has stopped on this manager')
  }

  async stop(): Promise<void> {
    if (!this.#isStopping) {
      this.#isStopping = true
      await this.#request({ kind: 'stop' })
      // All is flushed and closed; whatever still holds the thread is of no use any more.
      void this.#worker.terminate()
    }
    await this.closed
  }

  #sendBatch(): void {
    const batch = this.#batch
    this.#batch = []
    if (this.#isEnded) return
    const packed = packProposals(this.#nextSequence - batch.length, batch)
    this.#post({ kind: 'propose', packed }, [packed])
  }

  #request(request: RaftRequest): Promise<RaftAnswer | undefined> {
    if (this.#isEnded) return Promise.resolve(undefined)
    const id = this.#nextRequest
    this.#nextRequest += 1
    return new Promise((resolve) => {
      this.#requests.set(id, resolve)
      this.#post({ kind: 'request', id, request })
    })
  }

  #post(message: ToThread, transfer: readonly ArrayBuffer[] = []): void {
    if (!this.#isEnded) this.#worker.postMessage(message, transfer)
  }

  #heard(message: FromThread): void {
    switch (message.kind) {
      case 'apply':
        this.#queue.apply(message.packed)
        this.#committed(message.committed)
        return
      case 'committed':
        this.#committed(message.triples)
        return
      case 'outcomes':
        this.#queue.run(() => {
          for (const { sequence, outcome } of message.outcomes) this.#settle(sequence, outcome)
        })
        return
      case 'leadership':
        this.#queue.run(() => {
          this.#leadership = message.leadership
          this.#options.onLeadership(message.leadership)
        })
        return
      case 'answer':
        this.#queue.run(() => this.#answered(message.id, message.answer))
        return
      case 'ping':
        this.#post({ kind: 'pong' })
        return
      case 'snapshot-take':
        this.#queue.takeSnapshot()
        return
      case 'snapshot-pull':
        this.#queue.pullSnapshot()
        return
      case 'snapshot-cancel':
        this.#queue.cancelSnapshot()
        return
      case 'restore':
        this.#queue.restore(message.at)
        return
      case 'restore-chunk':
        this.#queue.restoreChunk(message.bytes, undefined)
        return
      case 'log':
        this.#options.log[message.level](message.fields, message.message)
        return
      case 'started':
        this.#settleStarted()
        return
      case 'failed':
        this.#fail(message.code, message.reason)
        return
      default:
        unreachable(message, 'message from the Raft thread')
    }
  }

  /** In order behind the entries. */
  #committed(triples: Float64Array | undefined): void {
    if (triples === undefined) return
    this.#queue.run(() => {
      for (let at = 0; at + 2 < triples.length; at += 3) {
        const sequence = triples[at] ?? 0
        const [index = 0, term = 0] = [triples[at + 1], triples[at + 2]]
        this.#settle(sequence, { kind: 'committed', index, term })
      }
    })
  }

  #settle(sequence: number, outcome: ProposeOutcome): void {
    const waiting = this.#proposals.get(sequence)
    if (waiting === undefined) return
    this.#proposals.delete(sequence)
    this.#proposalBytes -= waiting.bytes
    waiting.resolve(outcome)
  }

  #answered(id: number, answer: RaftAnswer): void {
    const resolve = this.#requests.get(id)
    this.#requests.delete(id)
    resolve?.(answer)
  }

  #machineFailed(err: unknown): void {
    const reason = err instanceof Error ? (err.stack ?? err.message) : String(err)
    this.#post({ kind: 'machine-failed', reason })
    // A cluster that is too new for this program, or data it cannot read: the text says what to do.
    if (err instanceof SwarmError) this.#fail(err.code, err.message)
    else this.#fail('INTERNAL', `the replicated state failed: ${reason}`)
  }

  /** The first failure counts; the thread is on its way out or is ended here. */
  #fail(code: SwarmError['code'], reason: string): void {
    this.#failure ??= new SwarmError(code, reason)
    void this.#worker.terminate()
  }

  #exited(code: number): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#queue.end()
    const isOrderly = this.#isStopping && this.#failure === undefined
    const failure = isOrderly
      ? undefined
      : (this.#failure ?? new SwarmError('INTERNAL', `the Raft thread ended with code ${code}`))
    this.#failure = failure
    for (const sequence of [...this.#proposals.keys()]) this.#settle(sequence, { kind: 'lost' })
    for (const resolve of this.#requests.values()) resolve(undefined)
    this.#requests.clear()
    this.#settleStarted(failure)
    this.#settleClosed(failure)
  }
}

function threadConfig(options: RaftThreadOptions): ThreadConfig {
  const { id, directory, keyFile, group, listenAddress, credentials, peers } = options
  return {
    id,
    directory,
    keyFile,
    group,
    listenAddress,
    credentials,
    peers,
    beginning: options.beginning,
    timing: options.timing ?? defaultRaftTiming,
    snapshotLogBytes: options.snapshotLogBytes ?? defaultSnapshotLogBytes,
  }
}
