// tsswarm service rollback
import { defineCommand } from '../command.ts'
import { converge } from '../converge.ts'
import { bool } from '../flags.ts'
import { rollBackService } from '../service/change-service.ts'

export const command = defineCommand({
  name: 'service rollback',
  summary: "Revert changes to a service's configuration",
  description:
    'The service gets the specification that it had before its last update; a second time it returns to where it was.',
  args: { usage: 'SERVICE', min: 1, max: 1, completes: 'services' },
  flags: {
    detach: bool('Exit immediately instead of waiting for the service to converge', { short: 'd' }),
    quiet: bool('Suppress progress output', { short: 'q' }),
  },
  examples: [
    { what: 'Undo the last update', command: 'tsswarm service rollback web' },
    { what: 'Without waiting', command: 'tsswarm service rollback --detach web' },
  ],
  run: async (ctx, { flags, args }) => {
    const [name = ''] = args
    const client = await ctx.connect()
    const { serviceId } = await rollBackService(ctx, client, name)
    ctx.stdout.write(`${name}\n`)
    if (!flags.detach) {
      await converge(ctx, client, { serviceId, name, quiet: flags.quiet, isRollback: true })
    }
    return 0
  },
})
