// Peer messages as bytes, for transports that have no format of their own. Versioned: a message of a
// version that is not known is refused whole, never guessed.
//
//   version u8 · kind u8 · from · to · term · what the kind has
//
// Strings and bytes carry their length before them; integers are LEB128 within 2^53. There is one
// encoding of each message, so what decodes encodes to the same bytes again.
import type { ConfState, Entry, NodeId, RejectHint, SnapshotMeta, Term } from '../core/types.ts'
import type { PeerMessage, SnapshotFrame } from '../driver/environment.ts'
import { headerBytes } from './tcp-frames.ts'
import { MalformedMessageError, WireReader, WireWriter } from './wire-bytes.ts'

const version = 1

/** The place of a kind is its number on the wire: new ones go to the end. */
const kinds = [
  'append',
  'append-response',
  'heartbeat',
  'heartbeat-response',
  'vote',
  'pre-vote',
  'vote-response',
  'pre-vote-response',
  'snapshot',
  'timeout-now',
  'read-index',
  'read-index-response',
  'snapshot-offer',
  'snapshot-chunk',
  'snapshot-ack',
] as const satisfies readonly PeerMessage['kind'][]

const kindCodes: ReadonlyMap<PeerMessage['kind'], number> = new Map(
  kinds.map((kind, code) => [kind, code]),
)

const ackStates = ['more', 'complete', 'refused'] as const
const dataEntry = 0
const confEntry = 1
const hashBytes = 32

interface Head {
  readonly from: NodeId
  readonly to: NodeId
  readonly term: Term
}

/**
 * A message as bytes, in a buffer of its own. Throws RangeError when a field holds what the format
 * cannot carry: a number that is no integer within 0..2^53, an empty id, text that is not well-formed.
 */
export function encodePeerMessage(message: PeerMessage): Uint8Array {
  const writer = new WireWriter(contentBytes(message))
  writeMessage(writer, message, writeEntries)
  return writer.finish()
}

/**
 * Encodes what one member sends: frames with their header, ready to be written. The same entries go to every follower,
 * and are encoded once.
 */
export class FrameEncoder {
  #last: { readonly entries: readonly Entry[]; readonly bytes: Uint8Array } = noEntries

  /** Throws as encodePeerMessage. */
  encode(message: PeerMessage): Buffer {
    const writer = new WireWriter(headerBytes + contentBytes(message))
    writer.u32(0)
    writeMessage(writer, message, (to, entries) => to.raw(this.#entries(entries)))
    writer.patchU32(writer.length - headerBytes, 0)
    return writer.finish()
  }

  /** Entries never change, and cutting a log takes its end: with the same ends all between is the same. */
  #entries(entries: readonly Entry[]): Uint8Array {
    if (entries.length === 0) return noEntries.bytes
    const known = this.#last.entries
    const isKnown =
      entries.length === known.length &&
      entries[0] === known[0] &&
      entries[entries.length - 1] === known[known.length - 1]
    if (isKnown) return this.#last.bytes
    const writer = new WireWriter(entriesBytes(entries))
    writeEntries(writer, entries)
    this.#last = { entries, bytes: writer.finish() }
    return this.#last.bytes
  }
}

const noEntries = { entries: [], bytes: Uint8Array.of(0) } as const

type WriteEntries = (writer: WireWriter, entries: readonly Entry[]) => void

function writeMessage(writer: WireWriter, message: PeerMessage, entries: WriteEntries): void {
  writer.u8(version)
  writer.u8(kindCodes.get(message.kind) ?? 0)
  writeId(writer, message.from, 'from')
  writeId(writer, message.to, 'to')
  writer.uint(message.term, 'term')
  writeBody(writer, message, entries)
}

function writeEntries(writer: WireWriter, entries: readonly Entry[]): void {
  writer.uint(entries.length, 'entries')
  for (const entry of entries) writeEntry(writer, entry)
}

/**
 * The message that these bytes are. Entries' data and chunks are views into `bytes`, which must not
 * change any more. Allocates no more than a small multiple of the bytes that are there.
 * Throws MalformedMessageError.
 */
export function decodePeerMessage(bytes: Uint8Array): PeerMessage {
  const reader = new WireReader(bytes)
  const found = reader.u8('version')
  if (found !== version) {
    throw new MalformedMessageError(
      `version is ${found}; this version of raft-ts speaks ${version}`,
    )
  }
  const code = reader.u8('kind')
  const kind = kinds[code]
  if (kind === undefined) throw new MalformedMessageError(`kind ${code} is not known`)
  const head = {
    from: readId(reader, 'from'),
    to: readId(reader, 'to'),
    term: reader.uint('term'),
  }
  const message = readBody(reader, kind, head)
  reader.end()
  return message
}

function writeBody(writer: WireWriter, message: PeerMessage, entries: WriteEntries): void {
  switch (message.kind) {
    case 'append':
      writer.uint(message.prevIndex, 'prevIndex')
      writer.uint(message.prevTerm, 'prevTerm')
      writer.uint(message.commit, 'commit')
      entries(writer, message.entries)
      return
    case 'append-response':
      writer.uint(message.index, 'index')
      writeReject(writer, message.reject)
      return
    case 'heartbeat':
      writer.uint(message.commit, 'commit')
      writer.uint(message.round, 'round')
      return
    case 'heartbeat-response':
      writer.uint(message.round, 'round')
      return
    case 'vote':
    case 'pre-vote':
      writer.uint(message.lastIndex, 'lastIndex')
      writer.uint(message.lastTerm, 'lastTerm')
      writer.bool(message.force)
      return
    case 'vote-response':
    case 'pre-vote-response':
      writer.bool(message.granted)
      return
    case 'snapshot':
      writeMeta(writer, message.meta)
      return
    case 'timeout-now':
      return
    case 'read-index':
      writer.i64(message.context, 'context')
      return
    case 'read-index-response':
      writer.uint(message.index, 'index')
      writer.i64(message.context, 'context')
      return
    case 'snapshot-offer':
    case 'snapshot-chunk':
    case 'snapshot-ack':
      writeFrame(writer, message)
  }
}

function writeFrame(writer: WireWriter, frame: SnapshotFrame): void {
  writeHash(writer, frame.contentHash)
  switch (frame.kind) {
    case 'snapshot-offer':
      writeMeta(writer, frame.meta)
      writer.uint(frame.totalBytes, 'totalBytes')
      return
    case 'snapshot-chunk':
      writer.uint(frame.offset, 'offset')
      writer.u32(frame.crc)
      writer.bytes(frame.bytes)
      return
    case 'snapshot-ack':
      writer.uint(frame.nextOffset, 'nextOffset')
      writer.u8(ackStates.indexOf(frame.state))
  }
}

function readBody(reader: WireReader, kind: PeerMessage['kind'], head: Head): PeerMessage {
  switch (kind) {
    case 'append':
      return {
        kind,
        ...head,
        prevIndex: reader.uint('prevIndex'),
        prevTerm: reader.uint('prevTerm'),
        commit: reader.uint('commit'),
        entries: readMany(reader, 'entries', readEntry),
      }
    case 'append-response': {
      const index = reader.uint('index')
      const reject = readReject(reader)
      return { kind, ...head, index, ...(reject === undefined ? {} : { reject }) }
    }
    case 'heartbeat':
      return { kind, ...head, commit: reader.uint('commit'), round: reader.uint('round') }
    case 'heartbeat-response':
      return { kind, ...head, round: reader.uint('round') }
    case 'vote':
    case 'pre-vote': {
      const lastIndex = reader.uint('lastIndex')
      const lastTerm = reader.uint('lastTerm')
      return { kind, ...head, lastIndex, lastTerm, force: reader.bool('force') }
    }
    case 'vote-response':
    case 'pre-vote-response':
      return { kind, ...head, granted: reader.bool('granted') }
    case 'snapshot':
      return { kind, ...head, meta: readMeta(reader) }
    case 'timeout-now':
      return { kind, ...head }
    case 'read-index':
      return { kind, ...head, context: reader.i64('context') }
    case 'read-index-response':
      return { kind, ...head, index: reader.uint('index'), context: reader.i64('context') }
    case 'snapshot-offer':
    case 'snapshot-chunk':
    case 'snapshot-ack':
      return readFrame(reader, kind, { ...head, contentHash: readHash(reader) })
  }
}

function readFrame(
  reader: WireReader,
  kind: 'snapshot-offer' | 'snapshot-chunk' | 'snapshot-ack',
  head: Head & { readonly contentHash: string },
): PeerMessage {
  switch (kind) {
    case 'snapshot-offer':
      return { kind, ...head, meta: readMeta(reader), totalBytes: reader.uint('totalBytes') }
    case 'snapshot-chunk': {
      const offset = reader.uint('offset')
      const crc = reader.u32('crc')
      return { kind, ...head, offset, crc, bytes: reader.bytes('bytes') }
    }
    case 'snapshot-ack': {
      const nextOffset = reader.uint('nextOffset')
      const code = reader.u8('state')
      const state = ackStates[code]
      if (state === undefined) throw new MalformedMessageError(`state ${code} is not known`)
      return { kind, ...head, nextOffset, state }
    }
  }
}

function writeId(writer: WireWriter, id: NodeId, field: string): void {
  if (id === '') throw new RangeError(`${field} is empty, and empty is not an id`)
  writer.string(id, field)
}

function readId(reader: WireReader, field: string): NodeId {
  const id = reader.string(field)
  if (id === '') throw new MalformedMessageError(`${field} is empty`)
  return id
}

function writeHash(writer: WireWriter, hash: string): void {
  if (!/^[0-9a-f]{64}$/.test(hash)) {
    throw new RangeError(`contentHash is not 64 lower-case hex digits: ${hash}`)
  }
  writer.raw(Buffer.from(hash, 'hex'))
}

function readHash(reader: WireReader): string {
  return Buffer.from(reader.raw(hashBytes, 'contentHash')).toString('hex')
}

function writeReject(writer: WireWriter, reject: RejectHint | undefined): void {
  writer.bool(reject !== undefined)
  if (reject === undefined) return
  writer.uint(reject.hintIndex, 'hintIndex')
  writer.uint(reject.hintTerm, 'hintTerm')
  writer.bool(reject.lost)
}

function readReject(reader: WireReader): RejectHint | undefined {
  if (!reader.bool('reject')) return undefined
  const hintIndex = reader.uint('hintIndex')
  const hintTerm = reader.uint('hintTerm')
  return { hintIndex, hintTerm, lost: reader.bool('lost') }
}

function writeEntry(writer: WireWriter, entry: Entry): void {
  writer.u8(entry.kind === 'data' ? dataEntry : confEntry)
  writer.uint(entry.term, 'entry.term')
  writer.uint(entry.index, 'entry.index')
  if (entry.kind === 'data') writer.bytes(entry.data)
  else writeConf(writer, entry.conf)
}

function readEntry(reader: WireReader): Entry {
  const code = reader.u8('entry.kind')
  const term = reader.uint('entry.term')
  const index = reader.uint('entry.index')
  if (code === dataEntry) return { kind: 'data', term, index, data: reader.bytes('entry.data') }
  if (code === confEntry) return { kind: 'conf', term, index, conf: readConf(reader) }
  throw new MalformedMessageError(`entry.kind ${code} is not known`)
}

function writeMeta(writer: WireWriter, meta: SnapshotMeta): void {
  writer.uint(meta.index, 'meta.index')
  writer.uint(meta.term, 'meta.term')
  writeConf(writer, meta.conf)
}

function readMeta(reader: WireReader): SnapshotMeta {
  const index = reader.uint('meta.index')
  return { index, term: reader.uint('meta.term'), conf: readConf(reader) }
}

function writeConf(writer: WireWriter, conf: ConfState): void {
  for (const ids of [conf.voters, conf.outgoing, conf.learners, conf.learnersNext]) {
    writer.uint(ids.length, 'conf')
    for (const id of ids) writeId(writer, id, 'conf')
  }
}

function readConf(reader: WireReader): ConfState {
  const ids = (field: string): readonly NodeId[] =>
    readMany(reader, field, () => readId(reader, field))
  const voters = ids('conf.voters')
  const outgoing = ids('conf.outgoing')
  const learners = ids('conf.learners')
  return { voters, outgoing, learners, learnersNext: ids('conf.learnersNext') }
}

function readMany<T>(reader: WireReader, field: string, one: (reader: WireReader) => T): T[] {
  const count = reader.count(field)
  const items: T[] = []
  for (let i = 0; i < count; i++) items.push(one(reader))
  return items
}

/** About what the message carries: enough that large ones are written without growing. */
function contentBytes(message: PeerMessage): number {
  if (message.kind === 'snapshot-chunk') return message.bytes.length
  return message.kind === 'append' ? entriesBytes(message.entries) : 0
}

function entriesBytes(entries: readonly Entry[]): number {
  let sum = 0
  for (const entry of entries) sum += 24 + (entry.kind === 'data' ? entry.data.length : 0)
  return sum
}
