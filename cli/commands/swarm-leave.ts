// tsswarm swarm leave
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { defineCommand, noArguments } from '../command.ts'
import { bool } from '../flags.ts'

export const command = defineCommand({
  name: 'swarm leave',
  summary: 'Leave the swarm',
  description:
    'The tasks on this host are stopped. A manager leaves only by force; demote it first ("tsswarm node demote self"). ' +
    'The node stays listed as down until it is removed on a manager ("tsswarm node rm NODE").',
  args: noArguments,
  flags: {
    force: bool('Force this node to leave the swarm, ignoring warnings', { short: 'f' }),
  },
  examples: [
    { what: 'On a worker', command: 'tsswarm swarm leave' },
    { what: 'On the last manager: the swarm is gone', command: 'tsswarm swarm leave --force' },
  ],
  run: async (ctx, { flags }) => {
    const client = await ctx.connect()
    await client.call(
      DaemonService.leaveSwarm,
      { force: flags.force },
      { retry: false, timeoutMs: 120_000 },
    )
    ctx.stdout.write('Node left the swarm.\n')
    return 0
  },
})
