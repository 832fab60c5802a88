// tsswarm swarm update
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { newId } from '../../proto/lib/ids.ts'
import { absentClusterFlag, clusterFlags, clusterSpecOf } from '../cluster-flags.ts'
import { defineCommand, noArguments } from '../command.ts'
import { incomplete } from '../common.ts'

export const command = defineCommand({
  name: 'swarm update',
  summary: 'Update the swarm',
  description: 'What no flag names stays as it is.',
  args: noArguments,
  flags: clusterFlags,
  absent: absentClusterFlag,
  examples: [
    { what: 'Keep ten old tasks a slot', command: 'tsswarm swarm update --task-history-limit 10' },
    { what: 'Fill nodes one after another', command: 'tsswarm swarm update --scheduling binpack' },
  ],
  run: async (ctx, { flags }) => {
    const client = await ctx.connect()
    const { cluster } = await client.call(ControlService.getCluster, {})
    if (cluster?.spec === undefined) throw incomplete('cluster')
    await client.call(ControlService.updateCluster, {
      requestId: newId(ctx.random),
      version: cluster.meta?.version ?? 0,
      spec: clusterSpecOf(flags, cluster.spec),
    })
    ctx.stdout.write('Swarm updated.\n')
    return 0
  },
})
