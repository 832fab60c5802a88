// tsswarm node ls
import { defineCommand, noArguments } from '../command.ts'
import { listFlagsBy, parseFilters, printWarnings } from '../common.ts'
import { listNodes } from '../lists.ts'
import { renderList } from '../render/list-format.ts'
import { nodeListViewOf, nodeProblems, nodeRows } from '../render/node-list.ts'

export const command = defineCommand({
  name: 'node ls',
  summary: 'List nodes in the swarm',
  description:
    'Filters: id, name, label (of the engine), node.label, role, membership. The node this command runs on is marked with *. When something does not work on a node, a column PROBLEMS names it ({{.Problems}} in a format), and its text follows on stderr.',
  args: noArguments,
  flags: listFlagsBy(
    ...['id=', 'name=', 'label=', 'engine.label=', 'node.label='],
    ...['role=manager', 'role=worker', 'membership=accepted', 'membership=pending'],
  ),
  examples: [
    { what: 'All nodes', command: 'tsswarm node ls' },
    { what: 'Managers only', command: 'tsswarm node ls --filter role=manager' },
    { what: 'Names and states', command: "tsswarm node ls --format '{{.Hostname}} {{.Status}}'" },
  ],
  run: async (ctx, { flags }) => {
    const filters = parseFilters(flags.filter)
    const client = await ctx.connect()
    const { nodes, selfNodeId } = await listNodes(client, filters)
    const rows = nodeRows(nodes, selfNodeId)
    ctx.stdout.write(renderList(nodeListViewOf(rows), rows, flags))
    if (!flags.quiet && flags.format === undefined) printWarnings(ctx, nodeProblems(nodes))
    return 0
  },
})
