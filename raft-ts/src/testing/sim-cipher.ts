// The cipher of a simulation: real in some runs, in most a cheap one that hides nothing from an adversary and yet
// notices every other key, nonce, place and flipped bit. In all of them no nonce may come twice under one key.
import { crc32 } from 'node:zlib'
import { type Aead, type AeadUnder, aesGcm, tagBytes } from '../storage/aead.ts'

export class SimCipher {
  /** Called when a nonce comes a second time under one key. */
  onRepeated: (nonce: string) => void = () => {}
  readonly #under: AeadUnder
  /** Nonces by key. */
  readonly #seen = new Map<string, Set<string>>()

  constructor(isReal: boolean) {
    this.#under = isReal ? aesGcm : (key) => new CheapAead(key)
  }

  under(key: Uint8Array): Aead {
    const aead = this.#under(key)
    const seen = this.#seenUnder(key)
    return {
      seal: (nonce, associated, plain) => {
        const text = textOf(nonce)
        if (seen.has(text)) this.onRepeated(text)
        seen.add(text)
        return aead.seal(nonce, associated, plain)
      },
      open: (nonce, associated, sealed) => aead.open(nonce, associated, sealed),
    }
  }

  #seenUnder(key: Uint8Array): Set<string> {
    const name = textOf(key)
    const known = this.#seen.get(name) ?? new Set()
    this.#seen.set(name, known)
    return known
  }
}

class CheapAead implements Aead {
  readonly #key: number

  constructor(key: Uint8Array) {
    this.#key = crc32(key)
  }

  seal(nonce: Uint8Array, associated: Uint8Array, plain: Uint8Array): readonly Buffer[] {
    const content = this.#mask(nonce, plain)
    return [content, this.#tag(nonce, associated, content)]
  }

  open(nonce: Uint8Array, associated: Uint8Array, sealed: Uint8Array): Buffer {
    const split = sealed.length - tagBytes
    if (split < 0) throw new Error('shorter than its tag')
    const content = sealed.subarray(0, split)
    if (!this.#tag(nonce, associated, content).equals(sealed.subarray(split))) {
      throw new Error('the tag does not match')
    }
    return this.#mask(nonce, content)
  }

  /** Its own reverse. */
  #mask(nonce: Uint8Array, bytes: Uint8Array): Buffer {
    const masked = Buffer.allocUnsafe(bytes.length)
    let state = hashed(nonce, this.#key) | 1
    for (let i = 0; i < bytes.length; i++) {
      state = Math.imul(state, 0x2c1b3c6d)
      masked[i] = (bytes[i] ?? 0) ^ (state >>> 24)
    }
    return masked
  }

  #tag(nonce: Uint8Array, associated: Uint8Array, content: Uint8Array): Buffer {
    const tag = Buffer.alloc(tagBytes)
    const place = hashed(associated, hashed(nonce, this.#key))
    tag.writeInt32BE(place, 0)
    tag.writeInt32BE(hashed(content, place), 4)
    tag.writeUInt32BE(content.length, 8)
    return tag
  }
}

/** FNV-1a, which no single change of a byte leaves as it was. */
function hashed(bytes: Uint8Array, seed: number): number {
  let hash = seed | 0
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x01000193)
  return hash
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}
