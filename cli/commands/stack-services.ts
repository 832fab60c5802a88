// tsswarm stack services
import { defineCommand } from '../command.ts'
import { listFlagsBy, parseFilters, serviceFilters } from '../common.ts'
import { listServices } from '../lists.ts'
import { renderList } from '../render/list-format.ts'
import { serviceListView, serviceRows } from '../render/service-list.ts'
import { nearStack } from '../stack/run/near-stack.ts'
import { ofStack } from '../stack/run/remove-stack.ts'
import { stackName } from '../stack/stack-spec.ts'

export const command = defineCommand({
  name: 'stack services',
  summary: 'List the services in the stack',
  description: 'Filters: id, name, label, mode.',
  args: { usage: 'STACK', min: 1, max: 1, completes: 'stacks' },
  flags: listFlagsBy(...serviceFilters),
  examples: [
    { what: 'All of a stack', command: 'tsswarm stack services shop' },
    {
      what: 'Names and replicas',
      command: "tsswarm stack services --format '{{.Name}} {{.Replicas}}' shop",
    },
  ],
  run: async (ctx, { flags, args }) => {
    const name = stackName(args[0] ?? '')
    const filters = parseFilters(flags.filter)
    const client = await ctx.connect()
    const services = await listServices(client, [...filters, ofStack(name)])
    if (services.length === 0)
      ctx.stderr.write(`Nothing found in stack: ${name}${await nearStack(client, name)}\n`)
    else ctx.stdout.write(renderList(serviceListView, serviceRows(services), flags))
    return 0
  },
})
