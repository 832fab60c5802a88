// Exchanges the keys of an open directory. A data key is in the meta file before anything is sealed
// with it, and leaves it after the last file that is sealed with it is gone.
import type { Done } from './disk.ts'
import { type Keyring, newStoredKey } from './keyring.ts'
import type { Meta, StoredKey } from './meta.ts'
import type { MetaKeeper } from './meta-keeper.ts'
import type { KeyEncryptionKey, RandomBytes } from './seal.ts'

const keyIdMax = 0xffff

export interface KeyRotationOptions {
  readonly meta: MetaKeeper
  readonly keyring: Keyring
  readonly randomBytes: RandomBytes
  /** Data keys that seal a file which exists or is being written. */
  readonly usedKeyIds: () => Iterable<number>
  /** The meta file could not be replaced: the directory is of no more use. */
  readonly onFailed: (err: Error) => void
}

export class KeyRotation {
  readonly #options: KeyRotationOptions
  #isSweeping = false

  constructor(options: KeyRotationOptions) {
    this.#options = options
  }

  /** A fresh data key seals every segment and snapshot that is begun after the callback. */
  rotateDataKey(done: Done): void {
    const { meta, keyring, randomBytes } = this.#options
    let fresh: StoredKey | undefined
    this.#change(
      (now) => {
        fresh = newStoredKey(keyring.kek, nextKeyId(now.keys), randomBytes)
        return { ...now, keys: [...now.keys, fresh] }
      },
      (err) => {
        if (err !== undefined || fresh === undefined) return done(err)
        // Not before: what is sealed with a key that was never made durable cannot be opened again.
        keyring.use(fresh)
        done()
        if (meta.current.keys.length > 1) this.sweep()
      },
    )
  }

  /** Wraps all data keys with another key-encryption key, in one replacement. */
  rewrap(kek: KeyEncryptionKey, done: Done): void {
    const { keyring, randomBytes } = this.#options
    this.#change(
      (now) => ({ ...now, keys: keyring.wrapAll(now.keys, kek, randomBytes) }),
      (err) => {
        if (err === undefined) keyring.rewrapped(kek)
        done(err)
      },
    )
  }

  /** Forgets data keys that seal nothing any more. To be called when files were removed. */
  sweep(): void {
    const { meta } = this.#options
    if (this.#isSweeping || this.#kept(meta.current.keys).length === meta.current.keys.length)
      return
    this.#isSweeping = true
    this.#change(
      (now) => ({ ...now, keys: this.#kept(now.keys) }),
      (err) => {
        this.#isSweeping = false
        if (err === undefined) {
          this.#options.keyring.keepOnly(new Set(meta.current.keys.map(({ keyId }) => keyId)))
        }
      },
    )
  }

  #kept(keys: readonly StoredKey[]): readonly StoredKey[] {
    const used = new Set(this.#options.usedKeyIds())
    // A key that waits for its first file: the newest.
    return keys.filter(({ keyId }, i) => i === keys.length - 1 || used.has(keyId))
  }

  #change(change: (meta: Meta) => Meta, done: Done): void {
    this.#options.meta.update(change, (err) => {
      done(err)
      if (err !== undefined) this.#options.onFailed(err)
    })
  }
}

/** Behind the newest; a number comes again only when no key has it. */
function nextKeyId(keys: readonly StoredKey[]): number {
  const taken = new Set(keys.map(({ keyId }) => keyId))
  let next = keys.at(-1)?.keyId ?? 0
  do next = (next % keyIdMax) + 1
  while (taken.has(next))
  return next
}
