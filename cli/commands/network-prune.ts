// tsswarm network prune
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { newId } from '../../proto/lib/ids.ts'
import { defineCommand, noArguments } from '../command.ts'
import { parseFilters } from '../common.ts'
import { bool, list } from '../flags.ts'
import { usage } from '../parse-args.ts'

export const command = defineCommand({
  name: 'network prune',
  summary: 'Remove all networks that nothing is on',
  description:
    'The ingress network stays. Filters: label, and label! for networks without a label. Nothing is asked; without ' +
    '--force nothing is removed.',
  args: noArguments,
  flags: {
    filter: list("Provide filter values (e.g. 'label=KEY=VALUE')", { takes: 'filter' }),
    force: bool('Remove them', { short: 'f' }),
  },
  examples: [
    { what: 'All that nothing is on', command: 'tsswarm network prune --force' },
    {
      what: 'Of one kind',
      command: 'tsswarm network prune --force --filter label=stage=test',
    },
  ],
  run: async (ctx, { flags }) => {
    const filters = parseFilters(flags.filter)
    if (!flags.force) {
      throw usage(
        'this removes all networks that nothing is on ("tsswarm network ls --filter dangling=true" lists them): ' +
          'say so with --force',
      )
    }
    const client = await ctx.connect()
    const { names } = await client.call(ControlService.pruneNetworks, {
      requestId: newId(ctx.random),
      filters,
    })
    if (names.length > 0) ctx.stdout.write(`Deleted Networks:\n${names.join('\n')}\n\n`)
    return 0
  },
})
