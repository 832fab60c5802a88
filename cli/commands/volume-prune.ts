// tsswarm volume prune
import type { Filter } from '../../proto/gen/tsswarm/v1/control.ts'
import { defineCommand, noArguments } from '../command.ts'
import { parseFilters } from '../common.ts'
import { bool, list } from '../flags.ts'
import { usage } from '../parse-args.ts'
import { binarySize } from '../render/human.ts'
import { forEachAnswer, volumeNodeFlags } from '../volume-nodes.ts'

interface Wanted {
  readonly all: boolean
  readonly labels: readonly string[]
  readonly otherLabels: readonly string[]
}

/** Errors: USAGE. */
function wanted(filters: readonly Filter[], all: boolean): Wanted {
  const of = (key: string): readonly string[] =>
    filters.filter((filter) => filter.key === key).flatMap(({ values }) => values)
  const foreign = filters.find(({ key }) => !['label', 'label!', 'all'].includes(key))
  if (foreign !== undefined) {
    throw usage(`invalid filter '${foreign.key}': the filters are label, label! and all`)
  }
  const isAll = all || of('all').some((value) => value === 'true' || value === '1')
  return { all: isAll, labels: of('label'), otherLabels: of('label!') }
}

export const command = defineCommand({
  name: 'volume prune',
  summary: 'Remove volumes that nothing uses',
  description:
    'Those without a name; with --all named ones too, and with them data that no container uses now but a service may want ' +
    'again. Filters: label, and label! for volumes without a label. Nothing is asked; without --force nothing is removed.',
  args: noArguments,
  flags: {
    all: bool('Remove all unused volumes, not just anonymous ones', { short: 'a' }),
    filter: list("Provide filter values (e.g. 'label=KEY=VALUE')", { takes: 'filter' }),
    force: bool('Remove them', { short: 'f' }),
    ...volumeNodeFlags,
  },
  examples: [
    { what: 'Those without a name', command: 'tsswarm volume prune --force' },
    {
      what: 'All of a kind, on every node',
      command: 'tsswarm volume prune --force --all --all-nodes --filter label=stage=test',
    },
  ],
  run: async (ctx, { flags }) => {
    const value = wanted(parseFilters(flags.filter), flags.all)
    if (!flags.force) {
      throw usage(
        'this removes volumes with all they hold ("tsswarm volume ls --filter dangling=true" lists those that nothing uses): ' +
          'say so with --force',
      )
    }
    const names: string[] = []
    let bytes = 0
    const exit = await forEachAnswer(ctx, flags, { $case: 'prune', value }, ({ node, reply }) => {
      for (const { name } of reply.volumes)
        names.push(node === undefined ? name : `${node}: ${name}`)
      bytes += reply.reclaimedBytes
    })
    if (names.length > 0) ctx.stdout.write(`Deleted Volumes:\n${names.join('\n')}\n\n`)
    ctx.stdout.write(`Total reclaimed space: ${binarySize(bytes)}\n`)
    return exit
  },
})
