// tsswarm image prune
import type { Filter } from '../../proto/gen/tsswarm/v1/control.ts'
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import type { PruneImagesRequest } from '../../proto/gen/tsswarm/v1/image.ts'
import { defineCommand, noArguments } from '../command.ts'
import { parseFilters } from '../common.ts'
import { bool, list } from '../flags.ts'
import { timeOf } from '../image-flags.ts'
import { usage } from '../parse-args.ts'
import { decimalSize } from '../render/human.ts'

const pruneMs = 600_000

/** Errors: USAGE. */
function wish(filters: readonly Filter[], all: boolean, nowMs: number): PruneImagesRequest {
  const of = (key: string): readonly string[] =>
    filters.filter((filter) => filter.key === key).flatMap(({ values }) => values)
  const foreign = filters.find(({ key }) => !['until', 'label', 'label!', 'dangling'].includes(key))
  if (foreign !== undefined) {
    throw usage(
      `invalid filter '${foreign.key}': the filters are until, label, label! and dangling`,
    )
  }
  const [until, ...more] = of('until')
  if (more.length > 0) throw usage('more than one until filter specified')
  const isAll = all || of('dangling').some((value) => value === 'false' || value === '0')
  return {
    all: isAll,
    untilMs: until === undefined ? 0 : timeOf(until, nowMs),
    labels: of('label'),
    otherLabels: of('label!'),
  }
}

export const command = defineCommand({
  name: 'image prune',
  summary: 'Remove unused images of this host',
  description:
    'Those without a name; with --all also those with a name that no container uses, running or ended. Filters: until (created ' +
    'before), label, and label! for images without a label. Nothing is asked; without --force nothing is removed.',
  args: noArguments,
  flags: {
    all: bool('Remove all unused images, not just dangling ones', { short: 'a' }),
    filter: list("Provide filter values (e.g. 'until=24h')", { takes: 'filter' }),
    force: bool('Remove them', { short: 'f' }),
  },
  examples: [
    { what: 'What lost its name to a newer one', command: 'tsswarm image prune -f' },
    {
      what: 'All that nothing uses, older than ten days',
      command: 'tsswarm image prune -af --filter until=240h',
    },
  ],
  run: async (ctx, { flags }) => {
    const request = wish(parseFilters(flags.filter), flags.all, ctx.clock.wallMs())
    if (!flags.force) {
      const what = request.all ? 'all images that no container uses' : 'all images without a name'
      throw usage(`this removes ${what}: say so with --force`)
    }
    const client = await ctx.connect()
    const { untagged, deleted, reclaimedBytes } = await client.call(
      DaemonService.pruneImages,
      request,
      { timeoutMs: pruneMs, retry: false },
    )
    const lines = [
      ...untagged.map((name) => `untagged: ${name}`),
      ...deleted.map((id) => `deleted: ${id}`),
    ]
    if (lines.length > 0) ctx.stdout.write(`Deleted Images:\n${lines.join('\n')}\n\n`)
    ctx.stdout.write(`Total reclaimed space: ${decimalSize(reclaimedBytes)}\n`)
    return 0
  },
})
