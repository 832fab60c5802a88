// Raft on the caller's own thread, with clock, randomness, disk and network given: for simulating whole
// clusters. The same handle as raft-thread's, without threads, certificates or sockets.
import {
  type Disk,
  type StateMachine as DriverMachine,
  type DriverRequests,
  driverRequests,
  openStorage,
  RaftDriver,
  type SnapshotMeta,
  type SnapshotSource,
  type Storage,
  type StorageOptions,
  type Transport,
} from 'raft-ts'
import type { SwarmError } from '../../proto/errors.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import type { Random } from '../../proto/lib/random.ts'
import { raftError } from './raft-errors.ts'
import type {
  ChangeOutcome,
  CommittedEntry,
  Leadership,
  MemberStep,
  ProposeOutcome,
  RaftHandle,
  RaftId,
  RaftStatus,
  ReadOutcome,
  SnapshotPoint,
  StateMachine,
  TransferOutcome,
} from './raft-handle.ts'
import { handleLeadership, handleStatus, handleTransfer } from './raft-status.ts'
import type { RaftTiming } from './thread-messages.ts'

export interface InProcessRaftOptions {
  readonly id: RaftId
  readonly disk: Disk
  readonly group: string
  readonly clock: Clock
  readonly random: Random
  readonly transport: Transport
  /** Founds a cluster of these members. Absent: others add this member, or the disk holds a log. */
  readonly voters?: readonly RaftId[]
  readonly timing?: Partial<RaftTiming>
  readonly snapshotLogBytes?: number
  readonly stateMachine: StateMachine
  readonly onLeadership: (leadership: Leadership) => void
}

/** `driver.receive` takes what the network delivers. Errors as startRaftThread's. */
export interface InProcessRaft {
  readonly handle: RaftHandle
  readonly driver: RaftDriver
}

const segmentBytesMax = 1024 * 1024
const compactPollMs = 10

/** Opens the log on the disk given, and takes part. */
export async function startInProcessRaft(options: InProcessRaftOptions): Promise<InProcessRaft> {
  const storage = await open(options)
  const handle = new InProcessHandle(options, storage)
  return { handle, driver: handle.driver }
}

function open({ disk, group, random, voters }: InProcessRaftOptions): Promise<Storage> {
  const storageOptions: StorageOptions = {
    disk,
    // Nothing in a simulation is secret.
    kek: { id: 'simulation', key: new Uint8Array(32) },
    group,
    randomBytes: (length) => random.bytes(length),
    segmentBytesMax,
    ...(voters && { beginning: { kind: 'new', voters } }),
  }
  return new Promise((resolve, reject) => {
    openStorage(storageOptions, (err, storage) => {
      if (storage === undefined) reject(raftError(err))
      else resolve(storage)
    })
  })
}

class InProcessHandle implements RaftHandle {
  readonly id: RaftId
  readonly driver: RaftDriver
  readonly closed: Promise<void>
  readonly #clock: Clock
  readonly #storage: Storage
  readonly #requests: DriverRequests
  #leadership: Leadership = { role: 'follower', leader: undefined, term: 0 }
  #settleClosed: (err?: SwarmError) => void = () => {}

  constructor(options: InProcessRaftOptions, storage: Storage) {
    const { id, clock, random, transport, timing, snapshotLogBytes } = options
    this.id = id
    this.#clock = clock
    this.#storage = storage
    this.closed = new Promise((resolve, reject) => {
      this.#settleClosed = (err) => (err === undefined ? resolve() : reject(err))
    })
    this.closed.catch(() => {})
    const { tickMs, ...ticks } = timing ?? {}
    this.driver = new RaftDriver({
      id,
      storage,
      transport,
      stateMachine: driverMachine(options.stateMachine),
      clock,
      random,
      tuning: ticks,
      ...(tickMs === undefined ? {} : { tickMs }),
      ...(snapshotLogBytes === undefined ? {} : { snapshotPolicy: { logBytes: snapshotLogBytes } }),
      onLeadership: (leadership) => {
        this.#leadership = handleLeadership(leadership)
        options.onLeadership(this.#leadership)
      },
      onFailed: (err) => this.#settleClosed(raftError(err)),
    })
    this.#requests = driverRequests(this.driver)
    this.driver.start()
  }

  leadership(): Leadership {
    return this.#leadership
  }

  propose(data: Uint8Array): Promise<ProposeOutcome> {
    return this.#requests.propose(data)
  }

  async readIndex(): Promise<ReadOutcome> {
    const outcome = await this.#requests.readIndex()
    return outcome.kind === 'ready' ? outcome : { kind: 'no-leader' }
  }

  async status(): Promise<RaftStatus> {
    return handleStatus(this.driver.status(), this.#leadership)
  }

  changeMembers(steps: readonly MemberStep[]): Promise<ChangeOutcome> {
    return this.#requests.change({ steps })
  }

  async transferLeadership(to?: RaftId): Promise<TransferOutcome> {
    return handleTransfer(await this.#requests.transferLeadership(to))
  }

  /** The network given knows its members. */
  setPeers(): void {}

  /** There are no certificates here. */
  setCredentials(): void {}

  compact(): Promise<SnapshotPoint> {
    const { applied } = this.driver.status()
    this.driver.compact()
    return new Promise((resolve) => {
      const look = (): void => {
        const newest = this.#storage.snapshots.newest
        const { index, term } = newest ?? { index: 0, term: 0 }
        if (index >= applied) resolve({ index, term })
        else this.#clock.setTimer(compactPollMs, look)
      }
      look()
    })
  }

  /** The key-encryption key is the simulation's and stays. */
  rotateKeys(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#storage.rotateDataKey((err) => (err === undefined ? resolve() : reject(raftError(err))))
    })
  }

  stop(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.driver.stop((err) => {
        if (err === undefined) {
          this.#settleClosed()
          resolve()
          return
        }
        const failure = raftError(err)
        this.#settleClosed(failure)
        reject(failure)
      })
    })
  }
}

const noData = new Uint8Array(0)

/** A state machine of promises as the driver's of callbacks. */
function driverMachine(machine: StateMachine): DriverMachine {
  return {
    apply: (entries, done) => {
      const committed: readonly CommittedEntry[] = entries.map((entry) => ({
        index: entry.index,
        term: entry.term,
        data: entry.kind === 'data' ? entry.data : noData,
      }))
      settle(() => machine.apply(committed), done)
    },
    snapshot: () => iteratedSource(machine.snapshot()),
    restore: ({ index, term }: SnapshotMeta, source, done) => {
      settle(() => machine.restore({ index, term }, sourceChunks(source)), done)
    },
  }
}

function settle(run: () => void | Promise<void>, done: (err?: Error) => void): void {
  let pending: void | Promise<void>
  try {
    pending = run()
  } catch (err) {
    done(err as Error)
    return
  }
  if (pending === undefined) done()
  else pending.then(() => done(), done)
}

function iteratedSource(chunks: AsyncIterable<Uint8Array>): SnapshotSource {
  const iterator = chunks[Symbol.asyncIterator]()
  return {
    read: (done) => {
      iterator.next().then(
        ({ done: isDone, value }) => done(undefined, isDone === true ? undefined : value),
        (err) => done(err as Error, undefined),
      )
    },
    cancel: () => {
      void iterator.return?.(undefined)
    },
  }
}

async function* sourceChunks(source: SnapshotSource): AsyncGenerator<Uint8Array, void, undefined> {
  while (true) {
    const chunk = await new Promise<Uint8Array | undefined>((resolve, reject) => {
      source.read((err, bytes) => (err === undefined ? resolve(bytes) : reject(err)))
    })
    if (chunk === undefined) return
    yield chunk
  }
}
