// Sealing at rest: AES-256-GCM with a data key that is itself wrapped by a key-encryption key, so
// that locking and key rotation later change no format. Does not store anything itself.
import { randomFillSync } from 'node:crypto'
import { type Aead, cipher, nonceBytes } from './aead.ts'
import { WrongKeyError } from './errors.ts'

/** Wraps data keys. `id` names it in the file, so that another key is told from damage. */
export interface KeyEncryptionKey {
  readonly id: string
  /** 32 bytes. */
  readonly key: Uint8Array
}

/** A data key as it lies on disk. */
export interface WrappedKey {
  readonly kekId: string
  readonly nonce: Uint8Array
  /** Ciphertext and tag. */
  readonly sealed: Uint8Array
}

/** Fills with unpredictable bytes. Replaced in simulation. */
export type RandomBytes = (length: number) => Uint8Array

/** Of the operating system. */
export const systemRandomBytes: RandomBytes = (length) => randomFillSync(new Uint8Array(length))

export function wrapKey(kek: KeyEncryptionKey, dataKey: Uint8Array, nonce: Uint8Array): WrappedKey {
  const parts = cipher.under(kek.key).seal(nonce, Buffer.from(kek.id), dataKey)
  return { kekId: kek.id, nonce, sealed: Buffer.concat(parts) }
}

/** Throws WrongKeyError. */
export function unwrapKey(kek: KeyEncryptionKey, wrapped: WrappedKey): Uint8Array {
  try {
    return cipher.under(kek.key).open(wrapped.nonce, Buffer.from(wrapped.kekId), wrapped.sealed)
  } catch (err) {
    throw new WrongKeyError(err)
  }
}

/** What a sealed box belongs to, checked when it is opened. */
export interface Place {
  readonly kind: 'log' | 'snapshot'
  readonly index: number
  readonly term: number
  /** Number of the record within its snapshot; 0 in the log. */
  readonly part: number
}

/** Kind 1, index 8, term 8, part 8. */
const placeBytes = 25

/**
 * Seals and opens under one data key. A nonce is the boot counter, which was made durable before
 * this object was made, and a counter: it never comes twice under one key.
 */
export class Sealer {
  readonly #aead: Aead
  readonly #bootCounter: number
  /** Group, then the place: written anew for every seal. */
  readonly #place: Buffer
  readonly #placeView: DataView
  #counter = 0

  constructor(dataKey: Uint8Array, bootCounter: number, group: string) {
    this.#aead = cipher.under(dataKey)
    this.#bootCounter = bootCounter
    const name = Buffer.from(group)
    this.#place = Buffer.alloc(name.length + placeBytes)
    name.copy(this.#place)
    const { buffer, byteOffset } = this.#place
    this.#placeView = new DataView(buffer, byteOffset + name.length, placeBytes)
  }

  seal(
    place: Place,
    plain: Uint8Array,
  ): { readonly nonce: Buffer; readonly parts: readonly Buffer[] } {
    const nonce = Buffer.allocUnsafe(nonceBytes)
    nonce.writeUInt32BE(this.#bootCounter, 0)
    nonce.writeUInt32BE(Math.floor(this.#counter / 2 ** 32), 4)
    nonce.writeUInt32BE(this.#counter % 2 ** 32, 8)
    this.#counter += 1
    return { nonce, parts: this.#aead.seal(nonce, this.#associated(place), plain) }
  }

  /** Throws when anything differs from what was sealed. */
  open(place: Place, nonce: Uint8Array, sealed: Uint8Array): Buffer {
    return this.#aead.open(nonce, this.#associated(place), sealed)
  }

  /** Of use until the next call. */
  #associated({ kind, index, term, part }: Place): Buffer {
    const view = this.#placeView
    view.setUint8(0, kind === 'log' ? 1 : 2)
    view.setFloat64(1, index)
    view.setFloat64(9, term)
    view.setFloat64(17, part)
    return this.#place
  }
}
