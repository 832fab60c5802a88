// What goes between the daemon and processes of its own: four bytes big-endian length, then JSON; or, to the spawn helper, fields with
// their own length before each, which Perl takes apart with one `unpack`. Pure: bytes in, messages out. Not for the network.
const headerBytes = 4
const frameBytesMax = 128 * 1024 * 1024

export function encodeFrame(message: object): Buffer {
  return encodeFields([JSON.stringify(message)]).subarray(headerBytes)
}

export function encodeFields(fields: readonly string[]): Buffer {
  const sizes = fields.map((field) => headerBytes + Buffer.byteLength(field))
  const size = sizes.reduce((sum, one) => sum + one, 0)
  const frame = Buffer.allocUnsafe(headerBytes + size)
  let at = frame.writeUInt32BE(size, 0)
  for (const field of fields) {
    const bytes = frame.write(field, at + headerBytes, 'utf8')
    frame.writeUInt32BE(bytes, at)
    at += headerBytes + bytes
  }
  return frame
}

/** Turns a stream of chunks into the JSON texts of its frames. */
export class FrameReader {
  readonly #bodies: BodyReader

  constructor(bytesMax: number = frameBytesMax) {
    this.#bodies = new BodyReader(bytesMax)
  }

  /** The texts that are complete now. Throws RangeError for an impossible length. */
  push(chunk: Buffer): readonly string[] {
    return this.#bodies.push(chunk).map((body) => body.toString('utf8'))
  }
}

/** Turns a stream of chunks into the fields of its frames. */
export class FieldReader {
  readonly #bodies = new BodyReader(frameBytesMax)

  /** The frames that are complete now. Throws RangeError for an impossible length. */
  push(chunk: Buffer): readonly (readonly string[])[] {
    return this.#bodies.push(chunk).map(decodeFields)
  }
}

/** Errors: RangeError when a field goes past the end. */
function decodeFields(body: Buffer): readonly string[] {
  const fields: string[] = []
  let at = 0
  while (at < body.length) {
    const end = at + headerBytes + body.readUInt32BE(at)
    if (end > body.length) throw new RangeError('a field goes past the end of its frame')
    fields.push(body.toString('utf8', at + headerBytes, end))
    at = end
  }
  return fields
}

class BodyReader {
  readonly #bytesMax: number
  #chunks: Buffer[] = []
  #length = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  push(chunk: Buffer): readonly Buffer[] {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    const bodies: Buffer[] = []
    for (let size = this.#nextSize(); size !== undefined; size = this.#nextSize()) {
      if (this.#length < headerBytes + size) break
      const all = this.#joined()
      bodies.push(all.subarray(headerBytes, headerBytes + size))
      this.#chunks = [all.subarray(headerBytes + size)]
      this.#length = all.length - headerBytes - size
    }
    return bodies
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
