// An archive that a command sends to the daemon: a file, or what comes in by stdin.
import { open } from 'node:fs/promises'
import type { ImageProgress } from '../proto/gen/tsswarm/v1/daemon.ts'
import { fileError } from './common.ts'
import type { CommandContext } from './context.ts'
import { usage } from './parse-args.ts'

/** Well under the message bound of gRPC servers. */
const chunkBytes = 256 * 1024

export interface ArchiveInput {
  readonly bytes: AsyncIterable<Uint8Array>
  /** 0: nobody knows. */
  readonly sizeBytes: number
}

/** Undefined as path: stdin. `remedy` is told who has a terminal there. Errors: USAGE, INVALID_ARGUMENT. */
export async function openArchive(
  ctx: CommandContext,
  path: string | undefined,
  remedy: string,
): Promise<ArchiveInput> {
  if (path !== undefined) return await openFile(path)
  if (ctx.stdin.isTerminal) throw usage(remedy)
  return { bytes: ctx.stdin, sizeBytes: 0 }
}

async function openFile(path: string): Promise<ArchiveInput> {
  try {
    const file = await open(path)
    const found = await file.stat()
    if (found.isDirectory()) {
      await file.close()
      throw new Error('it is a folder, not an archive')
    }
    return {
      bytes: file.createReadStream({ highWaterMark: chunkBytes }),
      sizeBytes: found.size,
    }
  } catch (err) {
    throw fileError(`cannot read ${path}`, err)
  }
}

/** In pieces that a message can carry. */
export async function* archiveChunks({
  bytes: source,
}: ArchiveInput): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const bytes of source) {
    for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
  }
}

/** The daemon does not know how much will come; this side may. */
export async function* withTotal(
  progress: AsyncIterable<ImageProgress>,
  { sizeBytes }: ArchiveInput,
): AsyncGenerator<ImageProgress, void, undefined> {
  for await (const step of progress) {
    yield step.step === 'receiving' ? { ...step, totalBytes: sizeBytes } : step
  }
}
