// tsswarm stack ls

import { namespaceLabel } from '../../proto/objects/stack.ts'
import { defineCommand, noArguments } from '../command.ts'
import { formatHelp } from '../common.ts'
import { text } from '../flags.ts'
import { listServices } from '../lists.ts'
import { renderList } from '../render/list-format.ts'
import { naturalCompare } from '../render/natural.ts'

const view = {
  heads: { Name: 'NAME', Services: 'SERVICES' },
  table: '{{.Name}}\t{{.Services}}',
  quietField: 'Name',
}

export const command = defineCommand({
  name: 'stack ls',
  summary: 'List stacks',
  args: noArguments,
  flags: { format: text(formatHelp) },
  examples: [
    { what: 'All stacks', command: 'tsswarm stack ls' },
    { what: 'Names only', command: "tsswarm stack ls --format '{{.Name}}'" },
  ],
  run: async (ctx, { flags }) => {
    const client = await ctx.connect()
    const services = await listServices(client, [{ key: 'label', values: [namespaceLabel] }])
    const counts = new Map<string, number>()
    for (const { service } of services) {
      const name = service?.spec?.labels[namespaceLabel] ?? ''
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    const rows = [...counts]
      .sort(([a], [b]) => naturalCompare(a, b))
      .map(([name, count]) => ({ Name: name, Services: String(count) }))
    ctx.stdout.write(renderList(view, rows, flags))
    return 0
  },
})
