// One member, ready to use: log, key file, driver and network under one object with promises.
// The parts stay what they are; who needs them apart (a worker thread, another disk) ties them together alone.
import { join } from 'node:path'
import { isVoter } from '../core/quorum.ts'
import type { ConfChange, NodeId } from '../core/types.ts'
import { RaftDriver } from '../driver/driver.ts'
import type { DriverOptions, DriverStatus } from '../driver/driver-options.ts'
import type {
  AddVoterOutcome,
  ChangeOutcome,
  Leadership,
  ReadOutcome,
  TransferOutcome,
} from '../driver/outcomes.ts'
import type { Disk } from '../storage/disk.ts'
import { DamagedLogError } from '../storage/errors.ts'
import { openKeyFile, rotateKeyFile, settleKeyFile } from '../storage/key-file.ts'
import { openNodeDisk } from '../storage/node-disk.ts'
import {
  type ClusterBeginning,
  defaultSegmentBytesMax,
  openStorage,
  type Storage,
  type StorageOptions,
} from '../storage/open-storage.ts'
import { type KeyEncryptionKey, systemRandomBytes } from '../storage/seal.ts'
import type { MemberOptions, MemberProposeOutcome, MemberReadOutcome } from './member-options.ts'
import type { PeerLink } from './peer-network.ts'
import { systemClock, systemRandomness } from './system.ts'

const defaultRequestTimeoutMs = 10_000
/** Of one proposal: an append with it must fit a frame of any network, and the log's bounds. */
const proposalBytesMax = 8 * 1024 * 1024
const idBytesMax = 255

/**
 * Opens a member's directory, joins its network, and begins to take part. Rejects with what the network's
 * join rejects with, and with DamagedLogError, WrongKeyError, ForeignLogError or DiskError; nothing stays open then.
 */
export async function startMember<Result>(
  options: MemberOptions<Result>,
): Promise<RaftMember<Result>> {
  for (const id of [options.id, ...(options.voters ?? [])]) checkId(id)
  const member: { started?: RaftMember<Result> } = {}
  // First of all: a second process that was started by mistake ends here, before it touches the log.
  const link = await options.network.join(options.id, {
    receive: (message) => member.started?.driver.receive(message),
    unreachable: (id) => member.started?.driver.unreachable(id),
    gone: (id) => member.started?.driver.gone(id),
  })
  try {
    const storage = await openDirectory(options)
    member.started = new RaftMember(options, storage, link)
  } catch (err) {
    await link.close()
    throw err
  }
  member.started.driver.start()
  return member.started
}

/** An id that no message could carry would end every member that is told of it, again and again. */
function checkId(id: NodeId): void {
  const bytes = Buffer.from(id)
  if (bytes.length === 0 || bytes.length > idBytesMax) {
    const text = `the id of a member is of 1 to ${idBytesMax} bytes, and this of ${bytes.length}`
    throw new RangeError(text)
  }
  if (bytes.toString() !== id) {
    throw new RangeError(`the id of a member is well-formed text, and ${JSON.stringify(id)} is not`)
  }
}

async function openDirectory(options: MemberOptions<unknown>): Promise<Storage> {
  const { directory, key } = options
  const disk = openNodeDisk(join(directory, 'log'))
  const path = keyPath(options)
  const keys = key === undefined ? openKeyFile(path, systemRandomBytes) : { kek: key }
  const storage = await opened(options, disk, keys)
  try {
    if (key === undefined) await settleKeyFile(path, storage.kek)
  } catch (err) {
    await new Promise<void>((resolve) => storage.close(() => resolve()))
    throw err
  }
  return storage
}

function keyPath({ directory }: MemberOptions<unknown>): string {
  return join(directory, 'raft.key')
}

function opened(
  options: MemberOptions<unknown>,
  disk: Disk,
  keys: Pick<StorageOptions, 'kek' | 'otherKeks'>,
): Promise<Storage> {
  const { cluster = 'raft', recovery } = options
  const beginning = beginningOf(options)
  return new Promise((resolve, reject) => {
    const storageOptions = {
      ...keys,
      disk,
      group: cluster,
      randomBytes: systemRandomBytes,
      segmentBytesMax: defaultSegmentBytesMax,
      ...(beginning === undefined ? {} : { beginning }),
      ...(recovery === 'repair' ? { repair: true } : {}),
    }
    openStorage(storageOptions, (err, storage) => {
      if (storage === undefined) reject(err)
      else resolve(storage)
    })
  })
}

function beginningOf(options: MemberOptions<unknown>): ClusterBeginning | undefined {
  const { id, voters, recovery } = options
  if (recovery === 'force-new-cluster') return { kind: 'force-new', id }
  if (voters === undefined || !voters.includes(id)) return undefined
  return { kind: 'new', voters }
}

/** A call with a callback as a promise. */
function settled(call: (done: (err?: Error) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((err) => (err === undefined ? resolve() : reject(err)))
  })
}

/** What is the driver's own. */
function passedOn(options: MemberOptions<unknown>): Partial<DriverOptions> {
  const { tickMs, tuning, pendingProposalsMax, priorityOf, snapshotPolicy, onNote } = options
  return {
    ...(tickMs === undefined ? {} : { tickMs }),
    ...(tuning === undefined ? {} : { tuning }),
    ...(pendingProposalsMax === undefined ? {} : { pendingProposalsMax }),
    ...(priorityOf === undefined ? {} : { priorityOf }),
    ...(snapshotPolicy === undefined ? {} : { snapshotPolicy }),
    ...(onNote === undefined ? {} : { onNote }),
  }
}

/**
 * A running member. What became of a request is its value: it rejects only for what the caller gave it: an empty
 * proposal, an id that is none, a function that throws.
 */
export class RaftMember<Result> {
  readonly id: NodeId
  /** What carries it, for what has no method here. Stop the member, not the driver. */
  readonly driver: RaftDriver
  readonly #options: MemberOptions<Result>
  readonly #storage: Storage
  readonly #link: PeerLink
  readonly #requestTimeoutMs: number
  #leadership: Leadership = { role: 'follower', leader: undefined, term: 0 }
  /** Told at every change of leadership, and at the end. */
  readonly #watchers = new Set<() => void>()
  #hasEnded = false
  #failure: Error | undefined
  #rotating: Promise<void> | undefined
  #stopping: Promise<void> | undefined

  /** Of startMember: takes part once its driver is started. */
  constructor(options: MemberOptions<Result>, storage: Storage, link: PeerLink) {
    const { id, stateMachine } = options
    this.id = id
    this.#options = options
    this.#storage = storage
    this.#link = link
    this.#requestTimeoutMs = options.requestTimeoutMs ?? defaultRequestTimeoutMs
    this.driver = new RaftDriver({
      ...passedOn(options),
      id,
      storage,
      stateMachine,
      transport: link,
      clock: systemClock,
      random: systemRandomness,
      // What comes in one turn of the event loop shares messages and flushes.
      defer: (run) => queueMicrotask(run),
      onLeadership: (leadership) => this.#announced(leadership),
      onFailed: (err) => this.#failed(err),
    })
  }

  /** The role and leader that were announced last: see Leadership. */
  get leadership(): Leadership {
    return this.#leadership
  }

  /** Whether proposals and changes are taken here. */
  get isLeader(): boolean {
    return this.#leadership.role === 'leader'
  }

  /** Of core and storage, at this moment. */
  status(): DriverStatus {
    return this.driver.status()
  }

  /**
   * Replicates 1 byte to 8 MiB, which must not change any more; answered after they were applied here.
   * Only the leader takes them. `lost` comes also when requestTimeoutMs have passed.
   */
  propose(data: Uint8Array): Promise<MemberProposeOutcome<Result>> {
    if (data.length > proposalBytesMax) {
      const text = `a proposal is of ${proposalBytesMax} bytes at most, and this of ${data.length}`
      return Promise.reject(new RangeError(`${text}; split it`))
    }
    return this.#request<MemberProposeOutcome<Result>>({ kind: 'lost' }, (answer) =>
      this.driver.propose(data, (outcome) => {
        if (outcome.kind !== 'committed') return answer(outcome)
        // At once: the state machine keeps the results of one batch.
        const result = this.#options.stateMachine.resultAt?.(outcome.index) as Result
        answer({ ...outcome, result })
      }),
    )
  }

  /** A linearizable read, on any member: calls `look` once all that was committed before this call is applied here. */
  read<T>(look: () => T): Promise<MemberReadOutcome<T>> {
    return this.#request<MemberReadOutcome<T>>({ kind: 'no-leader' }, (answer, fail) =>
      this.driver.readIndex((outcome) => {
        if (outcome.kind !== 'ready') return answer(outcome)
        // Not into the driver: what the caller's function throws is the caller's.
        try {
          answer({ ...outcome, value: look() })
        } catch (err) {
          fail(err as Error)
        }
      }),
    )
  }

  /** As `read`, without looking: what is applied here now may be read until the next await. */
  readIndex(): Promise<ReadOutcome> {
    return this.#request<ReadOutcome>({ kind: 'no-leader' }, (answer) =>
      this.driver.readIndex(answer),
    )
  }

  /** Changes the membership, on the leader; answered when the new configuration holds alone. */
  change(change: ConfChange): Promise<ChangeOutcome> {
    return this.#request<ChangeOutcome>({ kind: 'lost' }, (answer) => {
      for (const { id } of change.steps) checkId(id)
      this.driver.change(change, answer)
    })
  }

  /**
   * Adds a member as a learner, waits until it keeps up, and makes it a voter, on the leader. The member's process
   * must run. Takes as long as catching up does; ends with this leadership at the latest.
   */
  addVoter(id: NodeId): Promise<AddVoterOutcome> {
    return new Promise((resolve) => {
      checkId(id)
      this.driver.addVoter(id, resolve)
    })
  }

  /** Hands leadership to a voter; without one, to the best: of highest priority and up to date. */
  transferLeadership(to?: NodeId): Promise<TransferOutcome> {
    const reason = 'no outcome within the time for requests'
    return this.#request<TransferOutcome>({ kind: 'failed', reason }, (answer) =>
      this.driver.transferLeadership(to, answer),
    )
  }

  /** Gives up the transfer that is under way. False: there was none, or it is too late. */
  abortTransfer(): boolean {
    return this.driver.abortTransfer()
  }

  /** Takes a snapshot soon, and drops the log that it stands for. */
  compact(): void {
    this.driver.compact()
  }

  /**
   * Seals what is written from now on with a fresh data key, and exchanges the key-encryption key: that of the key
   * file, or the one that was given at start for `key`, which must lie somewhere durable before. The member goes on
   * meanwhile. Rejects with DiskError, and then the log takes no more; with RangeError when `key` is missing or too many.
   */
  rotateKeys(key?: KeyEncryptionKey): Promise<void> {
    if ((key === undefined) !== (this.#options.key === undefined)) {
      const text = 'a member that was started with a key is given the next one, and any other none'
      return Promise.reject(new RangeError(text))
    }
    // One after the other.
    const before = this.#rotating ?? Promise.resolve()
    const rotated = before.then(() => this.#rotate(key))
    this.#rotating = rotated.catch(() => {}) // told to its own caller
    return rotated
  }

  /** Resolves with the leader once one is known here, or with undefined after the time or when the member ends. */
  waitForLeader(timeoutMs: number = this.#requestTimeoutMs): Promise<NodeId | undefined> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer)
        this.#watchers.delete(look)
        resolve(this.#hasEnded ? undefined : this.#leadership.leader)
      }
      const look = (): void => {
        if (this.#hasEnded || this.#leadership.leader !== undefined) end()
      }
      const timer = setTimeout(end, timeoutMs)
      this.#watchers.add(look)
      look()
    })
  }

  /**
   * Ends taking part: a leader of several hands over first, waiting its election time-out at most, so that the
   * others need not notice its absence. Rejects with a failure of the last flush; calling it again
   * gives the same. Wanted also after a failure, before the directory is used again.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    if (!this.#hasEnded) await this.#handOver()
    await this.#rotating
    const err = await this.#close()
    this.#end()
    await this.#link.close()
    if (err !== undefined) throw err
  }

  /** A driver that ended by itself leaves its storage open. */
  async #close(): Promise<Error | undefined> {
    if (!this.#hasEnded) return await new Promise((resolve) => this.driver.stop(resolve))
    // The next start must not take a log for sound that was met as damaged.
    if (this.#failure instanceof DamagedLogError) {
      await new Promise<void>((resolve) => this.#storage.suspect(() => resolve()))
    }
    // What it failed with was told already.
    await new Promise<void>((resolve) => this.#storage.close(() => resolve()))
    return undefined
  }

  async #handOver(): Promise<void> {
    const { role, conf, electionTimeoutMs } = this.driver.status()
    if (role !== 'leader' || !isVoter(conf, this.id) || conf.voters.length === 1) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, electionTimeoutMs)
      this.driver.transferLeadership(undefined, () => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  async #rotate(key: KeyEncryptionKey | undefined): Promise<void> {
    const storage = this.#storage
    if (this.#hasEnded || this.#stopping !== undefined)
      throw new Error(`member ${this.id} has ended`)
    await settled((done) => storage.rotateDataKey(done))
    if (key !== undefined) await settled((done) => storage.rewrap(key, done))
    else await rotateKeyFile(keyPath(this.#options), storage, systemRandomBytes)
  }

  /** Every wait has an end: `late` is the answer when none has come in time. */
  #request<T>(
    late: T,
    ask: (answer: (outcome: T) => void, fail: (err: Error) => void) => void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => resolve(late), this.#requestTimeoutMs)
      const answer = (outcome: T): void => {
        clearTimeout(timer)
        resolve(outcome)
      }
      const fail = (err: Error): void => {
        clearTimeout(timer)
        reject(err)
      }
      try {
        ask(answer, fail)
      } catch (err) {
        fail(err as Error)
      }
    })
  }

  #announced(leadership: Leadership): void {
    this.#leadership = leadership
    for (const look of [...this.#watchers]) look()
    this.#options.onLeadership?.(leadership)
  }

  #failed(err: Error): void {
    this.#failure = err
    this.#end()
    void this.#link.close()
    this.#options.onFailed(err)
  }

  #end(): void {
    this.#hasEnded = true
    this.#leadership = { role: 'follower', leader: undefined, term: this.#leadership.term }
    for (const look of [...this.#watchers]) look()
  }
}
