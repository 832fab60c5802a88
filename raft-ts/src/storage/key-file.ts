// The key-encryption key as a file beside the log. Without a passphrase over it this protects a
// log that is copied without its key file, and discarded disks; not from whoever reads both.
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { DiskError } from './disk.ts'
import { type KeyEncryptionKey, keyBytes, type RandomBytes } from './seal.ts'

/** Reads the key, or makes one durably with mode 0600 when there is none. Throws DiskError. */
export function readOrCreateKeyFile(path: string, randomBytes: RandomBytes): KeyEncryptionKey {
  const found = readKey(path)
  if (found !== undefined) return found
  const draft = `${path}.new`
  try {
    rmSync(draft, { force: true })
    const fd = openSync(draft, 'wx', 0o600)
    writeSync(fd, `${Buffer.from(randomBytes(keyBytes)).toString('hex')}\n`)
    fsyncSync(fd)
    closeSync(fd)
    renameSync(draft, path)
    const directory = openSync(dirname(path), 'r')
    fsyncSync(directory)
    closeSync(directory)
  } catch (err) {
    throw new DiskError('IO', `cannot write the key file ${path}: ${String(err)}`, err)
  }
  return readOrCreateKeyFile(path, randomBytes)
}

function readKey(path: string): KeyEncryptionKey | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8').trim()
  } catch (err) {
    if (err instanceof Error && 'code' in err && err.code === 'ENOENT') return undefined
    throw new DiskError('IO', `cannot read the key file ${path}: ${String(err)}`, err)
  }
  if (/^[0-9a-f]{64}$/.test(text)) return { id: basename(path), key: Buffer.from(text, 'hex') }
  const remedy = 'restore it from a backup, or remove this member and join it anew'
  throw new DiskError('IO', `the key file ${join(path)} does not hold 64 hex digits; ${remedy}`)
}
