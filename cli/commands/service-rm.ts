// tsswarm service rm
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { newId } from '../../proto/lib/ids.ts'
import { defineCommand } from '../command.ts'
import { forEachArgument } from '../common.ts'

export const command = defineCommand({
  name: 'service rm',
  summary: 'Remove one or more services',
  description: 'Their tasks are stopped in the background. There is no question asked first.',
  args: { usage: 'SERVICE [SERVICE...]', min: 1, max: 1_000, completes: 'services' },
  flags: {},
  examples: [{ what: 'A service', command: 'tsswarm service rm web' }],
  run: async (ctx, { args }) => {
    const client = await ctx.connect()
    return await forEachArgument(ctx, args, async (reference) => {
      await client.call(ControlService.removeService, { requestId: newId(ctx.random), reference })
      ctx.stdout.write(`${reference}\n`)
    })
  },
})
