// tsswarm image pull
import {
  DaemonService,
  type ImageInfo,
  type ImageProgress,
} from '../../proto/gen/tsswarm/v1/daemon.ts'
import { defineCommand } from '../command.ts'
import { authFor } from '../credentials.ts'
import { bool, text } from '../flags.ts'
import { absentImageFlag } from '../image-flags.ts'
import { familiarImage, fullImage, hasTagOrDigest } from '../render/image-name.ts'
import { followImageProgress } from '../render/image-progress.ts'

export const command = defineCommand({
  name: 'image pull',
  summary: 'Download an image from a registry to this host',
  description:
    'Tasks pull their image by themselves; this is for having it before. With --platform the name is that of the image of another ' +
    "platform from then on, until it is pulled again; tasks get this host's.",
  args: { usage: 'NAME[:TAG|@DIGEST]', min: 1, max: 1, completes: 'images' },
  flags: {
    'all-tags': bool('Download all tagged images in the repository', { short: 'a' }),
    platform: text('Platform of the image: linux[/ARCH[/VARIANT]]', { shown: "this host's" }),
    quiet: bool('Suppress verbose output', { short: 'q' }),
  },
  absent: absentImageFlag,
  examples: [
    { what: 'An image', command: 'tsswarm image pull nginx:1.27' },
    {
      what: 'All of its tags',
      command: 'tsswarm image pull -a registry.example:5000/team/app',
    },
    {
      what: 'That of another platform, to save or push it',
      command: 'tsswarm image pull --platform linux/arm64 nginx:1.27',
    },
  ],
  run: async (ctx, { flags, args }) => {
    const [reference = ''] = args
    const { platform = '', 'all-tags': allTags, quiet } = flags
    const auth = await authFor(ctx.env, reference)
    const client = await ctx.connect()
    const isPlain = !allTags && !hasTagOrDigest(reference)
    if (isPlain && !quiet) ctx.stdout.write('Using default tag: latest\n')
    const request = { reference, auth, platform, allTags }
    const seen = new Set<string>()
    const progress = noted(client.stream(DaemonService.pullImage, [request]), seen)
    const [image] = await followImageProgress(ctx.stdout, progress, quiet)
    const name = isPlain ? `${reference}:latest` : reference
    if (!allTags && !quiet) ctx.stdout.write(outcome(image, name, seen.has('up to date')))
    ctx.stdout.write(`${fullImage(name)}\n`)
    return 0
  },
})

async function* noted(
  progress: AsyncIterable<ImageProgress>,
  seen: Set<string>,
): AsyncGenerator<ImageProgress> {
  for await (const message of progress) {
    seen.add(message.step)
    yield message
  }
}

function outcome(image: ImageInfo | undefined, name: string, isKnown: boolean): string {
  const digest = image?.digests[0]?.replace(/^.*@/, '')
  const status = isKnown ? 'Image is up to date' : 'Downloaded newer image'
  const shown = digest === undefined ? '' : `Digest: ${digest}\n`
  return `${shown}Status: ${status} for ${familiarImage(name, false)}\n`
}
