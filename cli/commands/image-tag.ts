// tsswarm image tag
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  name: 'image tag',
  summary: 'Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE',
  description: 'Of an image of this host. Another image that had the name loses it.',
  args: {
    usage: 'SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]',
    min: 2,
    max: 2,
    completes: 'images',
  },
  flags: {},
  examples: [
    { what: 'For a registry', command: 'tsswarm image tag app:1 registry.example:5000/team/app:1' },
  ],
  run: async (ctx, { args }) => {
    const [source = '', target = ''] = args
    const client = await ctx.connect()
    await client.call(DaemonService.tagImage, { source, target }, { timeoutMs: 60_000 })
    return 0
  },
})
