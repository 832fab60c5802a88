// Sealing at rest: AES-256-GCM with a data key that is itself wrapped by a key-encryption key, so
// that locking and key rotation later change no format. Does not store anything itself.
import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
  randomFillSync,
} from 'node:crypto'
import { WrongKeyError } from './errors.ts'

export const nonceBytes = 12
export const tagBytes = 16
export const keyBytes = 32

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
  const cipher = createCipheriv('aes-256-gcm', kek.key, nonce)
  cipher.setAAD(Buffer.from(kek.id))
  const sealed = Buffer.concat([cipher.update(dataKey), cipher.final(), cipher.getAuthTag()])
  return { kekId: kek.id, nonce, sealed }
}

/** Throws WrongKeyError. */
export function unwrapKey(kek: KeyEncryptionKey, wrapped: WrappedKey): Uint8Array {
  try {
    return openGcm(createSecretKey(kek.key), wrapped, Buffer.from(wrapped.kekId))
  } catch (err) {
    throw new WrongKeyError(err)
  }
}

/** Opens what Sealer.seal or wrapKey made. Throws when key, nonce, content or associated data differ. */
export function openGcm(
  key: KeyObject,
  box: { readonly nonce: Uint8Array; readonly sealed: Uint8Array },
  associated: Uint8Array,
): Buffer {
  const split = box.sealed.length - tagBytes
  if (split < 0) throw new Error('shorter than its tag')
  const decipher = createDecipheriv('aes-256-gcm', key, box.nonce, { authTagLength: tagBytes })
  decipher.setAAD(associated)
  decipher.setAuthTag(box.sealed.subarray(split))
  const plain = decipher.update(box.sealed.subarray(0, split))
  const rest = decipher.final()
  return rest.length === 0 ? plain : Buffer.concat([plain, rest])
}

/** What a sealed box belongs to, checked when it is opened. */
export interface Place {
  readonly kind: 'log' | 'snapshot'
  readonly index: number
  readonly term: number
  /** Number of the record within its snapshot; 0 in the log. */
  readonly part: number
}

/**
 * Seals and opens under one data key. A nonce is the boot counter, which was made durable before
 * this object was made, and a counter: it never comes twice under one key.
 */
export class Sealer {
  readonly #key: KeyObject
  readonly #bootCounter: number
  readonly #group: Buffer
  #counter = 0

  constructor(dataKey: Uint8Array, bootCounter: number, group: string) {
    this.#key = createSecretKey(dataKey)
    this.#bootCounter = bootCounter
    this.#group = Buffer.from(group)
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
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce)
    cipher.setAAD(this.#associated(place))
    const content = cipher.update(plain)
    const rest = cipher.final()
    return { nonce, parts: [content, rest, cipher.getAuthTag()] }
  }

  /** Throws when anything differs from what was sealed. */
  open(place: Place, nonce: Uint8Array, sealed: Uint8Array): Buffer {
    return openGcm(this.#key, { nonce, sealed }, this.#associated(place))
  }

  #associated(place: Place): Buffer {
    const bytes = Buffer.allocUnsafe(this.#group.length + 25)
    this.#group.copy(bytes)
    let at = this.#group.length
    at = bytes.writeUInt8(place.kind === 'log' ? 1 : 2, at)
    at = bytes.writeDoubleBE(place.index, at)
    at = bytes.writeDoubleBE(place.term, at)
    bytes.writeDoubleBE(place.part, at)
    return bytes
  }
}
