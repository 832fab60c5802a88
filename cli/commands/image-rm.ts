// tsswarm image rm
import { hasCode } from '../../proto/errors.ts'
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { defineCommand } from '../command.ts'
import { forEachArgument } from '../common.ts'
import { bool } from '../flags.ts'
import { absentImageFlag } from '../image-flags.ts'

export const command = defineCommand({
  name: 'image rm',
  summary: 'Remove one or more images from this host',
  args: { usage: 'IMAGE [IMAGE...]', min: 1, max: 1_000, completes: 'images' },
  flags: {
    force: bool('Force removal of the image; one that is not there is no error then', {
      short: 'f',
    }),
  },
  absent: absentImageFlag,
  examples: [{ what: 'An image', command: 'tsswarm image rm nginx:1.27' }],
  run: async (ctx, { flags, args }) => {
    const client = await ctx.connect()
    return await forEachArgument(ctx, args, async (reference) => {
      const request = { reference, force: flags.force }
      const { untagged, deleted } = await client
        .call(DaemonService.removeImage, request, { retry: false })
        .catch((err: unknown) => {
          if (!flags.force || !hasCode(err, 'IMAGE_NOT_FOUND')) throw err
          ctx.stderr.write(`Error: ${err.message}\n`)
          return { untagged: [], deleted: [] }
        })
      for (const name of untagged) ctx.stdout.write(`Untagged: ${name}\n`)
      for (const id of deleted) ctx.stdout.write(`Deleted: ${id}\n`)
    })
  },
})
