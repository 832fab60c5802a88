// Length-framed JSON between the daemon and its spawn helper: four bytes big-endian length, then
// the text. Pure: bytes in, messages out. Not for the network.

/** One program to run. */
export interface SpawnRequest {
  readonly kind: 'run'
  readonly id: number
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly input: string
  /** Then it is killed. */
  readonly timeoutMs: number
  /**
   * Gives the program a pipe as descriptor 3; the first line it writes there is part of the answer.
   */
  readonly syncPipe: boolean
  /** It has the priority of the daemon, which may be a better one than is usual. */
  readonly isUrgent: boolean
  /** Of each stream; what comes after is read and thrown away. */
  readonly outputBytesMax: number
}

export type CutShort = 'timeout' | 'cancel'

export interface SpawnAnswer {
  readonly id: number
  /** -1 when a signal ended it or it could not be started. */
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  /** First line of descriptor 3; empty without a sync pipe. */
  readonly sync: string
  /** Why it was killed before its end; what it left in the background may live on. */
  readonly cutShort?: CutShort
}

const headerBytes = 4
const frameBytesMax = 128 * 1024 * 1024

export function encodeFrame(message: object): Buffer {
  const body = Buffer.from(JSON.stringify(message))
  const frame = Buffer.allocUnsafe(headerBytes + body.length)
  frame.writeUInt32BE(body.length, 0)
  body.copy(frame, headerBytes)
  return frame
}

/** Turns a stream of chunks into the JSON texts of its frames. */
export class FrameReader {
  readonly #bytesMax: number
  #chunks: Buffer[] = []
  #length = 0

  constructor(bytesMax: number = frameBytesMax) {
    this.#bytesMax = bytesMax
  }

  /** The texts that are complete now. Throws RangeError for an impossible length. */
  push(chunk: Buffer): readonly string[] {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    const texts: string[] = []
    for (let size = this.#nextSize(); size !== undefined; size = this.#nextSize()) {
      if (this.#length < headerBytes + size) break
      const all = this.#joined()
      texts.push(all.toString('utf8', headerBytes, headerBytes + size))
      this.#chunks = [all.subarray(headerBytes + size)]
      this.#length = all.length - headerBytes - size
    }
    return texts
  }

  #nextSize(): number | undefined {
    if (this.#length < headerBytes) return undefined
    const first = this.#chunks[0]
    const size = (
      first !== undefined && first.length >= headerBytes ? first : this.#joined()
    ).readUInt32BE(0)
    if (size > this.#bytesMax) throw new RangeError(`a frame of ${size} bytes is not ours`)
    return size
  }

  #joined(): Buffer {
    const [first] = this.#chunks
    if (this.#chunks.length === 1 && first !== undefined) return first
    const all = Buffer.concat(this.#chunks)
    this.#chunks = [all]
    return all
  }
}
