// tsswarm image build
import { writeFile } from 'node:fs/promises'
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import type { BuildImageOptions, BuildImageRequest } from '../../proto/gen/tsswarm/v1/image.ts'
import { buildContext, dockerfileOf } from '../build-context.ts'
import { defineCommand } from '../command.ts'
import { fileError } from '../common.ts'
import type { CommandContext } from '../context.ts'
import { allCredentials } from '../credentials.ts'
import { bool, choice, list, text } from '../flags.ts'
import { absentImageFlag } from '../image-flags.ts'

export const command = defineCommand({
  name: 'image build',
  summary: 'Build an image from a Dockerfile',
  description:
    'On this host, by buildah; the image is in its store at once. PATH is a folder, or - for a Dockerfile or an archive of a folder ' +
    'from STDIN. What .dockerignore names is not copied into the image. Steps are kept for later builds; "tsswarm image prune" ' +
    'removes them. Commands of the Dockerfile use the network of the host.',
  args: { usage: 'PATH | -', min: 1, max: 1 },
  flags: {
    'build-arg': list('Set build-time variables'),
    file: text('Name of the Dockerfile, - for STDIN (default: "PATH/Dockerfile")', { short: 'f' }),
    iidfile: text('Write the image ID to a file'),
    label: list('Set metadata for an image'),
    network: choice('Set the networking mode for the "RUN" instructions during build', [
      'host',
      'none',
    ]),
    'no-cache': bool('Do not use cache when building the image'),
    pull: bool('Always attempt to pull all referenced images'),
    quiet: bool('Suppress the build output and print image ID on success', { short: 'q' }),
    tag: list('Name and optionally a tag (format: "name:tag")', { short: 't' }),
    target: text('Set the target build stage to build'),
  },
  absent: absentImageFlag,
  examples: [
    { what: 'A folder', command: 'tsswarm image build -t app:1 .' },
    {
      what: 'One stage, with a variable',
      command: 'tsswarm image build --target test --build-arg VERSION=1.2 -t app:test .',
    },
    { what: 'A Dockerfile alone', command: 'tsswarm image build -t app:1 - < Dockerfile' },
  ],
  run: async (ctx, { flags, args }) => {
    const [path = ''] = args
    const options: BuildImageOptions = {
      tags: flags.tag,
      dockerfile: await dockerfileOf(ctx, path, flags.file),
      buildArgs: flags['build-arg'].map((item) => withValue(ctx, item)),
      target: flags.target ?? '',
      noCache: flags['no-cache'],
      pull: flags.pull,
      network: flags.network ?? '',
      credentials: await allCredentials(ctx.env),
      labels: flags.label,
    }
    const id = await build(ctx, requests(options, buildContext(ctx, path)), flags.quiet)
    const short = id.replace(/^sha256:/, '').slice(0, 12)
    ctx.stdout.write(flags.quiet ? `${id}\n` : `Successfully built ${short}\n`)
    if (flags.iidfile !== undefined) await writeId(flags.iidfile, id)
    return 0
  },
})

/** `NAME` takes the value from the environment, as in Docker; one that is not there is left out of it. */
function withValue({ env }: CommandContext, item: string): string {
  if (item.includes('=')) return item
  const value = env[item]
  return value === undefined ? item : `${item}=${value}`
}

async function* requests(
  options: BuildImageOptions,
  context: AsyncIterable<Uint8Array>,
): AsyncGenerator<BuildImageRequest> {
  yield { kind: { $case: 'options', value: options } }
  for await (const chunk of context) yield { kind: { $case: 'chunk', value: chunk } }
}

/** The id of the image. */
async function build(
  ctx: CommandContext,
  outgoing: AsyncIterable<BuildImageRequest>,
  quiet: boolean,
): Promise<string> {
  const client = await ctx.connect()
  let id = ''
  for await (const { output, imageId } of client.stream(DaemonService.buildImage, outgoing)) {
    if (!quiet && output !== '') ctx.stdout.write(output)
    if (imageId !== '') id = imageId
  }
  return id
}

async function writeId(path: string, id: string): Promise<void> {
  await writeFile(path, id).catch((err: unknown) => {
    throw fileError(`cannot write ${path}`, err)
  })
}
