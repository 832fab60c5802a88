// tsswarm service ls
import { defineCommand, noArguments } from '../command.ts'
import { listFlagsBy, parseFilters, serviceFilters } from '../common.ts'
import { listServices } from '../lists.ts'
import { renderList } from '../render/list-format.ts'
import { serviceListView, serviceRows } from '../render/service-list.ts'

export const command = defineCommand({
  name: 'service ls',
  summary: 'List services',
  description: 'Filters: id, name, label, mode.',
  args: noArguments,
  flags: listFlagsBy(...serviceFilters),
  examples: [
    { what: 'All services', command: 'tsswarm service ls' },
    { what: 'Those with a label', command: 'tsswarm service ls --filter label=tier=front' },
    { what: 'Names only', command: "tsswarm service ls --format '{{.Name}}'" },
  ],
  run: async (ctx, { flags }) => {
    const filters = parseFilters(flags.filter)
    const client = await ctx.connect()
    const services = await listServices(client, filters)
    ctx.stdout.write(renderList(serviceListView, serviceRows(services), flags))
    return 0
  },
})
