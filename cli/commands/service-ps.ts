// tsswarm service ps
import type { TaskView } from '../../proto/gen/tsswarm/v1/control.ts'
import { defineCommand } from '../command.ts'
import {
  forEachArgument,
  getService,
  listFlagsBy,
  parseFilters,
  printWarnings,
  taskFilters,
  withOwnNode,
} from '../common.ts'
import { bool } from '../flags.ts'
import { listNodes, listTasks, namesOfNetworks } from '../lists.ts'
import { nodeProblems } from '../render/node-list.ts'
import { renderTasks } from '../render/task-list.ts'

export const command = defineCommand({
  name: 'service ps',
  summary: 'List the tasks of one or more services',
  description:
    'The newest task of each slot comes first, those it replaced below it. Filters: id, name, label, node, desired-state. ' +
    '{{.Networks}} of --format has the addresses of each task; with "+" what it was connected to while it ran. {{.Health}} and ' +
    '{{.HealthLog}} tell of its health check; ERROR has what a check fails with now. What keeps a node from ' +
    'serving the services, such as a published port that another program holds, follows on stderr.',
  args: { usage: 'SERVICE [SERVICE...]', min: 1, max: 1_000, completes: 'services' },
  flags: {
    ...listFlagsBy(...taskFilters, 'node='),
    'no-resolve': bool('Do not map IDs to names'),
    'no-trunc': bool('Do not truncate output'),
  },
  examples: [
    { what: 'All tasks, errors in full', command: 'tsswarm service ps --no-trunc web' },
    {
      what: 'What is meant to run',
      command: 'tsswarm service ps --filter desired-state=running web',
    },
  ],
  run: async (ctx, { flags, args }) => {
    const given = parseFilters(flags.filter)
    const client = await ctx.connect()
    const filters = await withOwnNode(client, given)
    const tasks: TaskView[] = []
    const services = new Set<string>()
    const exit = await forEachArgument(ctx, args, async (reference) => {
      const { service } = await getService(client, reference)
      services.add(service?.id ?? '')
      const ofService = { key: 'service', values: [service?.id ?? ''] }
      for (const task of await listTasks(client, [...filters, ofService])) tasks.push(task)
    })
    if (args.length > 1 && tasks.length === 0 && exit !== 0) return exit
    const networkNames = await namesOfNetworks(client, flags.format, tasks)
    ctx.stdout.write(renderTasks(tasks, { ...flags, networkNames, nowMs: ctx.clock.wallMs() }))
    if (!flags.quiet && flags.format === undefined && services.size > 0) {
      const { nodes } = await listNodes(client)
      printWarnings(ctx, nodeProblems(nodes, services))
    }
    return exit
  },
})
