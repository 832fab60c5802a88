// tsswarm stack ps
import { SwarmError } from '../../proto/errors.ts'
import { defineCommand } from '../command.ts'
import { listFlagsBy, parseFilters, taskFilters, withOwnNode } from '../common.ts'
import { bool } from '../flags.ts'
import { listTasks, namesOfNetworks } from '../lists.ts'
import { renderTasks } from '../render/task-list.ts'
import { nearStack } from '../stack/run/near-stack.ts'
import { ofStack } from '../stack/run/remove-stack.ts'
import { stackName } from '../stack/stack-spec.ts'

export const command = defineCommand({
  name: 'stack ps',
  summary: 'List the tasks in the stack',
  description: 'Filters: id, name, node, desired-state.',
  args: { usage: 'STACK', min: 1, max: 1, completes: 'stacks' },
  flags: {
    ...listFlagsBy(...taskFilters, 'node='),
    'no-resolve': bool('Do not map IDs to names'),
    'no-trunc': bool('Do not truncate output'),
  },
  examples: [
    { what: 'All tasks, errors in full', command: 'tsswarm stack ps --no-trunc shop' },
    {
      what: 'What is meant to run',
      command: 'tsswarm stack ps --filter desired-state=running shop',
    },
  ],
  run: async (ctx, { flags, args }) => {
    const name = stackName(args[0] ?? '')
    const given = parseFilters(flags.filter)
    const client = await ctx.connect()
    const filters = await withOwnNode(client, given)
    const tasks = await listTasks(client, [...filters, ofStack(name)])
    if (tasks.length === 0) {
      throw new SwarmError(
        'NOT_FOUND',
        `nothing found in stack: ${name}${await nearStack(client, name)}`,
      )
    }
    const networkNames = await namesOfNetworks(client, flags.format, tasks)
    ctx.stdout.write(renderTasks(tasks, { ...flags, networkNames, nowMs: ctx.clock.wallMs() }))
    return 0
  },
})
