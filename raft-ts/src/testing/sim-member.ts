// One member of a simulated cluster through all its lives: the real core, driver and storage on a virtual disk,
// network and clock. A crash keeps only the disk.
import type { NodeView, RaftTuning } from '../core/config.ts'
import { isJoint } from '../core/quorum.ts'
import type { ConfChangeStep, ConfState, HardState, Index, NodeId, Term } from '../core/types.ts'
import { RaftDriver } from '../driver/driver.ts'
import type { DriverStatus } from '../driver/driver-options.ts'
import type { Lane, PeerMessage } from '../driver/environment.ts'
import { isSnapshotFrame } from '../driver/lanes.ts'
import type { AddVoterOutcome, ProposeOutcome, ReadOutcome } from '../driver/outcomes.ts'
import type { SnapshotPolicy } from '../driver/snapshot-maker.ts'
import { DiskError } from '../storage/disk.ts'
import { DamagedLogError, LogFailedError } from '../storage/errors.ts'
import { type ClusterBeginning, openStorage, type Storage } from '../storage/open-storage.ts'
import { segmentSequence } from '../storage/segment.ts'
import { listDrafts } from '../storage/snapshot-store.ts'
import { CheckedMachine } from './checked-machine.ts'
import type { CoverageName } from './coverage.ts'
import { CrashTrap } from './crash-trap.ts'
import type { AimedCrash, CrashMoment } from './fault.ts'
import { NodeWatch } from './node-watch.ts'
import type { Oracle } from './oracle.ts'
import { SimProcess } from './process.ts'
import { VirtualDisk } from './virtual-disk.ts'
import type { VirtualNetwork } from './virtual-network.ts'
import type { World } from './world.ts'

/** What all members of a cluster share. */
export interface MemberSurroundings {
  readonly world: World
  readonly network: VirtualNetwork
  readonly oracle: Oracle
  readonly tuning: Partial<RaftTuning>
  readonly snapshotPolicy: SnapshotPolicy
  /** A planted bug: flushes of logs do nothing. */
  readonly skipsFlush: boolean
  readonly count: (name: CoverageName) => void
  readonly isDurableAt: (id: NodeId, index: Index, term: Term) => boolean
  readonly priorityOf: (id: NodeId) => number
  readonly trace: (text: () => string) => void
  /** A member is about to send an append. */
  readonly onAppend: (member: Member, term: Term) => void
}

const kek = { id: 'simulation', key: new Uint8Array(32).fill(7) }
const otherKek = { id: 'simulation', key: new Uint8Array(32).fill(8) }
const segmentBytesMax = 4096
const snapshotBytes = 2500

const flushedSurvives = 'what was flushed survives a crash'

const crashNames: Readonly<Record<CrashMoment, CoverageName>> = {
  append: 'crashesAfterAppend',
  sync: 'crashesAfterFlushIssued',
  synced: 'crashesAfterFlush',
  rename: 'crashesDuringRename',
  send: 'crashesAfterSend',
  snapshot: 'crashesAmidSnapshot',
}

/** All of one life. */
interface Running {
  readonly driver: RaftDriver
  readonly machine: CheckedMachine
  readonly watch: NodeWatch
}

export class Member {
  readonly id: NodeId
  readonly disk: VirtualDisk
  readonly #around: MemberSurroundings
  /** How its directory begins when it is empty; undefined: it is added later. */
  #beginning: ClusterBeginning | undefined
  readonly #trap = new CrashTrap()
  #isLost = false
  #life = 0
  #process: SimProcess | undefined
  #running: Running | undefined
  /** As of the present life, or the last one. */
  #storage: Storage | undefined
  #rate = 1

  constructor(id: NodeId, founders: readonly NodeId[], around: MemberSurroundings) {
    this.id = id
    this.#beginning = founders.length > 0 ? { kind: 'new', voters: founders } : undefined
    this.#around = around
    this.disk = new VirtualDisk(around.world.stream(`disk ${id}`), {
      skipsFlush: (name) => around.skipsFlush && segmentSequence(name) !== undefined,
      onLost: (_name, { isTorn }) => {
        around.count('unflushedWritesLost')
        if (isTorn) around.count('tornTailsCut')
      },
    })
    this.disk.onMoment = (moment) => this.#trap.met(moment)
  }

  /** How often it was started. */
  get life(): number {
    return this.#life
  }

  get isUp(): boolean {
    return this.#process?.isAlive === true
  }

  get appliedIndex(): Index {
    return this.#running?.machine.index ?? 0
  }

  get conf(): ConfState | undefined {
    return this.view?.conf
  }

  status(): DriverStatus | undefined {
    return this.#running?.driver.status()
  }

  /** Its core, live; undefined while it is down. */
  get view(): NodeView | undefined {
    return this.#running?.driver.view
  }

  /** The term of the entry that its disk held in the end; undefined: none, or it was compacted. */
  durableTermAt(index: Index): Term | undefined {
    return this.#storage?.log.term(index)
  }

  /** First entry that its disk held in the end. */
  get durableFirstIndex(): Index {
    return this.#storage?.log.firstIndex ?? 1
  }

  start(): void {
    if (this.isUp || this.#isLost) return
    this.#life += 1
    const name = `${this.id}#${this.#life}`
    this.#around.trace(() => `${name} starts`)
    const process = new SimProcess(name, this.#around.world, this.#rate)
    this.#process = process
    this.disk.attach(process)
    process.run(() => this.#open(process))
  }

  /** May be called within its own code: what that does further has no effect. */
  crash(): void {
    if (!this.isUp) return
    this.#around.trace(() => `${this.id}#${this.#life} crashes`)
    this.#countCrash()
    this.#trap.died()
    this.#process?.kill()
    this.disk.crash()
    this.#around.network.listen(this.id, undefined)
    this.#running = undefined
  }

  /** Crashes and never comes back. */
  lose(): void {
    this.crash()
    this.#isLost = true
  }

  /** Crashes at a moment of its own code, and comes back after a while. */
  crashAt({ moment, skip, downMs }: AimedCrash): void {
    this.#trap.arm(moment, skip, () => {
      this.#around.count(crashNames[moment])
      this.crash()
      this.#around.world.after(downMs, () => this.start())
    })
  }

  /** No crash waits for its moment any more. */
  disarm(): void {
    this.#trap.disarm()
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

  /** Recovery from a lost quorum: from its next start on it is a cluster of its own. */
  forceNew(): void {
    this.#beginning = { kind: 'force-new', id: this.id }
  }

  /** Done is called only if its process lives when the answer comes. */
  propose(data: Uint8Array, done: (outcome: ProposeOutcome) => void): void {
    this.#run((driver, answered) => driver.propose(data, answered(done)))
  }

  /** Done is called with the applied index at which the read may be served, if it may. */
  read(done: (outcome: ReadOutcome, appliedIndex: Index) => void): void {
    this.#run((driver, answered) =>
      driver.readIndex(answered((outcome) => done(outcome, this.appliedIndex))),
    )
  }

  change(steps: readonly ConfChangeStep[]): void {
    this.#run((driver, answered) =>
      driver.change(
        { steps },
        answered((outcome) =>
          this.#around.trace(() => `change ${JSON.stringify(steps)}: ${outcome.kind}`),
        ),
      ),
    )
  }

  /** Makes a member a voter once it has caught up. */
  addVoter(id: NodeId): void {
    this.#run((driver, answered) =>
      driver.addVoter(
        id,
        answered((outcome) => this.#added(id, outcome)),
      ),
    )
  }

  /** Without a target: to the best. */
  transfer(to: NodeId | undefined): void {
    this.#run((driver, answered) =>
      driver.transferLeadership(
        to,
        answered((outcome) => {
          this.#around.trace(() => `transfer to ${to ?? 'the best'}: ${outcome.kind}`)
          if (outcome.kind === 'done') this.#around.count('transfersDone')
          if (outcome.kind === 'failed') this.#around.count('transfersFailed')
          if (outcome.kind === 'aborted') this.#around.count('transfersAborted')
        }),
      ),
    )
  }

  abortTransfer(): void {
    this.#run((driver) => {
      const isAborted = driver.abortTransfer()
      this.#around.trace(() => `${this.id} gives up a transfer: ${isAborted}`)
    })
  }

  compact(): void {
    this.#run((driver) => driver.compact())
  }

  /** Exchanges the data key, or the key that wraps it, while all goes on. */
  rotateKeys(which: 'data' | 'wrapping'): void {
    this.#run(() => {
      const storage = this.#storage
      const traced = (err?: Error): void =>
        this.#around.trace(() => `${this.id} exchanged a key: ${err?.message ?? 'done'}`)
      if (which === 'data') storage?.rotateDataKey(traced)
      else storage?.rewrap(storage.kek.key[0] === kek.key[0] ? otherKek : kek, traced)
    })
  }

  #run(
    request: (
      driver: RaftDriver,
      answered: <A>(done: (answer: A) => void) => (answer: A) => void,
    ) => void,
  ): void {
    const process = this.#process
    process?.run(() => {
      const answered =
        <A>(done: (answer: A) => void) =>
        (answer: A): void => {
          if (!process.isAlive) return
          if (isAnswered) this.#around.oracle.fail('a request is answered once', { node: this.id })
          isAnswered = true
          done(answer)
        }
      let isAnswered = false
      if (this.#running !== undefined) request(this.#running.driver, answered)
    })
  }

  #added(id: NodeId, outcome: AddVoterOutcome): void {
    const { trace, count, oracle } = this.#around
    trace(() => `${id} was to be added as a voter: ${JSON.stringify(outcome)}`)
    if (outcome.kind === 'committed') {
      count('votersCaughtUp')
      oracle.voterAdded(id, outcome.index)
    } else count('additionsFailed')
  }

  #countCrash(): void {
    const { count } = this.#around
    const { view } = this
    count('crashes')
    if (listDrafts(this.disk).length > 0) count('snapshotsInterrupted')
    if (view === undefined) return
    if (view.role === 'leader') count('crashesOfLeader')
    if (isJoint(view.conf) || view.confIndex > view.commit) count('changesUnderWayAtCrash')
  }

  #open(process: SimProcess): void {
    const random = this.#around.world.stream(process.name)
    const before = this.#storage?.log.hardState
    openStorage(
      {
        disk: this.disk,
        kek,
        otherKeks: [otherKek],
        group: 'simulation',
        randomBytes: (length) => random.bytes(length),
        segmentBytesMax,
        repair: this.disk.hasRotted,
        ...(this.#beginning !== undefined && { beginning: this.#beginning }),
      },
      (err, storage) => {
        if (storage === undefined) return this.#failed(process, err ?? new Error('no storage'))
        this.#storage = storage
        if (before !== undefined) this.#checkRestored(before, storage)
        this.#begin(process, storage)
      },
    )
  }

  /** What was durable is there again after a restart, unless the disk has rotted. */
  #checkRestored(before: HardState, { restored }: Storage): void {
    if (this.disk.hasRotted) return
    const { hardState, lastIndex } = restored
    const isVoteKept = hardState.vote === before.vote || before.vote === undefined
    const isKept = hardState.term > before.term || (hardState.term === before.term && isVoteKept)
    if (isKept && hardState.commit >= before.commit && lastIndex >= before.commit) return
    this.#around.oracle.fail(flushedSurvives, {
      node: this.id,
      before,
      after: hardState,
      lastIndex,
    })
  }

  #begin(process: SimProcess, storage: Storage): void {
    const { oracle, tuning, snapshotPolicy, priorityOf, trace } = this.#around
    const random = this.#around.world.stream(`${process.name} driver`)
    const machine = new CheckedMachine(
      process,
      {
        applied: (entry, before) => oracle.applied(this.#asApplier(), entry, before),
        restored: (meta, digest) => oracle.restored(this.id, meta, digest),
      },
      snapshotBytes,
    )
    const driver = new RaftDriver({
      id: this.id,
      storage,
      transport: { send: (lane, message) => this.#send(process, lane, message) },
      stateMachine: machine,
      clock: process,
      random,
      tuning,
      snapshotPolicy,
      priorityOf,
      onNote: ({ kind, facts }) => {
        this.#countNote(kind)
        trace(() => `${process.name} ${kind} ${JSON.stringify(facts)}`)
      },
      onFailed: (err) => this.#failed(process, err),
    })
    this.#watch(process, { driver, machine })
    driver.start()
  }

  #watch(process: SimProcess, running: Omit<Running, 'watch'>): void {
    const { network, oracle, count, isDurableAt } = this.#around
    const { view } = running.driver
    const watch = new NodeWatch({ id: this.id, life: this.#life, view, oracle, count, isDurableAt })
    if (this.#beginning?.kind === 'force-new') {
      this.#beginning = undefined
      oracle.forcedNew(watch, view.lastIndex - 1)
      count('clustersForcedNew')
    }
    this.#running = { ...running, watch }
    process.onRan = () => watch.look()
    network.listen(this.id, (_lane, message) => process.run(() => running.driver.receive(message)))
  }

  #send(process: SimProcess, lane: Lane, message: PeerMessage): boolean {
    if (process.isAlive && message.kind === 'append') this.#around.onAppend(this, message.term)
    if (!process.isAlive) return false
    this.#around.oracle.sent(message, this.#life)
    const isTaken = this.#around.network.send(lane, message)
    this.#trap.met(isSnapshotFrame(message) ? 'snapshot' : 'send')
    return isTaken
  }

  #countNote(kind: string): void {
    const { count } = this.#around
    if (kind === 'quorum-lost') count('quorumsLost')
    if (kind === 'snapshot-sent') count('snapshotsSent')
    if (kind === 'snapshot-received') count('snapshotsInstalled')
    if (kind === 'configuration-rolled-back') count('changesRolledBack')
    if (kind === 'repaired') count('rotRepaired')
    if (kind === 'hand-over') count('handOversByPriority')
  }

  #asApplier(): { readonly id: NodeId; readonly term: Term } {
    return { id: this.id, term: this.view?.term ?? 0 }
  }

  /** Disks fail, so a driver may end; then the process does, and is started again. All else is a bug. */
  #failed(process: SimProcess, err: Error): void {
    if (!process.isAlive) return
    this.#around.trace(() => `${process.name} failed: ${err.message}`)
    const isOfDisk = err instanceof DiskError || err instanceof LogFailedError
    const isOfDamage = err instanceof DamagedLogError
    if (!isOfDisk && !isOfDamage) throw err
    if (isOfDamage && !this.disk.hasRotted) {
      // No bit has flipped: the log misses what it believes to have flushed.
      this.#around.oracle.fail(flushedSurvives, { node: this.id, damage: err.message })
    }
    if (isOfDisk) this.#around.count('disksFailed')
    this.#around.world.after(1, () => {
      if (this.#process !== process) return
      this.crash()
      this.#around.world.after(100, () => this.start())
    })
  }
}
