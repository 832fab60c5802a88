// The one source of chance in a simulation: the same seed gives the same run.
import type { Randomness } from '../driver/environment.ts'

export class SimRandom implements Randomness {
  #a: number
  #b: number
  #c: number
  #counter = 1

  /** Seed: a non-negative integer. */
  constructor(seed: number) {
    this.#a = seed >>> 0
    this.#b = (seed ^ 0x9e3779b9) >>> 0
    this.#c = Math.floor(seed / 2 ** 32) >>> 0
    for (let i = 0; i < 15; i++) this.#next()
  }

  /** The stream of a seed that has this name: what one part draws never shifts another's. */
  static named(seed: number, name: string): SimRandom {
    let low = 0x811c9dc5 ^ (seed >>> 0)
    let high = Math.floor(seed / 2 ** 32) ^ name.length
    for (let i = 0; i < name.length; i++) {
      low = Math.imul(low ^ name.charCodeAt(i), 0x01000193)
      high = Math.imul(high ^ name.charCodeAt(i), 0x5bd1e995)
    }
    return new SimRandom((high >>> 11) * 2 ** 32 + (low >>> 0))
  }

  float(): number {
    return this.#next() / 2 ** 32
  }

  bytes(n: number): Uint8Array {
    const bytes = new Uint8Array(n)
    for (let i = 0; i < n; i++) bytes[i] = this.#next() & 0xff
    return bytes
  }

  /** An integer in [0, below). */
  below(below: number): number {
    return Math.floor(this.float() * below)
  }

  /** A float in [from, to). */
  between(from: number, to: number): number {
    return from + this.float() * (to - from)
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.float() < probability
  }

  /** One of the items; undefined when there is none. */
  pick<T>(items: readonly T[]): T | undefined {
    return items[this.below(items.length)]
  }

  /** A stream of its own, so that one part's use of chance does not shift another's. */
  fork(): SimRandom {
    return new SimRandom(this.#next())
  }

  /** sfc32 by Chris Doty-Humphrey, public domain. */
  #next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (this.#c << 21) | (this.#c >>> 11)
    this.#c = (this.#c + sum) | 0
    return sum >>> 0
  }
}
