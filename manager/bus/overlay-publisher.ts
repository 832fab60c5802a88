// The leader tells the bus what becomes of overlay networks: each change once, however many nodes there are, and every second that nothing
// else was. What is lost on the way is fetched (fetch-overlay.ts), so nothing here waits for anybody.
import { encodeBusMessage } from '../../proto/bus/bus-message.ts'
import {
  encodeOverlayChange,
  encodeOverlayWhole,
  type OverlayChange,
  type OverlayWhole,
} from '../../proto/bus/overlay-subjects.ts'
import { networkSubject, pathsSubject } from '../../proto/bus/subjects.ts'
import { Bell } from '../../proto/lib/bell.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import type { NamedLoop } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import {
  mergedNetworkViewChange,
  mergedNodePathsChange,
  type NetworkId,
  type Stamp,
} from '../../proto/objects/index.ts'
import type { Store } from '../store/store.ts'
import { payloadBytesMax } from './nats-config.ts'
import type { OverlayHistory, Touched } from './overlay-history.ts'
import type { OverlaySource } from './overlay-source.ts'

/** The bus as the leader sees it. */
export interface BusWriter {
  /** False: the message is lost. */
  publish(subject: string, bytes: Uint8Array): boolean
  /** Whether all that was written is on its way. */
  flush(signal: AbortSignal): Promise<boolean>
  onConnection(listener: (isConnected: boolean) => void): () => void
}

export interface OverlayPublisherDeps {
  readonly store: Store
  readonly source: OverlaySource
  readonly history: OverlayHistory
  readonly bus: BusWriter
  readonly clock: Clock
  readonly log: Logger
}

/** Changes within this time travel together. */
const gatherMs = 10
const tipMs = 1_000
/** Who begins to lead waits to hear that nodes are up to date. */
const firstTipMs = 100
/** A subject gets a tip in each of so many rounds after a change, */
const eagerRounds = 5
/** and after that in one of so many. */
const restRounds = 30
/** Room for what is around a payload. */
const dataBytesMax = payloadBytesMax - 4_096

interface Told {
  /** Undefined: the node paths. */
  readonly id: NetworkId | undefined
  /** Of the state that the readers were told last. */
  stamp: Stamp
  /** What they were not told yet. */
  pending: OverlayChange | 'whole' | undefined
  /** Round of its last change. */
  changedRound: number
}

/** Runs on the leader. */
export function overlayPublisherLoop(deps: OverlayPublisherDeps): NamedLoop {
  return { name: 'overlay publisher', run: (signal) => new Publisher(deps).run(signal) }
}

class Publisher {
  readonly #deps: OverlayPublisherDeps
  readonly #bell = new Bell()
  readonly #told = new Map<string, Told>()
  readonly #dirty = new Set<string>()
  #isAnew = true
  #round = 0

  constructor(deps: OverlayPublisherDeps) {
    this.#deps = deps
  }

  async run(signal: AbortSignal): Promise<void> {
    const { history, bus, clock } = this.#deps
    const stopTouched = history.onTouched((touched) => this.#note(touched))
    const stopConnection = bus.onConnection((isConnected) => {
      if (isConnected) this.#tipAll()
    })
    let tipAtMs = clock.monotonicMs() + firstTipMs
    while (!signal.aborted) {
      if (this.#isAnew) this.#begin()
      this.#publishDirty()
      const nowMs = clock.monotonicMs()
      if (nowMs >= tipAtMs) {
        this.#tipRound()
        tipAtMs = nowMs + tipMs
        await bus.flush(signal)
      }
      await this.#bell.wait(clock, Math.max(0, tipAtMs - clock.monotonicMs()), signal)
      if (this.#dirty.size > 0) await wait(clock, gatherMs, signal)
    }
    stopTouched()
    stopConnection()
  }

  /** Within a commit: only notes. */
  #note(touched: Touched | undefined): void {
    if (touched === undefined) this.#isAnew = true
    else {
      for (const [id, change] of touched.networks) {
        const pending = change === 'whole' ? change : ({ kind: 'network', change } as const)
        this.#mark(networkSubject(id), id, pending)
      }
      const { paths } = touched
      if (paths !== undefined) this.#mark(pathsSubject, undefined, { kind: 'paths', change: paths })
    }
    this.#bell.ring()
  }

  #mark(subject: string, id: NetworkId | undefined, change: OverlayChange | 'whole'): void {
    const told = this.#told.get(subject)
    const pending = told?.pending === undefined ? change : merged(told.pending, change)
    if (told !== undefined) told.pending = pending
    else {
      // Nobody was told of it: only all of it will do.
      const stamp = this.#deps.history.asOf()
      this.#told.set(subject, { id, stamp, pending: 'whole', changedRound: this.#round })
    }
    this.#dirty.add(subject)
  }

  /** Readers know the state as it is now, or learn from the tips that they do not. */
  #begin(): void {
    const { store, source, history } = this.#deps
    this.#isAnew = false
    this.#told.clear()
    this.#dirty.clear()
    const add = (subject: string, id: NetworkId | undefined): void => {
      const stamp = history.lastOf(subject)
      this.#told.set(subject, { id, stamp, pending: undefined, changedRound: this.#round })
    }
    for (const id of store.view((tx) => [...source.networkIds(tx)])) add(networkSubject(id), id)
    add(pathsSubject, undefined)
    this.#tipAll()
  }

  #publishDirty(): void {
    for (const subject of this.#dirty) {
      const told = this.#told.get(subject)
      if (told !== undefined) this.#publish(subject, told)
    }
    this.#dirty.clear()
  }

  /** One tick: what is pending, and what is read, is what the history says. */
  #publish(subject: string, told: Told): void {
    const { history } = this.#deps
    const { pending, stamp: previous } = told
    if (pending === undefined) return
    const [stamp, asOf] = [history.lastOf(subject), history.asOf()]
    Object.assign(told, { stamp, pending: undefined, changedRound: this.#round })
    if (pending === 'whole') this.#publishWhole(subject, told, asOf)
    else {
      const change = encodeOverlayChange(pending)
      // It names all that changed since `previous`, so it also leads from any moment in between to the end.
      const message = { kind: 'change', previous, first: stamp, stamp, asOf, change } as const
      if (change.length <= dataBytesMax) this.#send(subject, message)
      else this.#tip(subject, told)
    }
  }

  #publishWhole(subject: string, told: Told, asOf: Stamp): void {
    const whole = this.#read(told.id)
    const bytes = encodeOverlayWhole(whole)
    const { stamp } = told
    if ((bytes?.length ?? 0) > dataBytesMax) this.#tip(subject, told)
    else this.#send(subject, { kind: 'whole', stamp, asOf, whole: bytes })
    if (whole.kind === 'none') this.#told.delete(subject)
  }

  #read(id: NetworkId | undefined): OverlayWhole {
    const { store, source } = this.#deps
    return store.view((tx): OverlayWhole => {
      if (id === undefined) return { kind: 'paths', paths: source.paths(tx) }
      const view = source.view(tx, id)
      return view === undefined ? { kind: 'none' } : { kind: 'network', view }
    })
  }

  #tipRound(): void {
    this.#round += 1
    let position = 0
    for (const [subject, told] of this.#told) {
      position += 1
      const isEager = this.#round - told.changedRound <= eagerRounds || subject === pathsSubject
      const isTurn = (position + this.#round) % restRounds === 0
      if (isEager || isTurn) this.#tip(subject, told)
    }
  }

  #tipAll(): void {
    for (const [subject, told] of this.#told) this.#tip(subject, told)
  }

  #tip(subject: string, told: Told): void {
    // What is not told yet is about to be.
    if (told.pending !== undefined) return
    this.#send(subject, { kind: 'tip', stamp: told.stamp, asOf: this.#deps.history.asOf() })
  }

  #send(subject: string, message: Parameters<typeof encodeBusMessage>[0]): void {
    const isSent = this.#deps.bus.publish(subject, encodeBusMessage(message))
    if (!isSent) this.#deps.log.trace({ subject }, 'no bus: readers find out by comparing')
  }
}

function merged(
  first: OverlayChange | 'whole',
  then: OverlayChange | 'whole',
): OverlayChange | 'whole' {
  if (first === 'whole' || then === 'whole') return 'whole'
  if (first.kind === 'network' && then.kind === 'network') {
    return { kind: 'network', change: mergedNetworkViewChange(first.change, then.change) }
  }
  if (first.kind === 'paths' && then.kind === 'paths') {
    return { kind: 'paths', change: mergedNodePathsChange(first.change, then.change) }
  }
  return 'whole'
}
