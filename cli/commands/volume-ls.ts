// tsswarm volume ls
import { defineCommand, noArguments } from '../command.ts'
import { listFlagsBy, parseFilters } from '../common.ts'
import { bool } from '../flags.ts'
import { renderList } from '../render/list-format.ts'
import {
  nodeVolumeListView,
  type VolumeOfNode,
  volumeListView,
  volumeRows,
} from '../render/volume-list.ts'
import { volumeFilter } from '../volume-filter.ts'
import { asksNodes, forEachAnswer, volumeNodeFlags } from '../volume-nodes.ts'

export const command = defineCommand({
  name: 'volume ls',
  summary: 'List volumes',
  description:
    'Those of this host; with --node or --all-nodes those of nodes, each by its name. A node that does not answer is named, and the ' +
    'exit code is 1. Filters: dangling (used by no container), driver, label, name.',
  args: noArguments,
  flags: {
    ...listFlagsBy('dangling=true', 'dangling=false', 'driver=', 'label=', 'name='),
    quiet: bool('Only display volume names', { short: 'q' }),
    ...volumeNodeFlags,
  },
  examples: [
    { what: 'Of this host', command: 'tsswarm volume ls' },
    { what: 'Of the whole swarm', command: 'tsswarm volume ls --all-nodes' },
    {
      what: 'What nothing uses on one node',
      command: 'tsswarm volume ls --node w1 --filter dangling=true -q',
    },
  ],
  run: async (ctx, { flags }) => {
    const passes = volumeFilter(parseFilters(flags.filter))
    const found: VolumeOfNode[] = []
    const exit = await forEachAnswer(
      ctx,
      flags,
      { $case: 'list', value: {} },
      ({ node, reply }) => {
        for (const volume of reply.volumes) if (passes(volume)) found.push({ node, volume })
      },
    )
    const view = asksNodes(flags) ? nodeVolumeListView : volumeListView
    ctx.stdout.write(renderList(view, volumeRows(found), flags))
    return exit
  },
})
