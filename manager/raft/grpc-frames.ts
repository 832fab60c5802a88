// gRPC's framing of messages in an HTTP/2 stream: a byte that says whether it is compressed, a length of four bytes, the
// message. Source: gRPC over HTTP/2, "Length-Prefixed-Message". Nothing here compresses.
import { SwarmError } from '../../proto/errors.ts'

export const grpcPrefixBytes = 5

/** One message with its prefix. */
export function framed(message: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(grpcPrefixBytes + message.length)
  frame[0] = 0
  frame.writeUInt32BE(message.length, 1)
  frame.set(message, grpcPrefixBytes)
  return frame
}

/** Cuts what arrives into messages. */
export class FrameReader {
  readonly #bytesMax: number
  readonly #onMessage: (message: Buffer) => void
  /** Of a message that is not whole yet. */
  #parts: Buffer[] = []
  #bytes = 0
  /** Prefix included; until the prefix is there, the prefix. */
  #wanted = grpcPrefixBytes
  #hasPrefix = false

  constructor(bytesMax: number, onMessage: (message: Buffer) => void) {
    this.#bytesMax = bytesMax
    this.#onMessage = onMessage
  }

  /** Hands on every message that is whole now; a view where it lies in one chunk. Errors: INVALID_ARGUMENT. */
  push(chunk: Buffer): void {
    let rest = chunk
    while (rest.length > 0) {
      if (this.#bytes === 0 && rest.length >= grpcPrefixBytes) {
        const end = grpcPrefixBytes + this.#length(rest)
        if (rest.length >= end) {
          this.#onMessage(rest.subarray(grpcPrefixBytes, end))
          rest = rest.subarray(end)
          continue
        }
      }
      rest = this.#collect(rest)
    }
  }

  /** Takes what is wanted of the chunk; the rest of it. */
  #collect(chunk: Buffer): Buffer {
    const taken = chunk.subarray(0, this.#wanted - this.#bytes)
    this.#parts.push(taken)
    this.#bytes += taken.length
    if (this.#bytes === this.#wanted) this.#advance()
    return chunk.subarray(taken.length)
  }

  #advance(): void {
    if (!this.#hasPrefix) {
      const prefix = Buffer.concat(this.#parts)
      this.#parts = [prefix]
      this.#hasPrefix = true
      this.#wanted = grpcPrefixBytes + this.#length(prefix)
      if (this.#bytes < this.#wanted) return
    }
    const whole = Buffer.concat(this.#parts)
    this.#parts = []
    this.#bytes = 0
    this.#wanted = grpcPrefixBytes
    this.#hasPrefix = false
    this.#onMessage(whole.subarray(grpcPrefixBytes))
  }

  #length(prefix: Buffer): number {
    const length = prefix.readUInt32BE(1)
    if (prefix[0] === 0 && length <= this.#bytesMax) return length
    const what = prefix[0] === 0 ? `a message of ${length} bytes` : 'a compressed message'
    throw new SwarmError('INVALID_ARGUMENT', `${what} came on a Raft stream`)
  }
}
