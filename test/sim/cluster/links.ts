// What is between simulated hosts: datagrams that get lost, and streams that stall and break as TCP's do.
import type { SimProcess, SimRandom, World } from 'raft-ts/testing'
import { SwarmError } from '../../../proto/errors.ts'
import { keepaliveMs, type LinkView, type Place } from './place.ts'
import { SimStream, type StreamEnds } from './sim-stream.ts'

export interface LinkWeather {
  readonly delayMs: readonly [number, number]
  /** Of datagrams. */
  readonly losing: number
  readonly reordering: number
  readonly reorderMs: number
}

export const calmLinks: LinkWeather = {
  delayMs: [0.2, 1],
  losing: 0,
  reordering: 0,
  reorderMs: 0,
}

const connectMs = 1_000

export class Links implements LinkView {
  readonly #world: World
  readonly #random: SimRandom
  /** Directions through which nothing passes, as `from>to`. */
  readonly #cuts = new Set<string>()
  readonly #streams = new Set<SimStream<unknown, unknown>>()
  weather: LinkWeather = calmLinks

  constructor(world: World, random: SimRandom) {
    this.#world = world
    this.#random = random
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${from}>${to}`)
  }

  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`)
    this.#world.after(keepaliveMs, () => this.#breakCut())
  }

  healAll(): void {
    this.#cuts.clear()
    for (const stream of [...this.#streams]) stream.flush()
  }

  delayMs(): number {
    return this.#random.between(this.weather.delayMs[0], this.weather.delayMs[1])
  }

  /** A message that may be lost or overtaken. */
  datagram(from: string, to: string, deliver: () => void): void {
    const { losing, reordering, reorderMs } = this.weather
    if (this.isCut(from, to) || this.#random.chance(losing)) return
    const heldMs = this.#random.chance(reordering) ? this.#random.between(0, reorderMs) : 0
    this.#world.after(this.delayMs() + heldMs, () => {
      if (!this.isCut(from, to)) deliver()
    })
  }

  /**
   * Opens a stream. `accept` finds who serves it there, when the connection arrives; undefined: nobody listens.
   */
  connect<Out, In>(
    from: Place,
    to: string,
    accept: () => { readonly place: Place; serve(ends: StreamEnds<In, Out>): void } | undefined,
  ): StreamEnds<Out, In> {
    const stream = new SimStream<Out, In>(this.#world, this, {
      from,
      to,
      onEnded: () => this.#streams.delete(stream as SimStream<unknown, unknown>),
    })
    this.#streams.add(stream as SimStream<unknown, unknown>)
    const fail = (): void =>
      stream.breakNear(new SwarmError('UNAVAILABLE', `${to} does not answer`))
    this.#world.after(this.delayMs(), () => {
      if (this.isCut(from.host, to) || this.isCut(to, from.host)) {
        this.#world.after(connectMs, fail)
        return
      }
      const accepted = accept()
      if (accepted === undefined || !accepted.place.process.isAlive) fail()
      else {
        stream.accepted(accepted.place)
        accepted.place.process.run(() => accepted.serve(stream.far))
      }
    })
    return stream.near
  }

  /** A process is gone. Its peers are told at once by the kernel, or notice by keepalive when the host is gone too. */
  died(process: SimProcess, isHostUp: boolean): void {
    for (const stream of [...this.#streams]) {
      if (!stream.isOf(process)) continue
      this.#world.after(isHostUp ? this.delayMs() : keepaliveMs, () => stream.reset())
    }
  }

  #breakCut(): void {
    for (const stream of [...this.#streams]) {
      if (stream.isCut()) stream.reset()
    }
  }
}
