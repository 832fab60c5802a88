// A two-way stream between two simulated processes: in order, delayed, stalled while the link is cut, broken by a reset. Nothing is
// delivered to a dead process.
import type { SimProcess, World } from 'raft-ts/testing'
import { SwarmError } from '../../../proto/errors.ts'
import type { MessageStream } from '../../../proto/lib/message-stream.ts'
import { keepaliveMs, type LinkView, type Place } from './place.ts'

/** One end, with the signal of the call. */
export interface StreamEnds<Out, In> extends MessageStream<Out, In> {
  /** Aborts when the stream has ended, whichever way. */
  readonly signal: AbortSignal
}

export interface StreamOptions {
  readonly from: Place
  readonly to: string
  readonly onEnded: () => void
}

const windowMax = 256
/** Given, so that none is made with a stack of calls for each stream. */
const ended = new Error('the stream has ended')

/** What arrives at one end. */
class Inbox<T> implements AsyncIterable<T> {
  #items: T[] = []
  #isClosed = false
  #error: Error | undefined
  #wake: () => void = () => {}

  push(item: T): void {
    if (this.#isClosed) return
    this.#items.push(item)
    this.#wake()
  }

  close(error: Error | undefined): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#error = error
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    while (true) {
      while (this.#items.length > 0) yield this.#items.shift() as T
      if (this.#isClosed) {
        if (this.#error !== undefined) throw this.#error
        return
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

interface Parcel {
  readonly deliver: () => void
}

/** Parcels in one direction, in order. */
class Lane {
  readonly #stream: { isStalled(lane: Lane): boolean }
  readonly #world: World
  #parcels: Parcel[] = []
  #lastMs = 0
  #wakeSender: () => void = () => {}

  constructor(world: World, stream: { isStalled(lane: Lane): boolean }) {
    this.#world = world
    this.#stream = stream
  }

  get isRoomy(): boolean {
    return this.#parcels.length < windowMax
  }

  put(delayMs: number, deliver: () => void): void {
    this.#parcels.push({ deliver })
    this.#lastMs = Math.max(this.#lastMs, this.#world.nowMs + delayMs)
    this.#world.after(this.#lastMs - this.#world.nowMs, () => this.flush())
  }

  /** Delivers what has waited; each arrival lets one through, a mended link all. */
  flush(): void {
    if (this.#stream.isStalled(this)) return
    const parcel = this.#parcels.shift()
    parcel?.deliver()
    this.#wakeSender()
  }

  flushAll(): void {
    while (this.#parcels.length > 0 && !this.#stream.isStalled(this)) this.flush()
  }

  clear(): void {
    this.#parcels = []
    this.#wakeSender()
  }

  roomy(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakeSender = resolve
    })
  }
}

export class SimStream<Out, In> {
  readonly near: StreamEnds<Out, In>
  readonly far: StreamEnds<In, Out>
  readonly #world: World
  readonly #links: LinkView
  readonly #from: Place
  readonly #to: string
  readonly #onEnded: () => void
  readonly #nearInbox = new Inbox<In>()
  readonly #farInbox = new Inbox<Out>()
  readonly #up: Lane
  readonly #down: Lane
  readonly #nearLife = new AbortController()
  readonly #farLife = new AbortController()
  #farPlace: Place | undefined
  #isEnded = false

  constructor(world: World, links: LinkView, ends: StreamOptions) {
    const { from, to, onEnded } = ends
    this.#world = world
    this.#links = links
    this.#from = from
    this.#to = to
    this.#onEnded = onEnded
    this.#up = new Lane(world, this)
    this.#down = new Lane(world, this)
    this.near = {
      send: (item) => this.#send(this.#up, () => this.#farInbox.push(item), 'far'),
      incoming: this.#nearInbox,
      close: (error) => this.#close('near', error),
      signal: this.#nearLife.signal,
    }
    this.far = {
      send: (item) => this.#send(this.#down, () => this.#nearInbox.push(item), 'near'),
      incoming: this.#farInbox,
      close: (error) => this.#close('far', error),
      signal: this.#farLife.signal,
    }
  }

  accepted(place: Place): void {
    this.#farPlace = place
    this.#up.flushAll()
  }

  isOf(process: SimProcess): boolean {
    return this.#from.process === process || this.#farPlace?.process === process
  }

  isCut(): boolean {
    const { host } = this.#from
    return this.#links.isCut(host, this.#to) || this.#links.isCut(this.#to, host)
  }

  isStalled(lane: Lane): boolean {
    if (lane === this.#up && this.#farPlace === undefined) return true
    return this.isCut()
  }

  /** The link is whole again. */
  flush(): void {
    this.#up.flushAll()
    this.#down.flushAll()
  }

  /** Both ends that live see the connection break. */
  reset(): void {
    const lost = new SwarmError('UNAVAILABLE', `the connection to ${this.#to} broke`)
    this.#end()
    this.#at('near', () => this.#endNear(lost))
    this.#at('far', () => this.#endFar(lost))
  }

  /** The connection was not made. */
  breakNear(error: Error): void {
    this.#end()
    this.#at('near', () => this.#endNear(error))
  }

  async #send(lane: Lane, arrive: () => void, side: 'near' | 'far'): Promise<void> {
    if (this.#isEnded) throw new Error('the stream has ended')
    lane.put(this.#links.delayMs(), () => this.#at(side, arrive))
    if (!lane.isRoomy) await lane.roomy()
  }

  /** Ends here at once, and there after what was sent before. */
  #close(side: 'near' | 'far', error: Error | undefined): void {
    if (this.#isEnded) return
    this.#end()
    const isNear = side === 'near'
    const tell = (): void =>
      isNear
        ? this.#at('far', () => this.#endFar(error))
        : this.#at('near', () => this.#endNear(error))
    if (isNear) this.#endNear(error)
    else this.#endFar(error)
    const lane = isNear ? this.#up : this.#down
    lane.put(this.#links.delayMs(), tell)
    // The link may be cut: then the other side finds out by keepalive.
    this.#world.after(keepaliveMs, tell)
  }

  #end(): void {
    this.#isEnded = true
    this.#onEnded()
  }

  #endNear(error: Error | undefined): void {
    this.#nearInbox.close(error)
    this.#nearLife.abort(ended)
    this.#down.clear()
  }

  #endFar(error: Error | undefined): void {
    this.#farInbox.close(error)
    this.#farLife.abort(ended)
    this.#up.clear()
  }

  #at(side: 'near' | 'far', code: () => void): void {
    const process = side === 'near' ? this.#from.process : this.#farPlace?.process
    process?.run(code)
  }
}
