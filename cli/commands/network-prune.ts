// tsswarm network prune
import { ControlService, type Filter } from '../../proto/gen/tsswarm/v1/control.ts'
import { newId } from '../../proto/lib/ids.ts'
import { defineCommand, noArguments } from '../command.ts'
import { parseFilters } from '../common.ts'
import { bool, list } from '../flags.ts'
import { usage } from '../parse-args.ts'
import { read } from '../read-flag.ts'
import { parseTimeMs } from '../units.ts'

/** A time or an age as the managers want it. Errors: USAGE. */
function inMs(filter: Filter, nowMs: number): Filter {
  if (filter.key !== 'until') return filter
  const ms = (text: string): number => read('filter', () => parseTimeMs(text, nowMs), text)
  return { key: 'until', values: filter.values.map((text) => String(Math.max(0, ms(text)))) }
}

export const command = defineCommand({
  name: 'network prune',
  summary: 'Remove all networks that nothing is on',
  description:
    'The ingress network stays. Filters: label, label! for networks without a label, and until, a time or an age (24h): made ' +
    'before then. Nothing is asked; without --force nothing is removed.',
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
    { what: 'Made a day ago or before', command: 'tsswarm network prune -f --filter until=24h' },
  ],
  run: async (ctx, { flags }) => {
    const filters = parseFilters(flags.filter).map((filter) => inMs(filter, ctx.clock.wallMs()))
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
