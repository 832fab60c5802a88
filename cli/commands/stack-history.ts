// tsswarm stack history
import { SwarmError } from '../../proto/errors.ts'
import { defineCommand } from '../command.ts'
import { formatHelp } from '../common.ts'
import { bool, text } from '../flags.ts'
import { listStackRevisions } from '../lists.ts'
import { renderList } from '../render/list-format.ts'
import { stackHistoryRows, stackHistoryView } from '../render/stack-history.ts'
import { nearStack } from '../stack/run/near-stack.ts'
import { stackName } from '../stack/stack-spec.ts'

export const command = defineCommand({
  name: 'stack history',
  summary: 'Show the revisions of a stack',
  description:
    'Each "stack deploy" and "stack rollback" that changes something is a revision: when and by whom, what it changed, and how it ended. ' +
    'States: deploying (it goes on, or its client went away), deployed, failed, reverted (by --atomic); the present one is marked. ' +
    'As many are kept besides the newest as "swarm update --stack-history-limit" says; "stack rm" removes them.',
  args: { usage: 'STACK', min: 1, max: 1, completes: 'stacks' },
  flags: {
    format: text(formatHelp),
    'no-trunc': bool('Do not truncate output'),
    quiet: bool('Only display numbers', { short: 'q' }),
  },
  examples: [
    { what: 'All that are kept, the newest first', command: 'tsswarm stack history shop' },
    { what: 'What they changed, in full', command: 'tsswarm stack history --no-trunc shop' },
    { what: 'For a program, a line each', command: 'tsswarm stack history --format json shop' },
  ],
  run: async (ctx, { flags, args }) => {
    const stack = stackName(args[0] ?? '')
    const client = await ctx.connect()
    const views = await listStackRevisions(client, stack)
    if (views.length === 0)
      throw new SwarmError(
        'NOT_FOUND',
        `nothing found in stack: ${stack}${await nearStack(client, stack)}`,
      )
    // Only a table for people is cut.
    const isWhole = flags['no-trunc'] || flags.format !== undefined
    const rows = stackHistoryRows(views, { stack, nowMs: ctx.clock.wallMs(), isWhole })
    ctx.stdout.write(renderList(stackHistoryView, rows, flags))
    return 0
  },
})
