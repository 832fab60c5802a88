// The data keys of one directory, opened: one sealer each. Which of them the meta file holds, and
// until when, is key-rotation.ts.
import { keyBytes, nonceBytes } from './aead.ts'
import { DamagedLogError, ForeignLogError, WrongKeyError } from './errors.ts'
import { metaName, type StoredKey } from './meta.ts'
import { type KeyEncryptionKey, type RandomBytes, Sealer, unwrapKey, wrapKey } from './seal.ts'

/** A fresh data key under its number, wrapped. */
export function newStoredKey(kek: KeyEncryptionKey, keyId: number, random: RandomBytes): StoredKey {
  return { keyId, wrapped: wrapKey(kek, random(keyBytes), random(nonceBytes)) }
}

/** What a keyring seals for. `bootCounter` must be durable before anything is sealed. */
export interface SealScope {
  readonly bootCounter: number
  readonly group: string
  /** A repair was begun, perhaps with a meta file made anew: files of before may be sealed with keys that were lost. */
  readonly isRepairing?: boolean
}

interface OpenKey {
  readonly dataKey: Uint8Array
  readonly sealer: Sealer
}

export class Keyring {
  readonly #keys = new Map<number, OpenKey>()
  readonly #scope: SealScope
  #kek: KeyEncryptionKey
  #currentId = 0

  /** The first of `candidates` that opens all keys counts. Throws WrongKeyError, ForeignLogError. */
  constructor(
    keys: readonly StoredKey[],
    candidates: readonly KeyEncryptionKey[],
    scope: SealScope,
  ) {
    this.#scope = scope
    const opened = openAll(keys, candidates)
    this.#kek = opened.kek
    for (const [keyId, dataKey] of opened.dataKeys) this.#open(keyId, dataKey)
    this.#currentId = keys.at(-1)?.keyId ?? 0
    this.sealer(this.#currentId)
  }

  /** The key-encryption key that wraps the data keys. */
  get kek(): KeyEncryptionKey {
    return this.#kek
  }
  /** The key that seals what is written now. */
  get currentId(): number {
    return this.#currentId
  }
  get current(): Sealer {
    return this.sealer(this.#currentId)
  }

  /** Throws ForeignLogError when the directory does not hold the key, DamagedLogError when a repair lost it. */
  sealer(keyId: number): Sealer {
    const found = this.#keys.get(keyId)
    if (found !== undefined) return found.sealer
    if (this.#scope.isRepairing === true) {
      throw new DamagedLogError(
        metaName,
        0,
        `data key ${keyId}, with which a file is sealed, is lost`,
      )
    }
    throw new ForeignLogError(
      `a Raft file is sealed with data key ${keyId}, which the meta file does not hold; ` +
        'the file was copied from another directory: remove it or restore the whole directory',
    )
  }

  /** The stored key, which the meta file holds, seals from now on. */
  use({ keyId, wrapped }: StoredKey): void {
    this.#open(keyId, unwrapKey(this.#kek, wrapped))
    this.#currentId = keyId
  }

  /** The keys wrapped anew; they count once `rewrapped` is called. */
  wrapAll(
    keys: readonly StoredKey[],
    kek: KeyEncryptionKey,
    random: RandomBytes,
  ): readonly StoredKey[] {
    return keys.map(({ keyId, wrapped }) => {
      const dataKey = this.#keys.get(keyId)?.dataKey ?? unwrapKey(this.#kek, wrapped)
      return { keyId, wrapped: wrapKey(kek, dataKey, random(nonceBytes)) }
    })
  }

  rewrapped(kek: KeyEncryptionKey): void {
    this.#kek = kek
  }

  /** Nothing is sealed with the others any more. */
  keepOnly(keyIds: ReadonlySet<number>): void {
    for (const keyId of [...this.#keys.keys()]) if (!keyIds.has(keyId)) this.#keys.delete(keyId)
  }

  #open(keyId: number, dataKey: Uint8Array): void {
    const { bootCounter, group } = this.#scope
    this.#keys.set(keyId, { dataKey, sealer: new Sealer(dataKey, bootCounter, group) })
  }
}

function openAll(
  keys: readonly StoredKey[],
  candidates: readonly KeyEncryptionKey[],
): { readonly kek: KeyEncryptionKey; readonly dataKeys: ReadonlyMap<number, Uint8Array> } {
  let failure: unknown
  for (const kek of candidates) {
    try {
      const dataKeys = new Map(keys.map(({ keyId, wrapped }) => [keyId, unwrapKey(kek, wrapped)]))
      return { kek, dataKeys }
    } catch (err) {
      failure = err
    }
  }
  throw failure ?? new WrongKeyError()
}
