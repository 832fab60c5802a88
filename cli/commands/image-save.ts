// tsswarm image save
import { open, rename, rm } from 'node:fs/promises'
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import type { SaveImagesChunk } from '../../proto/gen/tsswarm/v1/image.ts'
import { defineCommand } from '../command.ts'
import { fileError } from '../common.ts'
import { text } from '../flags.ts'
import { absentImageFlag } from '../image-flags.ts'
import { usage } from '../parse-args.ts'
import { writeAll } from '../streams.ts'

export const command = defineCommand({
  name: 'image save',
  summary: 'Save one or more images to a tar archive (streamed to STDOUT by default)',
  description:
    'A name without a tag saves all of its tags. "tsswarm image load" and "docker load" read the archive.',
  args: { usage: 'IMAGE [IMAGE...]', min: 1, max: 1_000, completes: 'images' },
  flags: { output: text('Write to a file, instead of STDOUT', { short: 'o' }) },
  absent: absentImageFlag,
  examples: [
    { what: 'To a file', command: 'tsswarm image save -o app.tar app:1' },
    {
      what: 'To another host',
      command: 'tsswarm image save app:1 | ssh w1 tsswarm image load',
    },
  ],
  run: async (ctx, { flags, args }) => {
    if (flags.output === undefined && ctx.stdout.isTerminal) {
      throw usage('cowardly refusing to save to a terminal: use -o FILE, or redirect')
    }
    const client = await ctx.connect()
    const archive = client.stream(DaemonService.saveImages, [{ references: args }])
    if (flags.output === undefined) {
      for await (const { chunk } of archive) await writeAll(ctx.stdout, chunk)
    } else {
      await writeFileWhole(flags.output, archive)
    }
    return 0
  },
})

/** The file is there with all it should hold, or as it was. Errors: INVALID_ARGUMENT; those of the archive. */
async function writeFileWhole(
  path: string,
  archive: AsyncIterable<SaveImagesChunk>,
): Promise<void> {
  const partial = `${path}.partial`
  const file = await open(partial, 'w', 0o600).catch((err: unknown) => {
    throw fileError(`cannot write ${path}`, err)
  })
  try {
    for await (const { chunk } of archive) await file.writeFile(chunk)
    await file.close()
    await rename(partial, path)
  } catch (err) {
    await file.close().catch(() => {})
    await rm(partial, { force: true })
    throw err
  }
}
