// Frames on a stream of bytes: a length of four bytes, big-endian, then so many bytes. And the first frame of
// a connection, which says who speaks to whom.
import type { NodeId } from '../core/types.ts'
import type { Lane } from '../driver/environment.ts'
import { MalformedMessageError, WireReader, WireWriter } from './wire-bytes.ts'

/** Largest frame; appends are cut by the core long before, and chunks of snapshots are of 256 KiB. */
export const frameBytesMax = 32 * 1024 * 1024
/** Largest first frame, of somebody who is not known yet. */
export const helloBytesMax = 4096

/** What stands before each frame. */
export const headerBytes = 4
/** What is allocated for a frame before any of it has come. */
const firstBytes = 64 * 1024

/** A frame with its header: one piece, because each write to a socket costs more than a copy. */
export function framed(content: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes + content.length)
  frame.writeUInt32BE(content.length)
  frame.set(content, headerBytes)
  return frame
}

/** Cuts a stream into frames, each in a buffer of its own. What it holds grows with what came, not with what was claimed. */
export class FrameSplitter {
  /** Of the next frames. */
  bytesMax: number
  readonly #header = Buffer.alloc(headerBytes)
  #headerGot = 0
  #body: Buffer | undefined
  #bodyGot = 0
  #wanted = 0

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax
  }

  /** Calls back for each frame that is complete now. Throws MalformedMessageError. */
  push(chunk: Uint8Array, onFrame: (frame: Uint8Array) => void): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#body === undefined) {
        this.#header[this.#headerGot++] = chunk[at++] as number
        if (this.#headerGot === headerBytes) this.#begin()
        continue
      }
      const part = chunk.subarray(at, at + this.#wanted - this.#bodyGot)
      this.#room(part.length)
      this.#body.set(part, this.#bodyGot)
      this.#bodyGot += part.length
      at += part.length
      if (this.#bodyGot === this.#wanted) this.#end(onFrame)
    }
  }

  #begin(): void {
    this.#wanted = this.#header.readUInt32BE()
    if (this.#wanted === 0 || this.#wanted > this.bytesMax) {
      throw new MalformedMessageError(`a frame of ${this.#wanted} bytes, ${this.bytesMax} at most`)
    }
    this.#headerGot = 0
    this.#bodyGot = 0
    this.#body = Buffer.allocUnsafeSlow(Math.min(this.#wanted, firstBytes))
  }

  #room(bytes: number): void {
    const body = this.#body as Buffer
    if (this.#bodyGot + bytes <= body.length) return
    const size = Math.min(this.#wanted, Math.max(this.#bodyGot + bytes, body.length * 2))
    this.#body = Buffer.allocUnsafeSlow(size)
    body.copy(this.#body, 0, 0, this.#bodyGot)
  }

  #end(onFrame: (frame: Uint8Array) => void): void {
    const frame = this.#body as Buffer
    this.#body = undefined
    onFrame(frame)
  }
}

/**
 * What a connection is for. `parting` is one on which nothing is said but a leader's request to campaign in its place: a
 * leader that is heard but hears nothing has words on all others that nobody acknowledges, and the kernel sends nothing
 * new behind them.
 */
export type TcpLaneName = Lane | 'parting'

/** What the one who dialled says first. */
export interface Hello {
  readonly cluster: string
  readonly from: NodeId
  readonly to: NodeId
  readonly lane: TcpLaneName
}

/** What the other side answers, in one byte: once for the hello, and then whenever it heard something. */
export const answers = {
  heard: 1,
  'another-version': 2,
  'another-cluster': 3,
  'another-member': 4,
  'not-your-certificate': 5,
} as const

/** Why a connection is refused. */
export type Refusal = Exclude<keyof typeof answers, 'heard'>

/** The refusal of this byte; undefined for any other. */
export function refusalOf(byte: number): Refusal | undefined {
  const found = Object.entries(answers).find(([, code]) => code === byte)?.[0]
  return found === 'heard' ? undefined : (found as Refusal | undefined)
}

const magic = Buffer.from('raft-ts peer')
const version = 1
const lanes = ['fast', 'bulk', 'snapshot', 'parting'] as const satisfies readonly TcpLaneName[]

/** The first frame's content. Throws RangeError for ids that are no text. */
export function encodeHello(hello: Hello): Uint8Array {
  const writer = new WireWriter()
  writer.raw(magic)
  writer.u8(version)
  writer.string(hello.cluster, 'cluster')
  writer.string(hello.from, 'from')
  writer.string(hello.to, 'to')
  writer.u8(lanes.indexOf(hello.lane))
  return writer.finish()
}

/** Undefined: of another version. Throws MalformedMessageError for what is no hello at all. */
export function decodeHello(bytes: Uint8Array): Hello | undefined {
  const reader = new WireReader(bytes)
  if (!magic.equals(reader.raw(magic.length, 'magic'))) {
    throw new MalformedMessageError('the first frame is no hello')
  }
  if (reader.u8('version') !== version) return undefined
  const cluster = reader.string('cluster')
  const from = reader.string('from')
  const to = reader.string('to')
  const lane = lanes[reader.u8('lane')]
  if (lane === undefined) throw new MalformedMessageError('the lane is not known')
  reader.end()
  return { cluster, from, to, lane }
}
