// The key-encryption key as a file beside the log. Without a passphrase over it this protects a
// log that is copied without its key file, and discarded disks; not from whoever reads both.
//
// While the key is exchanged there are two files: `path`, and `path.next` with the one that follows.
//   1. path.next is written     the log opens with path
//   2. the log is wrapped anew  the log opens with path.next
//   3. path.next becomes path
// Whoever gives both keys to openStorage opens the log after a crash between any two of them.
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { keyBytes } from './aead.ts'
import { DiskError } from './disk.ts'
import { diskError } from './node-disk.ts'
import type { Storage } from './open-storage.ts'
import type { KeyEncryptionKey, RandomBytes } from './seal.ts'

/** The keys to open a log with, as openStorage takes them. */
export interface KeyFile {
  readonly kek: KeyEncryptionKey
  /** One while an exchange was interrupted, otherwise none. */
  readonly otherKeks: readonly KeyEncryptionKey[]
}

/** Reads the key, or makes one durably with mode 0600 when there is none. Throws DiskError. */
export function readOrCreateKeyFile(path: string, randomBytes: RandomBytes): KeyEncryptionKey {
  const found = readKey(path, path)
  if (found !== undefined) return found
  const draft = `${path}.new`
  try {
    rmSync(draft, { force: true })
    const fd = openSync(draft, 'wx', 0o600)
    writeSync(fd, keyText(randomBytes))
    fsyncSync(fd)
    closeSync(fd)
    renameSync(draft, path)
    const directory = openSync(dirname(path), 'r')
    fsyncSync(directory)
    closeSync(directory)
  } catch (err) {
    throw diskError(`cannot write the key file ${path}`, err)
  }
  return readOrCreateKeyFile(path, randomBytes)
}

/** As readOrCreateKeyFile, with the key that an interrupted exchange may have left. Throws DiskError. */
export function openKeyFile(path: string, randomBytes: RandomBytes): KeyFile {
  const next = readKey(nextPath(path), path)
  const kek = readOrCreateKeyFile(path, randomBytes)
  return { kek, otherKeks: next === undefined ? [] : [next] }
}

/** After opening: only the key that opened the log is left, under `path`. Rejects with DiskError. */
export async function settleKeyFile(path: string, kek: KeyEncryptionKey): Promise<void> {
  const next = readKey(nextPath(path), path)
  if (next === undefined) return
  const isNext = Buffer.from(next.key).equals(kek.key)
  await change(path, async () => {
    if (isNext) await rename(nextPath(path), path)
    else await rm(nextPath(path))
    await syncDirectory(path)
  })
}

/**
 * Exchanges the key-encryption key of an open log for a fresh one, and the file with it; the log goes on
 * meanwhile. One call at a time. Rejects with DiskError; the storage takes no more then, and opens again
 * with what openKeyFile reads.
 */
export async function rotateKeyFile(
  path: string,
  storage: Pick<Storage, 'kek' | 'rewrap'>,
  randomBytes: RandomBytes,
): Promise<void> {
  if (readKey(nextPath(path), path) !== undefined) {
    // An exchange that failed before: neither key may go before the log is wrapped with one for certain.
    await rewrapped(storage, storage.kek)
    await settleKeyFile(path, storage.kek)
  }
  const text = keyText(randomBytes)
  await change(path, async () => {
    const draft = `${path}.new`
    await rm(draft, { force: true })
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, nextPath(path))
    await syncDirectory(path)
  })
  const kek = parseKey(text, path)
  await rewrapped(storage, kek)
  await settleKeyFile(path, kek)
}

function rewrapped(storage: Pick<Storage, 'rewrap'>, kek: KeyEncryptionKey): Promise<void> {
  return new Promise((resolve, reject) => {
    storage.rewrap(kek, (err) => (err === undefined ? resolve() : reject(err)))
  })
}

function nextPath(path: string): string {
  return `${path}.next`
}

function keyText(randomBytes: RandomBytes): string {
  return `${Buffer.from(randomBytes(keyBytes)).toString('hex')}\n`
}

/** Undefined when there is no such file. `name` is that of the key file itself. */
function readKey(path: string, name: string): KeyEncryptionKey | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (err) {
    if (err instanceof Error && 'code' in err && err.code === 'ENOENT') return undefined
    throw diskError(`cannot read the key file ${path}`, err)
  }
  return parseKey(text, path, name)
}

function parseKey(text: string, path: string, name = path): KeyEncryptionKey {
  const hex = text.trim()
  if (/^[0-9a-f]{64}$/.test(hex)) return { id: basename(name), key: Buffer.from(hex, 'hex') }
  const remedy = 'restore it from a backup, or remove this member and join it anew'
  throw new DiskError('IO', `the key file ${path} does not hold 64 hex digits; ${remedy}`)
}

async function change(path: string, run: () => Promise<void>): Promise<void> {
  try {
    await run()
  } catch (err) {
    throw diskError(`cannot exchange the key file ${path}`, err)
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(dirname(path), 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
