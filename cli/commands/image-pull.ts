// tsswarm image pull
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { defineCommand } from '../command.ts'
import { authFor } from '../credentials.ts'
import { bool } from '../flags.ts'
import { absentImageFlag } from '../image-flags.ts'
import { followImageProgress } from '../render/image-progress.ts'

export const command = defineCommand({
  name: 'image pull',
  summary: 'Download an image from a registry to this host',
  description: 'Tasks pull their image by themselves; this is for having it before.',
  args: { usage: 'NAME[:TAG|@DIGEST]', min: 1, max: 1 },
  flags: { quiet: bool('Suppress verbose output', { short: 'q' }) },
  absent: absentImageFlag,
  examples: [{ what: 'An image', command: 'tsswarm image pull nginx:1.27' }],
  run: async (ctx, { flags, args }) => {
    const [reference = ''] = args
    const auth = await authFor(ctx.env, reference)
    const client = await ctx.connect()
    const progress = client.stream(DaemonService.pullImage, [{ reference, auth }])
    const image = await followImageProgress(ctx.stdout, progress, flags.quiet)
    if (!flags.quiet && image?.digests[0] !== undefined) {
      ctx.stdout.write(`Digest: ${image.digests[0].replace(/^.*@/, '')}\n`)
    }
    ctx.stdout.write(`${image?.names[0] ?? reference}\n`)
    return 0
  },
})
