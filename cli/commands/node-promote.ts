// tsswarm node promote
import { NodeRole } from '../../proto/gen/tsswarm/v1/objects.ts'
import { defineCommand } from '../command.ts'
import { forEachArgument } from '../common.ts'
import { changeNode } from '../node-update.ts'

export const command = defineCommand({
  name: 'node promote',
  summary: 'Promote one or more nodes to manager in the swarm',
  description:
    'A swarm of three managers survives the loss of one, a swarm of five the loss of two.',
  args: { usage: 'NODE [NODE...]', min: 1, max: 1_000, completes: 'nodes' },
  flags: {},
  examples: [{ what: 'Two more managers', command: 'tsswarm node promote worker-1 worker-2' }],
  run: (ctx, { args }) =>
    forEachArgument(ctx, args, async (reference) => {
      const { changed } = await changeNode(ctx, reference, (spec) =>
        spec.role === NodeRole.MANAGER ? undefined : { ...spec, role: NodeRole.MANAGER },
      )
      ctx.stdout.write(
        changed
          ? `Node ${reference} promoted to a manager in the swarm.\n`
          : `Node ${reference} is already a manager.\n`,
      )
    }),
})
