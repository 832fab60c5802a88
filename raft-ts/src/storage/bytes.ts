// Growing-free binary writing and checked reading: sizes are counted first, then filled in once.
// Big-endian; integers up to 2^53 take eight bytes.

const decoder = new TextDecoder()

export const u64Bytes = 8

/** Bytes that a string takes: a length of four bytes and UTF-8. */
export function stringBytes(text: string): number {
  return 4 + Buffer.byteLength(text)
}

/** Writes into a buffer of exactly the counted size. */
export class ByteWriter {
  readonly buffer: Buffer
  #at = 0

  constructor(size: number) {
    this.buffer = Buffer.allocUnsafe(size)
  }

  get position(): number {
    return this.#at
  }

  u8(value: number): void {
    this.#at = this.buffer.writeUInt8(value, this.#at)
  }

  u16(value: number): void {
    this.#at = this.buffer.writeUInt16BE(value, this.#at)
  }

  u32(value: number): void {
    this.#at = this.buffer.writeUInt32BE(value, this.#at)
  }

  /** A safe integer from 0 up. Throws RangeError on any other number. */
  u64(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`not an integer within 0..2^53: ${value}`)
    }
    this.#at = this.buffer.writeUInt32BE(Math.floor(value / 2 ** 32), this.#at)
    this.#at = this.buffer.writeUInt32BE(value % 2 ** 32, this.#at)
  }

  bytes(bytes: Uint8Array): void {
    this.buffer.set(bytes, this.#at)
    this.#at += bytes.length
  }

  string(text: string): void {
    const length = this.buffer.write(text, this.#at + 4)
    this.u32(length)
    this.#at += length
  }
}

/** The bytes end early or hold a value that cannot be. */
export class MalformedBytesError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'MalformedBytesError'
  }
}

/** Reads what ByteWriter wrote. Every method throws MalformedBytesError past the end. */
export class ByteReader {
  readonly #buffer: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get remaining(): number {
    return this.#buffer.length - this.#at
  }

  u8(): number {
    return this.#buffer.readUInt8(this.#take(1))
  }

  u16(): number {
    return this.#buffer.readUInt16BE(this.#take(2))
  }

  u32(): number {
    return this.#buffer.readUInt32BE(this.#take(4))
  }

  u64(): number {
    const at = this.#take(8)
    const value = this.#buffer.readUInt32BE(at) * 2 ** 32 + this.#buffer.readUInt32BE(at + 4)
    if (!Number.isSafeInteger(value)) throw new MalformedBytesError(`integer above 2^53: ${value}`)
    return value
  }

  /** A view, not a copy. */
  bytes(length: number): Buffer {
    const at = this.#take(length)
    return this.#buffer.subarray(at, at + length)
  }

  string(): string {
    return decoder.decode(this.bytes(this.u32()))
  }

  #take(length: number): number {
    const at = this.#at
    if (at + length > this.#buffer.length) {
      throw new MalformedBytesError(`${length} bytes wanted, ${this.remaining} are left`)
    }
    this.#at = at + length
    return at
  }
}
