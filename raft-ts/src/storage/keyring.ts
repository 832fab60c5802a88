// The data keys of one directory: made once, wrapped in the meta file, one sealer each.
import { ForeignLogError } from './errors.ts'
import type { StoredKey } from './meta.ts'
import {
  type KeyEncryptionKey,
  keyBytes,
  nonceBytes,
  type RandomBytes,
  Sealer,
  unwrapKey,
  wrapKey,
} from './seal.ts'

/** A fresh data key under its number, wrapped. */
export function newStoredKey(kek: KeyEncryptionKey, keyId: number, random: RandomBytes): StoredKey {
  return { keyId, wrapped: wrapKey(kek, random(keyBytes), random(nonceBytes)) }
}

export class Keyring {
  readonly #sealers: ReadonlyMap<number, Sealer>
  /** The key that seals what is written now. */
  readonly currentId: number
  readonly current: Sealer

  /** Throws WrongKeyError, ForeignLogError. `bootCounter` must be durable already. */
  constructor(
    keys: readonly StoredKey[],
    kek: KeyEncryptionKey,
    scope: { readonly bootCounter: number; readonly group: string },
  ) {
    this.#sealers = new Map(
      keys.map(({ keyId, wrapped }) => [
        keyId,
        new Sealer(unwrapKey(kek, wrapped), scope.bootCounter, scope.group),
      ]),
    )
    this.currentId = keys.at(-1)?.keyId ?? 0
    this.current = this.sealer(this.currentId)
  }

  /** Throws ForeignLogError when the directory does not hold the key. */
  sealer(keyId: number): Sealer {
    const found = this.#sealers.get(keyId)
    if (found !== undefined) return found
    throw new ForeignLogError(
      `a Raft file is sealed with data key ${keyId}, which the meta file does not hold; ` +
        'the file was copied from another directory: remove it or restore the whole directory',
    )
  }
}
