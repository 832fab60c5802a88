// Keeps the states of some subjects at one reader: hears the bus, asks for whole states after a gap, a reconnection and now and then.
// What is to be done with what is heard is decided in feed.ts.
import { type Backoff, createBackoff } from '../lib/backoff.ts'
import { Bell } from '../lib/bell.ts'
import type { Clock } from '../lib/clock.ts'
import { childController, type Loop } from '../lib/lifecycle.ts'
import type { Logger } from '../lib/log.ts'
import type { Random } from '../lib/random.ts'
import type { Stamp } from '../objects/assignment.ts'
import { decodeBusMessage, type SubjectCodec } from './bus-message.ts'
import {
  type FeedAction,
  type FeedEvent,
  type FeedState,
  isFetchDue,
  newFeed,
  stepFeed,
} from './feed.ts'

/** The bus as a reader sees it. */
export interface BusReader {
  /** Calls back for every message, over all reconnections, until the result is called. */
  subscribe(subject: string, onMessage: (bytes: Uint8Array) => void): () => void
  /** Calls back when it is connected anew (true) and when it is lost (false); the result ends that. */
  onConnection(listener: (isConnected: boolean) => void): () => void
  readonly isConnected: boolean
  /** The connection is of no use: another server is tried. */
  abandon(): void
}

export interface Question {
  readonly subject: string
  /** The reader has it as it was up to here; undefined: it wants it whole. */
  readonly asOf: Stamp | undefined
}

export interface Answer<W> {
  readonly stamp: Stamp
  readonly asOf: Stamp
  readonly state: { readonly kind: 'unchanged' } | { readonly kind: 'whole'; readonly whole: W }
}

export interface FeedSetDeps<C, W> {
  readonly bus: BusReader
  readonly codec: (subject: string) => SubjectCodec<C, W>
  /** Asks a manager. A subject without an answer is asked for again. Errors: whatever keeps it from answering. */
  readonly fetch: (
    questions: readonly Question[],
    signal: AbortSignal,
  ) => Promise<ReadonlyMap<string, Answer<W>>>
  readonly apply: (subject: string, action: FeedAction<C, W>) => void
  /** The subject's state holds up to here. */
  readonly onAsOf?: (subject: string, asOf: Stamp) => void
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly timing?: Partial<FeedTiming>
}

export interface FeedTiming {
  /** Readers of one gap spread their questions over this time. */
  readonly jitterMs: number
  /** States are compared this often while the bus is there, */
  readonly compareMs: number
  /** and this often while it is not. */
  readonly blindMs: number
  /** Every so many comparisons ask for everything, whatever is known. */
  readonly wholeEvery: number
  /** A connection on which nothing is heard for this long counts as none, and another is tried; then twice as long, and so on. */
  readonly deafMs: number
}

const usualTiming: FeedTiming = {
  jitterMs: 250,
  compareMs: 60_000,
  blindMs: 3_000,
  wholeEvery: 10,
  // Tips come every second, unless there is no leader. Shorter than it takes to find a host lost: who hears the bus through a manager
  // on that host is to hear of its loss through another one.
  deafMs: 2_500,
}
const deafMaxMs = 120_000
const backoffFirstMs = 200
const backoffMaxMs = 5_000

interface Held<C> {
  state: FeedState<C>
  /** On the monotonic clock; undefined: no question is due. */
  askAtMs: number | undefined
  leave: () => void
}

export class FeedSet<C, W> {
  readonly #deps: FeedSetDeps<C, W>
  readonly #timing: FeedTiming
  readonly #held = new Map<string, Held<C>>()
  readonly #bell = new Bell()
  readonly #backoff: Backoff
  readonly #counts = { gaps: 0, fetches: 0, failures: 0, refused: 0 }
  #compareAtMs = 0
  #comparisons = 0
  #heardAtMs = 0
  /** Connections that were given up since something was heard last. */
  #deaf = 0
  /** Ends the question that is open. */
  #giveUp: () => void = () => {}
  #isRenewed = false

  constructor(deps: FeedSetDeps<C, W>) {
    this.#deps = deps
    const { random } = deps
    this.#backoff = createBackoff({ firstMs: backoffFirstMs, maxMs: backoffMaxMs, random })
    this.#timing = { ...usualTiming, ...deps.timing }
  }

  /** What it went through so far. */
  get counts(): Readonly<{ gaps: number; fetches: number; failures: number; refused: number }> {
    return this.#counts
  }

  /** These subjects from now on, and no others. */
  hold(subjects: Iterable<string>): void {
    const wanted = new Set(subjects)
    for (const [subject, held] of this.#held) {
      if (wanted.has(subject)) continue
      held.leave()
      this.#held.delete(subject)
    }
    for (const subject of wanted) if (!this.#held.has(subject)) this.#add(subject)
    this.#bell.ring()
  }

  /** What the reader has of the subject is of no use: it is asked for whole. */
  distrust(subject: string): void {
    const held = this.#held.get(subject)
    if (held === undefined) return
    held.state = newFeed
    held.askAtMs = this.#soon()
    this.#bell.ring()
  }

  /**
   * A manager can be asked again: what was missed is asked for now, whatever question still waits for an answer, and
   * however long it was to be before the next.
   */
  renew(): void {
    this.#isRenewed = true
    this.#backoff.reset()
    for (const [subject, held] of this.#held) {
      this.#step(subject, { kind: 'doubt' })
      held.askAtMs = this.#soon()
    }
    this.#giveUp()
    this.#bell.ring()
  }

  /** Up to when the state of the subject is known; undefined: not at all. */
  knownUntil(subject: string): Stamp | undefined {
    return this.#held.get(subject)?.state.until
  }

  /** Asks and compares until the signal aborts. */
  readonly run: Loop = async (signal) => {
    const { bus, clock } = this.#deps
    const stop = bus.onConnection(() => this.#onConnection())
    this.#heardAtMs = clock.monotonicMs()
    this.#planComparison()
    while (!signal.aborted) {
      const nowMs = clock.monotonicMs()
      if (bus.isConnected && nowMs >= this.#deafAtMs()) this.#turnDeaf()
      if (nowMs >= this.#compareAtMs) this.#compare()
      const due = [...this.#held].filter(([, { askAtMs }]) => askAtMs !== undefined)
      if (due.some(([, { askAtMs = nowMs }]) => askAtMs <= nowMs)) {
        await this.#ask(new Map(due), signal)
        continue
      }
      const times = due.map(([, { askAtMs }]) => askAtMs ?? this.#compareAtMs)
      if (bus.isConnected) times.push(this.#deafAtMs())
      const wakeAtMs = Math.min(this.#compareAtMs, ...times)
      await this.#bell.wait(clock, Math.max(0, wakeAtMs - nowMs), signal)
    }
    stop()
    this.hold([])
  }

  #add(subject: string): void {
    const leave = this.#deps.bus.subscribe(subject, (bytes) => this.#hear(subject, bytes))
    this.#held.set(subject, { state: newFeed, askAtMs: this.#deps.clock.monotonicMs(), leave })
  }

  #deafAtMs(): number {
    const { deafMs } = this.#timing
    return this.#heardAtMs + Math.min(deafMaxMs, deafMs * 2 ** this.#deaf)
  }

  /** Connected, and not even tips come: either nobody leads, or this server forgot what is read here. */
  #turnDeaf(): void {
    this.#deaf += 1
    this.#heardAtMs = this.#deps.clock.monotonicMs()
    this.#deps.log.debug({ deaf: this.#deaf }, 'nothing is heard on the bus: another server')
    this.#planComparison()
    this.#deps.bus.abandon()
  }

  #hear(subject: string, bytes: Uint8Array): void {
    this.#heardAtMs = this.#deps.clock.monotonicMs()
    if (this.#deaf > 0) {
      this.#deaf = 0
      this.#planComparison()
    }
    try {
      this.#step(subject, decodeBusMessage(bytes, this.#deps.codec(subject)))
    } catch (err) {
      this.#counts.refused += 1
      this.#deps.log.warn({ subject, err }, 'bus message not understood: asking for the state')
      this.#step(subject, { kind: 'doubt' })
    }
  }

  #step(subject: string, event: FeedEvent<C, W>): void {
    const held = this.#held.get(subject)
    if (held === undefined) return
    const { state, actions } = stepFeed(held.state, event)
    held.state = state
    for (const action of actions) this.#deps.apply(subject, action)
    if (state.until !== undefined) this.#deps.onAsOf?.(subject, state.until)
    if (!isFetchDue(state)) held.askAtMs = undefined
    else if (held.askAtMs === undefined && event.kind !== 'asking') {
      if (event.kind === 'tip' || event.kind === 'change') this.#counts.gaps += 1
      held.askAtMs = this.#soon()
      this.#bell.ring()
    }
  }

  #soon(): number {
    const { clock, random } = this.#deps
    return clock.monotonicMs() + random.float() * this.#timing.jitterMs
  }

  #onConnection(): void {
    this.#heardAtMs = this.#deps.clock.monotonicMs()
    // Both ways: nobody tells what was said meanwhile.
    for (const subject of this.#held.keys()) this.#step(subject, { kind: 'doubt' })
    this.#planComparison()
    this.#bell.ring()
  }

  #planComparison(): void {
    const { bus, clock, random } = this.#deps
    const isTold = bus.isConnected && this.#deaf === 0
    const periodMs = isTold ? this.#timing.compareMs : this.#timing.blindMs
    this.#compareAtMs = clock.monotonicMs() + periodMs * (0.75 + random.float() / 2)
  }

  #compare(): void {
    this.#planComparison()
    this.#comparisons += 1
    for (const [subject, held] of this.#held) {
      this.#step(subject, { kind: 'doubt' })
      held.askAtMs = this.#deps.clock.monotonicMs()
    }
  }

  async #ask(due: ReadonlyMap<string, Held<C>>, signal: AbortSignal): Promise<void> {
    const isWhole = this.#comparisons > 0 && this.#comparisons % this.#timing.wholeEvery === 0
    if (isWhole) this.#comparisons = 0
    const questions = [...due].map(([subject, { state }]) => ({
      subject,
      asOf: isWhole ? undefined : state.until,
    }))
    for (const [subject, held] of due) {
      held.askAtMs = undefined
      this.#step(subject, { kind: 'asking' })
    }
    this.#counts.fetches += 1
    await this.#fetchUntilRenewed(questions, signal)
    if (signal.aborted) return
    const open = [...due].filter(
      ([subject, held]) => isFetchDue(held.state) && this.#held.get(subject) === held,
    )
    if (open.length === 0) return this.#backoff.reset()
    // No answer, or one that is older than what is known to be: another manager, or the same a little later.
    const againAtMs = this.#isRenewed
      ? this.#soon()
      : this.#deps.clock.monotonicMs() + this.#backoff.nextMs()
    for (const [, held] of open) held.askAtMs = againAtMs
  }

  async #fetchUntilRenewed(questions: readonly Question[], signal: AbortSignal): Promise<void> {
    const { controller, release } = childController(signal)
    this.#isRenewed = false
    this.#giveUp = () => controller.abort()
    await this.#fetch(questions, controller.signal)
    this.#giveUp = () => {}
    release()
  }

  async #fetch(questions: readonly Question[], signal: AbortSignal): Promise<void> {
    const { fetch, log } = this.#deps
    try {
      const answers = await fetch(questions, signal)
      for (const { subject } of questions) {
        const answer = answers.get(subject)
        if (answer === undefined) this.#step(subject, { kind: 'doubt' })
        else this.#take(subject, answer)
      }
    } catch (err) {
      this.#counts.failures += 1
      if (!signal.aborted) log.debug({ err }, 'no manager told the state of the bus')
      for (const { subject } of questions) this.#step(subject, { kind: 'doubt' })
    }
  }

  #take(subject: string, { stamp, asOf, state }: Answer<W>): void {
    if (state.kind === 'unchanged') this.#step(subject, { kind: 'unchanged', stamp, asOf })
    else this.#step(subject, { kind: 'whole', stamp, asOf, whole: state.whole })
  }
}
