// tsswarm node rm
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { newId } from '../../proto/lib/ids.ts'
import { defineCommand } from '../command.ts'
import { forEachArgument, getNode } from '../common.ts'
import { bool } from '../flags.ts'

export const command = defineCommand({
  name: 'node rm',
  summary: 'Remove one or more nodes from the swarm',
  description:
    'A node must be down (leave the swarm on it first), or be removed by force; a manager must be demoted first. ' +
    'The certificate of a removed node is refused from then on.',
  args: { usage: 'NODE [NODE...]', min: 1, max: 1_000, completes: 'nodes' },
  flags: { force: bool('Force remove a node from the swarm', { short: 'f' }) },
  examples: [
    { what: 'A node that left', command: 'tsswarm node rm worker-1' },
    { what: 'A node that is lost for good', command: 'tsswarm node rm --force worker-2' },
  ],
  run: async (ctx, { flags, args }) => {
    const client = await ctx.connect()
    return await forEachArgument(ctx, args, async (reference) => {
      // By its id: "self" is this host, not the manager that carries the removal out.
      const { node } = await getNode(client, reference)
      await client.call(ControlService.removeNode, {
        requestId: newId(ctx.random),
        reference: node?.id ?? reference,
        force: flags.force,
      })
      ctx.stdout.write(`${reference}\n`)
    })
  },
})
