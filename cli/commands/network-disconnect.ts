// tsswarm network disconnect
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { newId } from '../../proto/lib/ids.ts'
import { defineCommand } from '../command.ts'
import { untilDisconnected } from '../connecting.ts'
import { bool } from '../flags.ts'

export const command = defineCommand({
  name: 'network disconnect',
  summary: 'Disconnect a running task from a network',
  description:
    'Of networks that it was connected to with "tsswarm network connect". No name leads to it there any more before it loses ' +
    'its address.',
  args: {
    usage: 'NETWORK TASK',
    min: 2,
    max: 2,
    completes: 'networks',
    thenCompletes: 'tasks',
  },
  flags: {
    force: bool('At once, and without waiting for its node', { short: 'f' }),
  },
  examples: [{ what: 'Off a network', command: 'tsswarm network disconnect back web.1' }],
  run: async (ctx, { flags, args }) => {
    const [network = '', task = ''] = args
    const client = await ctx.connect()
    const { taskId, networkId } = await client.call(ControlService.disconnectNetwork, {
      requestId: newId(ctx.random),
      network,
      task,
      force: flags.force,
    })
    if (!flags.force) await untilDisconnected(ctx, client, { taskId, networkId, task, network })
    return 0
  },
})
