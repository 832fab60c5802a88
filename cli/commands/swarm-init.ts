// tsswarm swarm init
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { newId } from '../../proto/lib/ids.ts'
import { availabilityFlag, availabilityOf, listenFlags } from '../address-flags.ts'
import { absentClusterFlag, clusterFlags, clusterSpecOf } from '../cluster-flags.ts'
import { defineCommand, noArguments } from '../command.ts'

export const command = defineCommand({
  name: 'swarm init',
  summary: 'Initialize a swarm',
  description: 'This host becomes the first manager, and runs tasks too unless it is drained.',
  args: noArguments,
  flags: { ...clusterFlags, ...listenFlags, availability: availabilityFlag },
  absent: absentClusterFlag,
  examples: [
    { what: 'On a host with one address', command: 'tsswarm swarm init' },
    { what: 'On a host with several', command: 'tsswarm swarm init --advertise-addr 192.168.1.10' },
  ],
  run: async (ctx, { flags }) => {
    const spec = clusterSpecOf(flags, {})
    const client = await ctx.connect()
    const { nodeId, workerJoinToken, advertiseAddress } = await client.call(
      DaemonService.initSwarm,
      {
        requestId: newId(ctx.random),
        advertiseAddress: flags['advertise-addr'] ?? '',
        listenAddress: flags['listen-addr'] ?? '',
        availability: availabilityOf(flags.availability),
        spec,
      },
      { retry: false, timeoutMs: 60_000 },
    )
    ctx.stdout.write(
      `Swarm initialized: current node (${nodeId}) is now a manager.\n\n` +
        'To add a worker to this swarm, run the following command:\n\n' +
        `    tsswarm swarm join --token ${workerJoinToken} ${advertiseAddress}\n\n` +
        "To add a manager to this swarm, run 'tsswarm swarm join-token manager' and follow the instructions.\n\n",
    )
    return 0
  },
})
