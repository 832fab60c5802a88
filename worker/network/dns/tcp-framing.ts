// DNS messages on a stream: two bytes of length before each. Pure. Source: RFC 1035, 4.2.2.

export function framed(message: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(2 + message.length)
  bytes.writeUInt16BE(message.length, 0)
  message.copy(bytes, 2)
  return bytes
}

/** Turns chunks into messages; holds one unfinished message, so at most 64 kB and a chunk. */
export class MessageReader {
  #rest: Buffer = Buffer.alloc(0)

  push(chunk: Buffer): readonly Buffer[] {
    const messages: Buffer[] = []
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    while (bytes.length >= 2) {
      const end = 2 + bytes.readUInt16BE(0)
      if (bytes.length < end) break
      messages.push(bytes.subarray(2, end))
      bytes = bytes.subarray(end)
    }
    this.#rest = bytes
    return messages
  }
}
