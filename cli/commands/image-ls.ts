// tsswarm image ls
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { defineCommand } from '../command.ts'
import { formatHelp } from '../common.ts'
import { bool, list, text } from '../flags.ts'
import { absentImageFlag, imageFilters } from '../image-flags.ts'
import { imageListView, imageRows } from '../render/image-list.ts'
import { renderList } from '../render/list-format.ts'

export const command = defineCommand({
  name: 'image ls',
  summary: 'List images of this host',
  description:
    'Filters: dangling, label, reference (a pattern), before and since (an image), until (a time or an age). All must hold; of several of one kind but labels one.',
  args: { usage: '[REPOSITORY[:TAG]]', min: 0, max: 1, completes: 'images' },
  flags: {
    all: bool('Show all images (builds keep their steps apart: there are no others)', {
      short: 'a',
    }),
    digests: bool('Show digests'),
    filter: list("Filter output (e.g. 'dangling=true', 'reference=web*:1', 'label=KEY=VALUE')", {
      short: 'f',
      takes: 'filter',
    }),
    format: text(formatHelp),
    'no-trunc': bool("Don't truncate output"),
    quiet: bool('Only show image IDs', { short: 'q' }),
  },
  absent: absentImageFlag,
  examples: [
    { what: 'All images', command: 'tsswarm image ls' },
    { what: 'Names and tags', command: "tsswarm image ls --format '{{.Repository}}:{{.Tag}}'" },
    { what: 'What lost its name to a newer one', command: 'tsswarm image ls -f dangling=true' },
  ],
  run: async (ctx, { flags, args }) => {
    const filters = imageFilters(flags.filter, ctx.clock.wallMs())
    const client = await ctx.connect()
    const request = { reference: args[0] ?? '', filters }
    const { images } = await client.call(DaemonService.listImages, request)
    const rows = imageRows(images, {
      nowMs: ctx.clock.wallMs(),
      truncate: !flags['no-trunc'],
    })
    const view = flags.digests
      ? { ...imageListView, table: imageListView.table.replace('{{.ID}}', '{{.Digest}}\t{{.ID}}') }
      : imageListView
    ctx.stdout.write(renderList(view, rows, flags))
    return 0
  },
})
