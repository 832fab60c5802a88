// Appends as gRPC frames of PeerFrame, written by hand: they are what a leader encodes all day. The same entries go to
// every follower and are encoded once. All other messages go through peer-codec.ts, and so does what is received.
import type { Entry, PeerMessage } from 'raft-ts'
import { PeerEntry } from '../../proto/gen/tsswarm/v1/raft_transport.ts'
import { grpcPrefixBytes } from './grpc-frames.ts'
import { encodeEntry } from './peer-codec.ts'

type Append = Extract<PeerMessage, { readonly kind: 'append' }>

/** Wire types of protobuf fields. */
const varint = 0
const lengthDelimited = 2
/** Below it a number is written with integer arithmetic. */
const smallMax = 2 ** 31

const noBytes = Buffer.alloc(0)

export class AppendFrames {
  #last: {
    readonly first: Entry | undefined
    readonly last: Entry | undefined
    readonly bytes: Buffer
  } = { first: undefined, last: undefined, bytes: noBytes }

  /** The message with gRPC's prefix. */
  encode(message: Append): Buffer {
    const { from, to, term, prevIndex, prevTerm, commit } = message
    const entries = this.#entries(message.entries)
    const appendBytes =
      numberBytes(prevIndex) + numberBytes(prevTerm) + numberBytes(commit) + entries.length
    const [fromLength, toLength] = [Buffer.byteLength(from), Buffer.byteLength(to)]
    const idBytes = 2 + varintBytes(fromLength) + fromLength + varintBytes(toLength) + toLength
    const size = idBytes + numberBytes(term) + 1 + varintBytes(appendBytes) + appendBytes
    const writer = new FrameWriter(grpcPrefixBytes + size)
    writer.grpcPrefix(size)
    writer.text(1, from, fromLength)
    writer.text(2, to, toLength)
    writer.number(3, term)
    writer.tag(4, lengthDelimited)
    writer.varint(appendBytes)
    writer.number(1, prevIndex)
    writer.number(2, prevTerm)
    writer.number(3, commit)
    writer.raw(entries)
    return writer.buffer
  }

  /** Entries never change, and cutting a log takes its end: with the same ends all between is the same. */
  #entries(entries: readonly Entry[]): Buffer {
    const first = entries[0]
    const last = entries[entries.length - 1]
    if (first === undefined) return noBytes
    const known = this.#last
    const isKnown =
      known.first === first &&
      known.last === last &&
      last?.index === first.index + entries.length - 1
    if (isKnown) return known.bytes
    const bytes = encodeEntries(entries)
    this.#last = { first, last, bytes }
    return bytes
  }
}

/** Field 4 of PeerAppend, as often as there are entries. */
function encodeEntries(entries: readonly Entry[]): Buffer {
  const contents = entries.map(contentOf)
  let size = 0
  for (const content of contents) size += 1 + varintBytes(content.bytes) + content.bytes
  const writer = new FrameWriter(size)
  for (const { bytes, entry, whole } of contents) {
    writer.tag(4, lengthDelimited)
    writer.varint(bytes)
    if (whole !== undefined) writer.raw(whole)
    else {
      writer.number(1, entry.term)
      writer.number(2, entry.index)
      writer.tag(3, lengthDelimited)
      writer.varint(entry.data.length)
      writer.raw(entry.data)
    }
  }
  return writer.buffer
}

type DataEntry = Extract<Entry, { readonly kind: 'data' }>
type Content =
  | { readonly bytes: number; readonly entry: DataEntry; readonly whole: undefined }
  | { readonly bytes: number; readonly entry: Entry; readonly whole: Uint8Array }

/** Membership entries are rare: the generated code encodes them. */
function contentOf(entry: Entry): Content {
  if (entry.kind === 'conf') {
    const whole = PeerEntry.encode(encodeEntry(entry)).finish()
    return { bytes: whole.length, entry, whole }
  }
  const { length } = entry.data
  const head = numberBytes(entry.term) + numberBytes(entry.index)
  return { bytes: head + 1 + varintBytes(length) + length, entry, whole: undefined }
}

/** A field of a number, its tag included; 0 is left out as protobuf has it. */
function numberBytes(value: number): number {
  return value === 0 ? 0 : 1 + varintBytes(value)
}

function varintBytes(value: number): number {
  let bytes = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes += 1
  return bytes
}

/** Writes into a buffer of exactly the counted size. */
class FrameWriter {
  readonly buffer: Buffer
  #at = 0

  constructor(size: number) {
    this.buffer = Buffer.allocUnsafe(size)
  }

  grpcPrefix(size: number): void {
    this.buffer[0] = 0
    this.#at = this.buffer.writeUInt32BE(size, 1)
  }

  tag(field: number, type: number): void {
    this.buffer[this.#at++] = (field << 3) | type
  }

  number(field: number, value: number): void {
    if (value === 0) return
    this.tag(field, varint)
    this.varint(value)
  }

  varint(value: number): void {
    let rest = value
    for (; rest >= smallMax; rest = Math.floor(rest / 128)) this.#byte((rest % 128) | 128)
    for (; rest >= 128; rest >>>= 7) this.#byte((rest & 127) | 128)
    this.#byte(rest)
  }

  text(field: number, text: string, length: number): void {
    this.tag(field, lengthDelimited)
    this.varint(length)
    this.#at += this.buffer.write(text, this.#at, length, 'utf8')
  }

  raw(bytes: Uint8Array): void {
    this.buffer.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #byte(value: number): void {
    this.buffer[this.#at++] = value
  }
}
