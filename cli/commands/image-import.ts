// tsswarm image import

import { SwarmError } from '../../proto/errors.ts'
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import type { ImportImageOptions, ImportImageRequest } from '../../proto/gen/tsswarm/v1/image.ts'
import { type ArchiveInput, archiveChunks, openArchive, withTotal } from '../archive-input.ts'
import { defineCommand } from '../command.ts'
import { list, text } from '../flags.ts'
import { followImageProgress } from '../render/image-progress.ts'

export const command = defineCommand({
  name: 'image import',
  summary: 'Import the contents from a tarball to create a filesystem image',
  description:
    'FILE holds a tree of files, plain or compressed, which becomes the only layer of an image of this host; - reads it from STDIN. The ' +
    'archive of an image is for "tsswarm image load". Changes are CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR, as ' +
    'a Dockerfile has them.',
  args: { usage: 'FILE|- [NAME[:TAG]]', min: 1, max: 2 },
  flags: {
    change: list('Apply a Dockerfile instruction to the created image', { short: 'c' }),
    message: text('Set commit message for imported image', { short: 'm' }),
    platform: text('Platform of the image: linux[/ARCH[/VARIANT]]', { shown: "this host's" }),
  },
  examples: [
    {
      what: 'A file, with what it runs',
      command: 'tsswarm image import --change \'CMD ["/bin/sh"]\' root.tar.gz team/root:1',
    },
    {
      what: 'From a container of docker',
      command: 'docker export app | tsswarm image import - app:flat',
    },
  ],
  run: async (ctx, { flags, args }) => {
    const [path = '', reference = ''] = args
    if (/^https?:\/\//.test(path)) {
      throw new SwarmError(
        'INVALID_ARGUMENT',
        `${path} is no file of this host: download it first, or pipe it in with -`,
      )
    }
    const remedy = 'requested import from stdin, but stdin is a terminal: name a file'
    const archive = await openArchive(ctx, path === '-' ? undefined : path, remedy)
    const { change: changes, message = '', platform = '' } = flags
    const options = { reference, changes, message, platform }
    const client = await ctx.connect()
    const progress = client.stream(DaemonService.importImage, requests(options, archive))
    // As of docker: whoever reads what is printed gets the id alone.
    const isQuiet = !ctx.stdout.isTerminal
    const [image] = await followImageProgress(ctx.stdout, withTotal(progress, archive), isQuiet)
    ctx.stdout.write(`${image?.id ?? ''}\n`)
    return 0
  },
})

async function* requests(
  options: ImportImageOptions,
  archive: ArchiveInput,
): AsyncGenerator<ImportImageRequest> {
  yield { kind: { $case: 'options', value: options } }
  for await (const value of archiveChunks(archive)) yield { kind: { $case: 'chunk', value } }
}
