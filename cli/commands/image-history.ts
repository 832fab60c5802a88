// tsswarm image history
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { defineCommand } from '../command.ts'
import { formatHelp } from '../common.ts'
import { bool, text, triBool } from '../flags.ts'
import { absentImageFlag } from '../image-flags.ts'
import { historyRows, imageHistoryView } from '../render/image-history.ts'
import { renderList } from '../render/list-format.ts'

export const command = defineCommand({
  name: 'image history',
  summary: 'Show the history of an image',
  description: 'The newest step first. Steps that changed no file have size 0.',
  args: { usage: 'IMAGE', min: 1, max: 1, completes: 'images' },
  flags: {
    format: text(formatHelp),
    human: triBool('Print sizes and dates in human readable format', { short: 'H', shown: 'true' }),
    'no-trunc': bool("Don't truncate output"),
    quiet: bool('Only show image IDs', { short: 'q' }),
  },
  absent: absentImageFlag,
  examples: [
    { what: 'How it was built', command: 'tsswarm image history --no-trunc nginx:1.27' },
    { what: 'In bytes', command: "tsswarm image history -H=false --format '{{.Size}}' nginx:1.27" },
  ],
  run: async (ctx, { flags, args }) => {
    const [reference = ''] = args
    const client = await ctx.connect()
    const image = await client.call(DaemonService.inspectImage, { reference })
    const options = {
      nowMs: ctx.clock.wallMs(),
      truncate: !flags['no-trunc'],
      human: flags.human ?? true,
    }
    ctx.stdout.write(
      renderList(imageHistoryView(options.human), historyRows(image, options), flags),
    )
    return 0
  },
})
