// tsswarm network ls
import { defineCommand, noArguments } from '../command.ts'
import { listFlagsBy, parseFilters } from '../common.ts'
import { bool } from '../flags.ts'
import { listNetworks } from '../lists.ts'
import { renderList } from '../render/list-format.ts'
import { networkListView, networkRows } from '../render/network-list.ts'

export const command = defineCommand({
  name: 'network ls',
  summary: 'List networks',
  description:
    'Filters: id, name, label, driver, scope, type (custom or builtin), dangling (true: nothing is on it).',
  args: noArguments,
  flags: {
    ...listFlagsBy(
      ...['id=', 'name=', 'label=', 'driver=overlay', 'driver=bridge', 'dangling=true'],
      ...['scope=swarm', 'scope=global', 'scope=local', 'type=custom', 'type=builtin'],
    ),
    'no-trunc': bool('Do not truncate IDs'),
  },
  examples: [
    { what: 'All networks', command: 'tsswarm network ls' },
    { what: 'Those that nothing uses', command: 'tsswarm network ls --filter dangling=true' },
  ],
  run: async (ctx, { flags }) => {
    const filters = parseFilters(flags.filter)
    const client = await ctx.connect()
    const networks = await listNetworks(client, filters)
    ctx.stdout.write(renderList(networkListView, networkRows(networks, flags['no-trunc']), flags))
    return 0
  },
})
