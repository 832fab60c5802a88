// Randomness as an argument.
import { randomBytes } from 'node:crypto'

export interface Random {
  /** A float in [0, 1). */
  float(): number
  /** n random bytes. */
  bytes(n: number): Uint8Array
}

/** Cryptographically strong randomness of the operating system. */
export const systemRandom: Random = {
  float: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
  bytes: (n) => new Uint8Array(randomBytes(n)),
}

/** A deterministic stream for simulation and tests (sfc32). The same seed gives the same values. */
export function seededRandom(seed: number): Random {
  let a = seed >>> 0
  let b = (seed ^ 0x9e3779b9) >>> 0
  let c = Math.floor(seed / 2 ** 32) >>> 0
  let counter = 1
  const next = (): number => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + sum) | 0
    return sum >>> 0
  }
  for (let i = 0; i < 15; i++) next()
  return {
    float: () => next() / 2 ** 32,
    bytes: (n) => Uint8Array.from({ length: n }, () => next() & 0xff),
  }
}

/** An integer in [0, below). */
export function randomInt(random: Random, below: number): number {
  return Math.floor(random.float() * below)
}
