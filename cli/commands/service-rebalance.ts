// tsswarm service rebalance
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { newId } from '../../proto/lib/ids.ts'
import { defineCommand } from '../command.ts'

export const command = defineCommand({
  name: 'service rebalance',
  summary: 'Move tasks of a service onto nodes that have fewer of them',
  description:
    'One task at a time (see "swarm update --rebalance-moves"): the new one runs before the former stops. Begins it; "tsswarm explain service" says how far it ' +
    'is. Tasks that would be spread no better, that have volumes of their own, or whose move failed stay where they are.',
  args: { usage: 'SERVICE', min: 1, max: 1, completes: 'services' },
  flags: {},
  examples: [{ what: 'After a node has joined', command: 'tsswarm service rebalance web' }],
  run: async (ctx, { args }) => {
    const [reference = ''] = args
    const client = await ctx.connect()
    const requestId = newId(ctx.random)
    await client.call(ControlService.rebalanceService, { requestId, reference })
    ctx.stdout.write(`${reference}\n`)
    return 0
  },
})
