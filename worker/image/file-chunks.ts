// A file in pieces that fit into messages.
import { createReadStream } from 'node:fs'

const chunkBytes = 256 * 1024

/** What a stream over gRPC may send one by one. Errors: those of the file. */
export async function* fileChunks(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes })) {
    if (chunk instanceof Uint8Array) yield chunk
  }
}
