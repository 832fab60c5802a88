// Compact binary writing and checked reading for what travels between members. Integers take as many
// bytes as they need; nothing is allocated by what the bytes claim, only by what is there.

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The bytes are no peer message that this version knows: cut short, changed, or of a newer version. */
export class MalformedMessageError extends Error {
  /** Which field, and what is wrong with it. */
  readonly reason: string

  constructor(reason: string) {
    super(`not a peer message that this version of raft-ts knows: ${reason}`)
    this.name = 'MalformedMessageError'
    this.reason = reason
  }
}

const startBytes = 256

/** Writes into a buffer that grows. Throws RangeError on values that the format cannot carry. */
export class WireWriter {
  #buffer: Buffer
  #at = 0

  /** `size`: a guess, so that large contents are copied once. */
  constructor(size = 0) {
    this.#buffer = Buffer.allocUnsafeSlow(size + startBytes)
  }

  u8(value: number): void {
    this.#room(1)
    this.#buffer[this.#at++] = value
  }

  u32(value: number): void {
    this.#room(4)
    this.#at = this.#buffer.writeUInt32BE(value, this.#at)
  }

  bool(value: boolean): void {
    this.u8(value ? 1 : 0)
  }

  /** A safe integer from 0 up: seven bits a byte, the lowest first. */
  uint(value: number, field: string): void {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`${field} is not an integer within 0..2^53: ${value}`)
    }
    this.#room(8)
    let rest = value
    while (rest >= 0x80) {
      this.#buffer[this.#at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#buffer[this.#at++] = rest
  }

  /** Within 64 bits, with a sign. */
  i64(value: bigint, field: string): void {
    if (BigInt.asIntN(64, value) !== value)
      throw new RangeError(`${field} is beyond 64 bits: ${value}`)
    this.#room(8)
    this.#at = this.#buffer.writeBigInt64BE(value, this.#at)
  }

  bytes(bytes: Uint8Array): void {
    this.uint(bytes.length, 'length')
    this.raw(bytes)
  }

  /** Without a length. */
  raw(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.#buffer.set(bytes, this.#at)
    this.#at += bytes.length
  }

  string(text: string, field: string): void {
    this.bytes(utf8(text, field))
  }

  /** Over four bytes that were written before, as u32 does. */
  patchU32(value: number, at: number): void {
    this.#buffer.writeUInt32BE(value, at)
  }

  /** So many bytes were written. */
  get length(): number {
    return this.#at
  }

  finish(): Buffer {
    return this.#buffer.subarray(0, this.#at)
  }

  #room(bytes: number): void {
    const wanted = this.#at + bytes
    if (wanted <= this.#buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(wanted, this.#buffer.length * 2))
    this.#buffer.copy(grown, 0, 0, this.#at)
    this.#buffer = grown
  }
}

/** Texts and their bytes: nearly all are ids of members, again and again. */
const knownTexts = new Map<string, Uint8Array>()
const knownTextsMax = 256

function utf8(text: string, field: string): Uint8Array {
  const known = knownTexts.get(text)
  if (known !== undefined) return known
  const bytes = encoder.encode(text)
  // What is no text would come out as another one.
  if (decoder.decode(bytes) !== text) throw new RangeError(`${field} is not well-formed text`)
  if (knownTexts.size >= knownTextsMax) knownTexts.clear()
  knownTexts.set(text, bytes)
  return bytes
}

/** Reads what WireWriter wrote; `field` names what is read. Every method throws MalformedMessageError. */
export class WireReader {
  readonly #buffer: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  u8(field: string): number {
    return this.#buffer.readUInt8(this.#take(1, field))
  }

  u32(field: string): number {
    return this.#buffer.readUInt32BE(this.#take(4, field))
  }

  bool(field: string): boolean {
    const value = this.u8(field)
    if (value > 1) throw new MalformedMessageError(`${field} is ${value}, neither 0 nor 1`)
    return value === 1
  }

  /** Only the shortest form of a number is taken. */
  uint(field: string): number {
    let value = 0
    let scale = 1
    for (let count = 1; ; count++) {
      const byte = this.u8(field)
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (byte === 0 && count > 1) throw new MalformedMessageError(`${field} is padded`)
        break
      }
      scale *= 0x80
      if (count === 8) throw new MalformedMessageError(`${field} is too long`)
    }
    if (!Number.isSafeInteger(value)) throw new MalformedMessageError(`${field} is above 2^53`)
    return value
  }

  i64(field: string): bigint {
    return this.#buffer.readBigInt64BE(this.#take(8, field))
  }

  /** A view, not a copy. */
  bytes(field: string): Uint8Array {
    return this.raw(this.uint(field), field)
  }

  /** A view of the next `length` bytes. */
  raw(length: number, field: string): Uint8Array {
    const at = this.#take(length, field)
    return this.#buffer.subarray(at, at + length)
  }

  string(field: string): string {
    const bytes = this.bytes(field)
    try {
      return decoder.decode(bytes)
    } catch {
      throw new MalformedMessageError(`${field} is not UTF-8`)
    }
  }

  /** How many items follow: no more than there are bytes left. */
  count(field: string): number {
    const count = this.uint(field)
    const left = this.#buffer.length - this.#at
    if (count > left) {
      throw new MalformedMessageError(`${field} claims ${count} items in ${left} bytes`)
    }
    return count
  }

  /** Nothing may follow. */
  end(): void {
    const left = this.#buffer.length - this.#at
    if (left > 0) throw new MalformedMessageError(`${left} bytes too many`)
  }

  #take(length: number, field: string): number {
    const at = this.#at
    const left = this.#buffer.length - at
    if (length > left) {
      throw new MalformedMessageError(`${field} wants ${length} bytes, ${left} are left`)
    }
    this.#at = at + length
    return at
  }
}
