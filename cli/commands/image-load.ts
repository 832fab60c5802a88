// tsswarm image load
import { DaemonService, type LoadImageRequest } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { type ArchiveInput, archiveChunks, openArchive, withTotal } from '../archive-input.ts'
import { defineCommand, noArguments } from '../command.ts'
import { bool, text } from '../flags.ts'
import { absentImageFlag } from '../image-flags.ts'
import { followImageProgress } from '../render/image-progress.ts'

export const command = defineCommand({
  name: 'image load',
  summary: 'Load an image from a tar archive or STDIN into this host',
  args: noArguments,
  flags: {
    input: text('Read from tar archive file, instead of STDIN', { short: 'i' }),
    quiet: bool('Suppress the load output', { short: 'q' }),
  },
  absent: absentImageFlag,
  examples: [
    { what: 'A file', command: 'tsswarm image load -i app.tar' },
    { what: 'From docker', command: 'docker save app:1 | tsswarm image load' },
  ],
  run: async (ctx, { flags }) => {
    const remedy = 'requested load from stdin, but stdin is a terminal: use -i FILE'
    const archive = await openArchive(ctx, flags.input, remedy)
    const client = await ctx.connect()
    const progress = client.stream(DaemonService.loadImage, requests(archive))
    // As of docker: whoever reads what is printed gets the names alone.
    const quiet = flags.quiet || !ctx.stdout.isTerminal
    const images = await followImageProgress(ctx.stdout, withTotal(progress, archive), quiet)
    for (const { names, id } of images) {
      const lines = names.length > 0 ? names.map((name) => `: ${name}`) : [` ID: ${id}`]
      for (const line of lines) ctx.stdout.write(`Loaded image${line}\n`)
    }
    return 0
  },
})

async function* requests(archive: ArchiveInput): AsyncGenerator<LoadImageRequest> {
  for await (const chunk of archiveChunks(archive)) yield { chunk }
}
