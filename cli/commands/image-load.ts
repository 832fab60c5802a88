// tsswarm image load
import { open } from 'node:fs/promises'
import {
  DaemonService,
  type ImageProgress,
  type LoadImageRequest,
} from '../../proto/gen/tsswarm/v1/daemon.ts'
import { defineCommand, noArguments } from '../command.ts'
import { bool, text } from '../flags.ts'
import { usage } from '../parse-args.ts'
import { followImageProgress } from '../render/image-progress.ts'

/** Well under the message bound of gRPC servers. */
const chunkBytes = 256 * 1024

export const command = defineCommand({
  name: 'image load',
  summary: 'Load an image from a tar archive or STDIN into this host',
  args: noArguments,
  flags: {
    input: text('Read from tar archive file, instead of STDIN', { short: 'i' }),
    quiet: bool('Suppress the load output', { short: 'q' }),
  },
  examples: [
    { what: 'A file', command: 'tsswarm image load -i app.tar' },
    { what: 'From docker', command: 'docker save app:1 | tsswarm image load' },
  ],
  run: async (ctx, { flags }) => {
    const archive = flags.input === undefined ? undefined : await openArchive(flags.input)
    const source = archive?.bytes ?? ctx.stdin
    if (flags.input === undefined && ctx.stdin.isTerminal) {
      throw usage('requested load from stdin, but stdin is a terminal: use -i FILE')
    }
    const client = await ctx.connect()
    const progress = client.stream(DaemonService.loadImage, chunks(source))
    const sized = withTotal(progress, archive?.sizeBytes ?? 0)
    const image = await followImageProgress(ctx.stdout, sized, flags.quiet)
    for (const name of image?.names ?? []) ctx.stdout.write(`Loaded image: ${name}\n`)
    if (image !== undefined && image.names.length === 0) {
      ctx.stdout.write(`Loaded image ID: ${image.id}\n`)
    }
    return 0
  },
})

interface Archive {
  readonly bytes: AsyncIterable<Uint8Array>
  readonly sizeBytes: number
}

/** The daemon does not know how much will come; 0: nor does this side. */
async function* withTotal(
  progress: AsyncIterable<ImageProgress>,
  sizeBytes: number,
): AsyncGenerator<ImageProgress, void, undefined> {
  for await (const step of progress) {
    yield step.step === 'receiving' ? { ...step, totalBytes: sizeBytes } : step
  }
}

async function openArchive(path: string): Promise<Archive> {
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
    const why = err instanceof Error ? err.message : String(err)
    throw usage(`cannot read ${path}: ${why}`, err)
  }
}

async function* chunks(source: AsyncIterable<Uint8Array>): AsyncGenerator<LoadImageRequest> {
  for await (const bytes of source) {
    for (let at = 0; at < bytes.length; at += chunkBytes) {
      yield { chunk: bytes.subarray(at, at + chunkBytes) }
    }
  }
}
