// tsswarm image push
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { defineCommand } from '../command.ts'
import { authFor } from '../credentials.ts'
import { bool } from '../flags.ts'
import { absentImageFlag } from '../image-flags.ts'
import { fullImage, hasTagOrDigest, repositoryOf } from '../render/image-name.ts'
import { followImageProgress } from '../render/image-progress.ts'

export const command = defineCommand({
  name: 'image push',
  summary: 'Upload an image to a registry',
  description: 'The name says which registry ("tsswarm image tag" gives names), login as whom.',
  args: { usage: 'NAME[:TAG]', min: 1, max: 1, completes: 'images' },
  flags: {
    'all-tags': bool('Push all tags of an image to the repository', { short: 'a' }),
    quiet: bool('Suppress verbose output', { short: 'q' }),
  },
  absent: absentImageFlag,
  examples: [
    { what: 'An image', command: 'tsswarm image push registry.example:5000/team/app:1' },
    { what: 'All of its tags', command: 'tsswarm image push -a registry.example:5000/team/app' },
  ],
  run: async (ctx, { flags, args }) => {
    const [reference = ''] = args
    const { 'all-tags': allTags, quiet } = flags
    const auth = await authFor(ctx.env, reference)
    const client = await ctx.connect()
    const isPlain = !allTags && !hasTagOrDigest(reference)
    const name = isPlain ? `${reference}:latest` : reference
    if (!quiet) {
      if (isPlain) ctx.stdout.write('Using default tag: latest\n')
      ctx.stdout.write(`The push refers to repository [${repositoryOf(fullImage(name))}]\n`)
    }
    const progress = client.stream(DaemonService.pushImage, [{ reference, auth, allTags }])
    await followImageProgress(ctx.stdout, progress, quiet)
    if (quiet) ctx.stdout.write(`${fullImage(name)}\n`)
    return 0
  },
})
