// The directory's one small file that is replaced, not appended to: whose log this is, the boot
// counter that keeps nonces unique, the wrapped data keys, and what a clean end left behind.
// Changing it while the directory is open is meta-keeper.ts.
import { crc32 } from 'node:zlib'
import { ByteReader, ByteWriter, MalformedBytesError, stringBytes, u64Bytes } from './bytes.ts'
import type { Disk, Done } from './disk.ts'
import { DamagedLogError, ForeignLogError } from './errors.ts'
import type { WrappedKey } from './seal.ts'
import { formatVersion, type SegmentEnd } from './segment.ts'

export const metaName = 'meta'
export const metaNewName = 'meta.new'

const magic = Buffer.from('rtsmeta\0')

export interface StoredKey {
  readonly keyId: number
  readonly wrapped: WrappedKey
}

export interface Meta {
  /** Version it was read in; a new one is always written in the newest. */
  readonly format: number
  readonly group: string
  /** Rises with every open, before anything is sealed. */
  readonly bootCounter: number
  /** The newest one seals; the others only open older files. */
  readonly keys: readonly StoredKey[]
  /** Where the log ended when it was closed in order; absent while it is open and after a crash. */
  readonly cleanEnd: SegmentEnd | undefined
  /** The log was damaged and cut: it may lack entries that were acknowledged. */
  readonly isRepairing: boolean
  /** Damage was met when something was read. Since format 2. */
  readonly isSuspect: boolean
}

const repairingFlag = 1
const suspectFlag = 2

function metaBytes(meta: Meta): number {
  let size = magic.length + 2 + stringBytes(meta.group) + 4 + 2
  for (const { wrapped } of meta.keys) {
    size += 2 + stringBytes(wrapped.kekId) + 4 + wrapped.nonce.length + 4 + wrapped.sealed.length
  }
  return size + 1 + (meta.cleanEnd === undefined ? 0 : 2 * u64Bytes + 4) + 1 + 4
}

function encodeMeta(meta: Meta): Buffer {
  const writer = new ByteWriter(metaBytes(meta))
  writer.bytes(magic)
  writer.u16(formatVersion)
  writer.string(meta.group)
  writer.u32(meta.bootCounter)
  writer.u16(meta.keys.length)
  for (const { keyId, wrapped } of meta.keys) {
    writer.u16(keyId)
    writer.string(wrapped.kekId)
    writer.u32(wrapped.nonce.length)
    writer.bytes(wrapped.nonce)
    writer.u32(wrapped.sealed.length)
    writer.bytes(wrapped.sealed)
  }
  writer.u8(meta.cleanEnd === undefined ? 0 : 1)
  if (meta.cleanEnd !== undefined) {
    writer.u64(meta.cleanEnd.sequence)
    writer.u64(meta.cleanEnd.offset)
    writer.u32(meta.cleanEnd.chain)
  }
  writer.u8((meta.isRepairing ? repairingFlag : 0) | (meta.isSuspect ? suspectFlag : 0))
  writer.u32(crc32(writer.buffer.subarray(0, writer.position)))
  return writer.buffer
}

/** Undefined when the directory has none. Throws DamagedLogError, ForeignLogError, DiskError. */
export function readMeta(disk: Disk): Meta | undefined {
  if (!disk.list().includes(metaName)) return undefined
  const content = disk.read(metaName, 0, disk.size(metaName))
  const damaged = (reason: string, cause?: unknown): DamagedLogError =>
    new DamagedLogError(metaName, 0, reason, cause)
  if (content.length < magic.length + 6) throw damaged('it is too short')
  const end = content.length - 4
  const sum = new ByteReader(content.subarray(end)).u32()
  if (sum !== crc32(content.subarray(0, end))) throw damaged('it does not match its checksum')
  const reader = new ByteReader(content.subarray(0, end))
  if (!reader.bytes(magic.length).equals(magic)) throw damaged('it is not a log’s meta file')
  const version = reader.u16()
  if (version > formatVersion) {
    throw new ForeignLogError(
      `the Raft directory has format ${version}, this program knows formats up to ` +
        `${formatVersion}; run the version that wrote it, or a newer one`,
    )
  }
  try {
    return decodeMeta(reader, version)
  } catch (err) {
    if (err instanceof MalformedBytesError) throw damaged(err.message, err)
    throw err
  }
}

function decodeMeta(reader: ByteReader, format: number): Meta {
  const group = reader.string()
  const bootCounter = reader.u32()
  const keys = Array.from({ length: reader.u16() }, () => ({
    keyId: reader.u16(),
    wrapped: {
      kekId: reader.string(),
      nonce: reader.bytes(reader.u32()),
      sealed: reader.bytes(reader.u32()),
    },
  }))
  const cleanEnd =
    reader.u8() === 0
      ? undefined
      : { sequence: reader.u64(), offset: reader.u64(), chain: reader.u32() }
  const flags = reader.u8()
  return {
    format,
    group,
    bootCounter,
    keys,
    cleanEnd,
    isRepairing: (flags & repairingFlag) !== 0,
    isSuspect: (flags & suspectFlag) !== 0,
  }
}

/** Replaces the meta file: written beside, synced, renamed. */
export function writeMeta(disk: Disk, meta: Meta, done: Done): void {
  disk.remove(metaNewName, (removeErr) => {
    if (removeErr !== undefined) return done(removeErr)
    writeFile(disk, metaNewName, encodeMeta(meta), (writeErr) => {
      if (writeErr !== undefined) return done(writeErr)
      disk.rename(metaNewName, metaName, done)
    })
  })
}

function writeFile(disk: Disk, name: string, bytes: Uint8Array, done: Done): void {
  disk.create(name, (createErr, file) => {
    if (file === undefined) return done(createErr ?? new Error(`no file ${name}`))
    let failure: Error | undefined
    file.append(bytes, (err) => {
      failure ??= err
    })
    file.sync((err) => {
      failure ??= err
      file.close((closeErr) => done(failure ?? closeErr))
    })
  })
}
