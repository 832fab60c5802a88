// tsswarm node demote
import { NodeRole } from '../../proto/gen/tsswarm/v1/objects.ts'
import { defineCommand } from '../command.ts'
import { forEachArgument } from '../common.ts'
import { changeNode } from '../node-update.ts'

export const command = defineCommand({
  name: 'node demote',
  summary: 'Demote one or more nodes from manager in the swarm',
  description:
    'Refused for the last manager, and when the swarm would lose its quorum because too few of the others can be reached.',
  args: { usage: 'NODE [NODE...]', min: 1, max: 1_000, completes: 'nodes' },
  flags: {},
  examples: [{ what: 'One manager less', command: 'tsswarm node demote manager-3' }],
  run: (ctx, { args }) =>
    forEachArgument(ctx, args, async (reference) => {
      const { changed } = await changeNode(ctx, reference, (spec) =>
        spec.role === NodeRole.WORKER ? undefined : { ...spec, role: NodeRole.WORKER },
      )
      ctx.stdout.write(
        changed
          ? `Manager ${reference} demoted in the swarm.\n`
          : `Node ${reference} is already a worker.\n`,
      )
    }),
})
