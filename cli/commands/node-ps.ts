// tsswarm node ps
import type { TaskView } from '../../proto/gen/tsswarm/v1/control.ts'
import { defineCommand } from '../command.ts'
import { forEachArgument, getNode, listFlagsBy, parseFilters, taskFilters } from '../common.ts'
import { bool } from '../flags.ts'
import { listTasks, namesOfNetworks } from '../lists.ts'
import { renderTasks } from '../render/task-list.ts'

export const command = defineCommand({
  name: 'node ps',
  summary: 'List tasks running on one or more nodes, defaults to current node',
  description: 'Filters: id, name, label, desired-state.',
  args: { usage: '[NODE...]', min: 0, max: 1_000, completes: 'nodes' },
  flags: {
    ...listFlagsBy(...taskFilters),
    'no-resolve': bool('Do not map IDs to names'),
    'no-trunc': bool('Do not truncate output'),
  },
  examples: [
    { what: 'What runs here', command: 'tsswarm node ps' },
    {
      what: 'What is meant to run on a node',
      command: 'tsswarm node ps --filter desired-state=running worker-1',
    },
  ],
  run: async (ctx, { flags, args }) => {
    const filters = parseFilters(flags.filter)
    const client = await ctx.connect()
    const tasks: TaskView[] = []
    const exit = await forEachArgument(ctx, args.length === 0 ? ['self'] : args, async (name) => {
      const { node } = await getNode(client, name)
      const onNode = { key: 'node', values: [node?.id ?? ''] }
      for (const task of await listTasks(client, [...filters, onNode])) tasks.push(task)
    })
    const networkNames = await namesOfNetworks(client, flags.format, tasks)
    ctx.stdout.write(renderTasks(tasks, { ...flags, networkNames, nowMs: ctx.clock.wallMs() }))
    return exit
  },
})
