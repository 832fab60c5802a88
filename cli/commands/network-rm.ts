// tsswarm network rm
import { hasCode } from '../../proto/errors.ts'
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { newId } from '../../proto/lib/ids.ts'
import { defineCommand } from '../command.ts'
import { forEachArgument } from '../common.ts'
import { bool } from '../flags.ts'

export const command = defineCommand({
  name: 'network rm',
  summary: 'Remove one or more networks',
  description:
    'A network that services or tasks are on is not removed. There is no question asked first.',
  args: { usage: 'NETWORK [NETWORK...]', min: 1, max: 1_000, completes: 'networks' },
  flags: { force: bool('Do not error if the network does not exist', { short: 'f' }) },
  examples: [{ what: 'A network', command: 'tsswarm network rm back' }],
  run: async (ctx, { flags, args }) => {
    const client = await ctx.connect()
    return await forEachArgument(ctx, args, async (reference) => {
      try {
        await client.call(ControlService.removeNetwork, { requestId: newId(ctx.random), reference })
      } catch (err) {
        if (!flags.force || !hasCode(err, 'NOT_FOUND')) throw err
        return
      }
      ctx.stdout.write(`${reference}\n`)
    })
  },
})
