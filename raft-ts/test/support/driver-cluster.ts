// Drivers on one virtual clock, each with a disk in memory, and a network that can be cut.
import { createHash } from 'node:crypto'
import {
  type DriverOptions,
  type Entry,
  type Lane,
  type Leadership,
  type MonotonicClock,
  type Note,
  type PeerMessage,
  type ProposeOutcome,
  RaftDriver,
  type SnapshotMeta,
  type SnapshotSource,
  type StateMachine,
} from 'raft-ts'
import { MemoryDisk } from './memory-disk.ts'
import { open, processCrash } from './storage.ts'

interface Event {
  readonly atMs: number
  readonly order: number
  readonly run: () => void
}

/** Virtual time: events run one by one when the test lets time pass. */
export class VirtualTime {
  nowMs = 0
  #events: Event[] = []
  #order = 0

  after(delayMs: number, run: () => void): { cancel(): void } {
    this.#order += 1
    const event = { atMs: this.nowMs + delayMs, order: this.#order, run }
    const at = this.#events.findLastIndex(
      (other) =>
        other.atMs < event.atMs || (other.atMs === event.atMs && other.order < event.order),
    )
    this.#events.splice(at + 1, 0, event)
    return {
      cancel: () => {
        this.#events = this.#events.filter((other) => other !== event)
      },
    }
  }

  pass(ms: number): void {
    const untilMs = this.nowMs + ms
    while ((this.#events[0]?.atMs ?? Number.POSITIVE_INFINITY) <= untilMs) {
      const event = this.#events.shift() as Event
      this.nowMs = Math.max(this.nowMs, event.atMs)
      event.run()
    }
    this.nowMs = untilMs
  }
}

/** The list of all data applied; a snapshot is its JSON. */
export class ListMachine implements StateMachine {
  items: string[] = []
  index = 0
  restores = 0
  /** While true, apply does not call back; `release` does. */
  isHeld = false
  chunkBytes = 1000
  #held: (() => void) | undefined

  apply(entries: readonly Entry[], done: (err?: Error) => void): void {
    for (const entry of entries) {
      if (entry.index !== this.index + 1) throw new Error(`${entry.index} after ${this.index}`)
      this.index = entry.index
      if (entry.kind === 'data' && entry.data.length > 0) {
        this.items.push(Buffer.from(entry.data).toString())
      }
    }
    if (this.isHeld) this.#held = done
    else done()
  }

  release(): void {
    this.isHeld = false
    const done = this.#held
    this.#held = undefined
    done?.()
  }

  snapshot(): SnapshotSource {
    const bytes = Buffer.from(JSON.stringify(this.items))
    let at = 0
    return {
      read: (done) => {
        const chunk = bytes.subarray(at, at + this.chunkBytes)
        at += chunk.length
        done(undefined, chunk.length === 0 ? undefined : chunk)
      },
      cancel: () => {},
    }
  }

  restore(meta: SnapshotMeta, source: SnapshotSource, done: (err?: Error) => void): void {
    const chunks: Uint8Array[] = []
    const next = (): void =>
      source.read((err, chunk) => {
        if (err !== undefined) return done(err)
        if (chunk !== undefined) {
          chunks.push(chunk)
          return next()
        }
        this.items = JSON.parse(Buffer.concat(chunks).toString())
        this.index = meta.index
        this.restores += 1
        done()
      })
    next()
  }
}

export class Host {
  readonly id: string
  readonly cluster: DriverCluster
  readonly disk = new MemoryDisk()
  machine = new ListMachine()
  driver: RaftDriver | undefined
  leadership: Leadership = { role: 'follower', leader: undefined, term: 0 }
  announced: Leadership[] = []
  notes: Note[] = []
  failure: Error | undefined
  /** Milliseconds that one disk operation takes. */
  diskMs = 0.1
  /** What came while the process was stopped. */
  #backlog: (() => void)[] | undefined
  #life = 0

  constructor(id: string, cluster: DriverCluster) {
    this.id = id
    this.cluster = cluster
  }

  start(options: Partial<DriverOptions> = {}): RaftDriver {
    const { time } = this.cluster
    this.#life += 1
    const life = this.#life
    const alive = (run: () => void): void => {
      if (life !== this.#life) return
      if (this.#backlog === undefined) run()
      else this.#backlog.push(run)
    }
    const clock: MonotonicClock = {
      monotonicMs: () => time.nowMs,
      setTimer: (delayMs, fn) => time.after(delayMs, () => alive(fn)),
    }
    this.machine = new ListMachine()
    this.announced = []
    this.leadership = { role: 'follower', leader: undefined, term: 0 }
    this.failure = undefined
    const { founders } = this.cluster
    const beginning = founders.includes(this.id)
      ? ({ kind: 'new', voters: founders } as const)
      : undefined
    const storage =
      options.storage ??
      open(this.disk, { ...(beginning && { beginning }), segmentBytesMax: 20_000 })
    const driver = new RaftDriver({
      id: this.id,
      storage,
      transport: { send: (lane, message) => this.cluster.send(lane, message) },
      stateMachine: this.machine,
      clock,
      random: this.cluster.random,
      onLeadership: (leadership) => {
        this.leadership = leadership
        this.announced.push(leadership)
      },
      onNote: (note) => this.notes.push(note),
      onFailed: (err) => {
        this.failure = err
      },
      ...options,
    })
    this.driver = driver
    driver.start()
    const turn = (): void => {
      alive(() => this.disk.run(1))
      if (life === this.#life) time.after(this.diskMs, turn)
    }
    turn()
    return driver
  }

  receive(message: PeerMessage): void {
    if (this.#backlog === undefined) this.driver?.receive(message)
    else this.#backlog.push(() => this.driver?.receive(message))
  }

  kill(crash = processCrash): void {
    this.#life += 1
    this.#backlog = undefined
    this.driver = undefined
    this.leadership = { role: 'follower', leader: undefined, term: 0 }
    this.disk.crash(crash)
  }

  /** As SIGSTOP: nothing runs, everything waits. */
  freeze(): void {
    this.#backlog = []
  }

  /** `first` runs before all that waited. */
  thaw(first: () => void = () => {}): void {
    const backlog = this.#backlog ?? []
    this.#backlog = undefined
    first()
    for (const run of backlog) run()
  }

  /** Proposes and returns where the outcome will be. */
  propose(text: string): { outcome: ProposeOutcome | undefined } {
    const result: { outcome: ProposeOutcome | undefined } = { outcome: undefined }
    this.driver?.propose(Buffer.from(text), (outcome) => {
      result.outcome = outcome
    })
    return result
  }
}

export class DriverCluster {
  readonly time = new VirtualTime()
  readonly founders: readonly string[]
  readonly hosts = new Map<string, Host>()
  readonly #cuts = new Set<string>()
  /** Sees each message; false drops it. */
  filter: (lane: Lane, message: PeerMessage) => boolean = () => true
  delayMs = 1
  sent = 0
  #seed = 1

  constructor(founders: readonly string[], others: readonly string[] = []) {
    this.founders = founders
    for (const id of [...founders, ...others]) this.hosts.set(id, new Host(id, this))
  }

  readonly random = {
    float: (): number => {
      this.#seed = (this.#seed * 1103515245 + 12345) % 2 ** 31
      return this.#seed / 2 ** 31
    },
    bytes: (n: number): Uint8Array =>
      new Uint8Array(createHash('sha256').update(`${this.random.float()}`).digest().subarray(0, n)),
  }

  host(id: string): Host {
    const host = this.hosts.get(id)
    if (host === undefined) throw new Error(`no host ${id}`)
    return host
  }

  startAll(options: Partial<DriverOptions> = {}): void {
    for (const id of this.founders) this.host(id).start(options)
  }

  send(lane: Lane, message: PeerMessage): boolean {
    this.sent += 1
    if (!this.filter(lane, message)) return true
    const { from, to } = message
    this.time.after(this.delayMs, () => {
      if (!this.#cuts.has(from) && !this.#cuts.has(to)) this.hosts.get(to)?.receive(message)
    })
    return true
  }

  isolate(id: string): void {
    this.#cuts.add(id)
  }

  heal(): void {
    this.#cuts.clear()
  }

  /** Lets time pass until the condition holds; throws after `withinMs`. */
  until(what: string, holds: () => boolean, withinMs = 10_000): void {
    const endMs = this.time.nowMs + withinMs
    while (!holds()) {
      if (this.time.nowMs >= endMs) throw new Error(`not within ${withinMs} ms: ${what}`)
      this.time.pass(1)
    }
  }

  /** The host that announced leadership in the highest term, once there is one. */
  leader(): Host {
    const found = (): Host | undefined =>
      [...this.hosts.values()]
        .filter((host) => host.leadership.role === 'leader')
        .sort((a, b) => b.leadership.term - a.leadership.term)[0]
    this.until('a leader', () => found() !== undefined)
    return found() as Host
  }

  /** Proposes at the leader until it is committed there; returns its index. */
  commit(text: string): number {
    const result = this.leader().propose(text)
    this.until(`${text} has an outcome`, () => result.outcome !== undefined)
    if (result.outcome?.kind !== 'committed') throw new Error(`${text}: ${result.outcome?.kind}`)
    return result.outcome.index
  }
}
