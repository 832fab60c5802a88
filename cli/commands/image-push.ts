// tsswarm image push
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { defineCommand } from '../command.ts'
import { authFor } from '../credentials.ts'
import { bool } from '../flags.ts'
import { absentImageFlag } from '../image-flags.ts'
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
    const auth = await authFor(ctx.env, reference)
    const client = await ctx.connect()
    const request = { reference, auth, allTags: flags['all-tags'] }
    const progress = client.stream(DaemonService.pushImage, [request])
    await followImageProgress(ctx.stdout, progress, flags.quiet)
    if (flags.quiet) ctx.stdout.write(`${reference}\n`)
    return 0
  },
})
