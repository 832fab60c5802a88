// The cipher under every seal: AES-256-GCM. It can be taken out of its place, as the core's rules can: the simulator
// watches what is sealed, and mostly does without the cost of a real cipher. Nothing else does, and no entry file
// exports this.
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'

export const nonceBytes = 12
export const tagBytes = 16
export const keyBytes = 32

/** Authenticated encryption under one key. */
export interface Aead {
  /** Ciphertext and tag, in pieces; the tag is the last 16 bytes. A nonce must never come twice. */
  seal(nonce: Uint8Array, associated: Uint8Array, plain: Uint8Array): readonly Buffer[]
  /** What was sealed. Throws when key, nonce, content or associated data differ. */
  open(nonce: Uint8Array, associated: Uint8Array, sealed: Uint8Array): Buffer
}

export type AeadUnder = (key: Uint8Array) => Aead

class AesGcm implements Aead {
  readonly #key: KeyObject

  constructor(key: Uint8Array) {
    this.#key = createSecretKey(key)
  }

  seal(nonce: Uint8Array, associated: Uint8Array, plain: Uint8Array): readonly Buffer[] {
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce)
    cipher.setAAD(associated)
    const content = cipher.update(plain)
    const rest = cipher.final()
    return rest.length === 0 ? [content, cipher.getAuthTag()] : [content, rest, cipher.getAuthTag()]
  }

  open(nonce: Uint8Array, associated: Uint8Array, sealed: Uint8Array): Buffer {
    const split = sealed.length - tagBytes
    if (split < 0) throw new Error('shorter than its tag')
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: tagBytes })
    decipher.setAAD(associated)
    decipher.setAuthTag(sealed.subarray(split))
    const plain = decipher.update(sealed.subarray(0, split))
    const rest = decipher.final()
    return rest.length === 0 ? plain : Buffer.concat([plain, rest])
  }
}

/** 32-byte keys. */
export const aesGcm: AeadUnder = (key) => new AesGcm(key)

/** The cipher in force in this thread. */
export const cipher: { under: AeadUnder } = { under: aesGcm }

/** Seals and opens with another one in this thread, until the returned function is called. For simulation alone. */
export function replaceCipher(under: AeadUnder): () => void {
  cipher.under = under
  return () => {
    cipher.under = aesGcm
  }
}
