// tsswarm image ls
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { defineCommand } from '../command.ts'
import { formatHelp } from '../common.ts'
import { bool, text } from '../flags.ts'
import { imageListView, imageRows } from '../render/image-list.ts'
import { renderList } from '../render/list-format.ts'

export const command = defineCommand({
  name: 'image ls',
  summary: 'List images of this host',
  args: { usage: '[REPOSITORY[:TAG]]', min: 0, max: 1, completes: 'images' },
  flags: {
    digests: bool('Show digests'),
    format: text(formatHelp),
    'no-trunc': bool("Don't truncate output"),
    quiet: bool('Only show image IDs', { short: 'q' }),
  },
  examples: [
    { what: 'All images', command: 'tsswarm image ls' },
    { what: 'Names and tags', command: "tsswarm image ls --format '{{.Repository}}:{{.Tag}}'" },
  ],
  run: async (ctx, { flags, args }) => {
    const client = await ctx.connect()
    const { images } = await client.call(DaemonService.listImages, { reference: args[0] ?? '' })
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
