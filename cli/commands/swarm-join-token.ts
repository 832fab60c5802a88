// tsswarm swarm join-token
import { ControlService, type GetJoinTokensResponse } from '../../proto/gen/tsswarm/v1/control.ts'
import { NodeRole } from '../../proto/gen/tsswarm/v1/objects.ts'
import { newId } from '../../proto/lib/ids.ts'
import { defineCommand } from '../command.ts'
import { bool } from '../flags.ts'
import { usage } from '../parse-args.ts'

export const command = defineCommand({
  name: 'swarm join-token',
  summary: 'Manage join tokens',
  description:
    'Rotating a token keeps out whoever has the old one; nodes that joined with it stay.',
  args: { usage: '(worker|manager)', min: 1, max: 1, completes: ['worker', 'manager'] },
  flags: {
    quiet: bool('Only display token', { short: 'q' }),
    rotate: bool('Rotate join token'),
  },
  examples: [
    { what: 'The command that adds a worker', command: 'tsswarm swarm join-token worker' },
    { what: 'A new token for managers', command: 'tsswarm swarm join-token --rotate manager' },
  ],
  run: async (ctx, { flags, args }) => {
    const [role = ''] = args
    if (role !== 'worker' && role !== 'manager')
      throw usage(`unknown role "${role}": it is worker or manager`)
    const client = await ctx.connect()
    const tokens: GetJoinTokensResponse = flags.rotate
      ? await client.call(ControlService.rotateJoinToken, {
          requestId: newId(ctx.random),
          role: role === 'manager' ? NodeRole.MANAGER : NodeRole.WORKER,
        })
      : await client.call(ControlService.getJoinTokens, {})
    if (flags.quiet) {
      ctx.stdout.write(`${tokens[role]}\n`)
      return 0
    }
    if (flags.rotate) ctx.stdout.write(`Successfully rotated ${role} join token.\n\n`)
    ctx.stdout.write(
      `To add a ${role} to this swarm, run the following command:\n\n` +
        `    tsswarm swarm join --token ${tokens[role]} ${tokens.address}\n\n`,
    )
    return 0
  },
})
