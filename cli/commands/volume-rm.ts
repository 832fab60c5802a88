// tsswarm volume rm
import { defineCommand } from '../command.ts'
import { forEachArgument } from '../common.ts'
import { bool } from '../flags.ts'
import { forEachAnswer, volumeNodeFlags } from '../volume-nodes.ts'

export const command = defineCommand({
  name: 'volume rm',
  summary: 'Remove one or more volumes',
  description:
    'With all they hold. A volume that a container uses is not removed, not even one that has ended: remove the container, or ' +
    'the service, first. With --all-nodes a node that has it not is told; --force leaves that out.',
  args: { usage: 'VOLUME [VOLUME...]', min: 1, max: 1_000, completes: 'volumes' },
  flags: {
    force: bool('Do not error if the volume does not exist', { short: 'f' }),
    ...volumeNodeFlags,
  },
  examples: [
    { what: 'A volume of this host', command: 'tsswarm volume rm data' },
    { what: 'Everywhere', command: 'tsswarm volume rm --all-nodes --force data' },
  ],
  run: async (ctx, { flags, args }) => {
    let exit = 0
    const failed = await forEachArgument(ctx, args, async (name) => {
      const value = { name, force: flags.force }
      const one = await forEachAnswer(ctx, flags, { $case: 'remove', value }, ({ node, reply }) => {
        if (node === undefined) ctx.stdout.write(`${name}\n`)
        else for (const gone of reply.volumes) ctx.stdout.write(`${node}: ${gone.name}\n`)
      })
      exit = Math.max(exit, one)
    })
    return Math.max(exit, failed)
  },
})
