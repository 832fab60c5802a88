// One member of a simulated cluster through all its lives: the real core, driver and storage on a virtual disk,
// network and clock. A crash keeps only the disk.
import type { RaftTuning } from '../core/config.ts'
import type { ConfChangeStep, ConfState, Index, NodeId, Term } from '../core/types.ts'
import { RaftDriver } from '../driver/driver.ts'
import type { DriverStatus } from '../driver/driver-options.ts'
import type { PeerMessage } from '../driver/environment.ts'
import type { Leadership } from '../driver/outcomes.ts'
import { DiskError } from '../storage/disk.ts'
import { DamagedLogError, LogFailedError } from '../storage/errors.ts'
import { openStorage, type Storage } from '../storage/open-storage.ts'
import { segmentSequence } from '../storage/segment.ts'
import { CheckedMachine } from './checked-machine.ts'
import type { Oracle } from './oracle.ts'
import { SimProcess } from './process.ts'
import type { SimRandom } from './random.ts'
import { VirtualDisk } from './virtual-disk.ts'
import type { VirtualNetwork } from './virtual-network.ts'
import type { World } from './world.ts'

/** Bugs planted to prove that the simulator notices: log flushes that do nothing, votes given twice a term. */
export type PlantedBug = 'skip-flush' | 'vote-twice'

/** What all members of a cluster share. */
export interface MemberSurroundings {
  readonly world: World
  readonly network: VirtualNetwork
  readonly oracle: Oracle
  readonly random: SimRandom
  readonly tuning: Partial<RaftTuning>
  readonly bug: PlantedBug | undefined
  readonly trace: (text: () => string) => void
}

const kek = { id: 'simulation', key: new Uint8Array(32).fill(7) }
const otherKek = { id: 'simulation', key: new Uint8Array(32).fill(8) }
/** A leader keeps a little for those who are slow, so that both ways to catch up come about. */
const snapshotPolicy = { logBytes: 12_000, entriesKept: 30, logBytesMax: 16_000 }
const segmentBytesMax = 4096
const snapshotBytes = 2500

export class Member {
  readonly id: NodeId
  readonly disk: VirtualDisk
  readonly #around: MemberSurroundings
  /** Voters of the cluster it founds with others; empty: it is added later. */
  readonly #founders: readonly NodeId[]
  #life = 0
  #process: SimProcess | undefined
  #driver: RaftDriver | undefined
  #storage: Storage | undefined
  #machine: CheckedMachine | undefined
  #rate = 1
  #votedIn: Term = 0

  constructor(id: NodeId, founders: readonly NodeId[], around: MemberSurroundings) {
    this.id = id
    this.#founders = founders
    this.#around = around
    const isForgetful = around.bug === 'skip-flush'
    this.disk = new VirtualDisk(around.random.fork(), {
      skipsFlush: (name) => isForgetful && segmentSequence(name) !== undefined,
    })
  }

  /** How often it was started. */
  get life(): number {
    return this.#life
  }

  get isUp(): boolean {
    return this.#process?.isAlive === true
  }

  get appliedIndex(): Index {
    return this.#machine?.index ?? 0
  }

  get conf(): ConfState | undefined {
    return this.status()?.conf
  }

  status(): DriverStatus | undefined {
    return this.#driver?.status()
  }

  /** Its role and term, undefined while it is down. */
  get leadership(): Leadership | undefined {
    return this.#driver?.leadership
  }

  /** Term of the entry at index in the log of this life. */
  termAt(index: Index): Term | undefined {
    return this.#driver?.view.termAt(index)
  }

  start(): void {
    if (this.isUp) return
    this.#life += 1
    const name = `${this.id}#${this.#life}`
    this.#around.trace(() => `${name} starts`)
    const process = new SimProcess(name, this.#around.world, this.#rate)
    this.#process = process
    this.disk.attach(process)
    process.run(() => this.#open(process))
  }

  crash(): void {
    if (!this.isUp) return
    this.#around.trace(() => `${this.id}#${this.#life} crashes`)
    this.#process?.kill()
    this.disk.crash()
    this.#around.network.listen(this.id, undefined)
    // Repair rests on connections: what a damaged member said in its earlier life comes before what it says now.
    if (this.disk.hasRotted) this.#around.network.dropUnderWay(this.id)
    this.#driver = undefined
    this.#storage = undefined
    this.#machine = undefined
  }

  stop(): void {
    this.#process?.stop()
  }

  resume(): void {
    this.#process?.resume()
  }

  /** The speed of its clock, kept over restarts. */
  setRate(rate: number): void {
    this.#rate = rate
    this.#process?.setRate(rate)
  }

  /** Done is called only if the proposal was applied here while its proposer waited. */
  propose(data: Uint8Array, done: (index: Index, term: Term) => void): void {
    this.#run((driver) =>
      driver.propose(data, (outcome) => {
        if (outcome.kind === 'committed') done(outcome.index, outcome.term)
      }),
    )
  }

  /** Done is called with the applied index at which the read may be served, if it may. */
  read(done: (index: Index) => void): void {
    this.#run((driver) =>
      driver.readIndex((outcome) => {
        if (outcome.kind === 'ready') done(this.appliedIndex)
      }),
    )
  }

  change(steps: readonly ConfChangeStep[]): void {
    this.#run((driver) =>
      driver.change({ steps }, (outcome) =>
        this.#around.trace(() => `change ${JSON.stringify(steps)}: ${outcome.kind}`),
      ),
    )
  }

  transfer(to: NodeId): void {
    this.#run((driver) =>
      driver.transferLeadership(to, (outcome) =>
        this.#around.trace(() => `transfer to ${to}: ${outcome.kind}`),
      ),
    )
  }

  /** Exchanges the data key, or the key that wraps it, while all goes on. */
  rotateKeys(): void {
    this.#process?.run(() => {
      const storage = this.#storage
      const traced = (err?: Error): void =>
        this.#around.trace(() => `${this.id} exchanged a key: ${err?.message ?? 'done'}`)
      if (this.#around.random.chance(0.5)) storage?.rotateDataKey(traced)
      else storage?.rewrap(storage.kek.key[0] === kek.key[0] ? otherKek : kek, traced)
    })
  }

  #run(request: (driver: RaftDriver) => void): void {
    this.#process?.run(() => {
      if (this.#driver !== undefined) request(this.#driver)
    })
  }

  #open(process: SimProcess): void {
    const random = this.#around.random.fork()
    openStorage(
      {
        disk: this.disk,
        kek,
        otherKeks: [otherKek],
        group: 'simulation',
        randomBytes: (length) => random.bytes(length),
        segmentBytesMax,
        repair: this.disk.hasRotted,
        ...(this.#founders.length > 0 && {
          beginning: { kind: 'new' as const, voters: this.#founders },
        }),
      },
      (err, storage) => {
        if (storage === undefined) this.#failed(process, err ?? new Error('no storage'))
        else this.#begin(process, storage, random)
      },
    )
  }

  #begin(process: SimProcess, storage: Storage, random: SimRandom): void {
    const { network, oracle, tuning, trace } = this.#around
    const machine = new CheckedMachine(
      process,
      {
        applied: (entry, digest) => oracle.applied(this.#asApplier(), entry, digest),
        restored: (meta, digest) => oracle.restored(this.id, meta, digest),
      },
      snapshotBytes,
    )
    const driver = new RaftDriver({
      id: this.id,
      storage,
      transport: { send: (lane, message) => network.send(lane, this.#tampered(message)) },
      stateMachine: machine,
      clock: process,
      random,
      tuning,
      snapshotPolicy,
      onNote: (note) => trace(() => `${process.name} ${note.kind} ${JSON.stringify(note.facts)}`),
      onFailed: (err) => this.#failed(process, err),
    })
    this.#machine = machine
    this.#driver = driver
    this.#storage = storage
    network.listen(this.id, (_lane, message) => process.run(() => driver.receive(message)))
    driver.start()
  }

  /** With the planted bug, a vote that is refused for having been given is granted all the same. */
  #tampered(message: PeerMessage): PeerMessage {
    if (this.#around.bug !== 'vote-twice' || message.kind !== 'vote-response') return message
    if (message.granted) this.#votedIn = message.term
    return { ...message, granted: message.term === this.#votedIn }
  }

  #asApplier(): { readonly id: NodeId; readonly term: Term } {
    return { id: this.id, term: this.leadership?.term ?? 0 }
  }

  /** Disks fail, so a driver may end; then the process does, and is started again. All else is a bug. */
  #failed(process: SimProcess, err: Error): void {
    this.#around.trace(() => `${process.name} failed: ${err.message}`)
    const isOfDisk = err instanceof DiskError || err instanceof LogFailedError
    const isOfRot = err instanceof DamagedLogError && this.disk.hasRotted
    if (!isOfDisk && !isOfRot) throw err
    this.#around.world.after(1, () => {
      if (this.#process !== process) return
      this.crash()
      this.#around.world.after(100, () => this.start())
    })
  }
}
