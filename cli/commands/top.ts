// tsswarm top
import { defineCommand } from '../command.ts'
import { parsePsOptions } from '../ps-options.ts'
import { processTable } from '../render/processes.ts'
import { openStream } from '../streams.ts'

export const command = defineCommand({
  name: 'top',
  summary: 'Display the running processes of a task',
  description:
    'TARGET is a service (a running task of it is taken), SERVICE.SLOT, or a task. Numbers of processes are those of the host. Of the options of ps, -e, -f, aux, ' +
    '-o COLUMN[=HEAD],… and --no-headers are known; without any it is -ef.',
  args: {
    usage: 'TARGET [ps OPTIONS]',
    min: 1,
    max: 100,
    stopAtFirst: true,
    completes: 'targets',
  },
  flags: {},
  examples: [
    { what: 'What runs in a task', command: 'tsswarm top web.1' },
    { what: 'Some columns', command: 'tsswarm top web.1 -o pid,rss,comm' },
  ],
  run: async (ctx, { args: [reference = '', ...words] }) => {
    const options = parsePsOptions(words)
    const client = await ctx.connect()
    const what = { $case: 'top', value: {} } as const
    const stream = await openStream(ctx, client, { reference, what }, ctx.signal)
    for await (const kind of stream.incoming) {
      if (kind.$case === 'top')
        ctx.stdout.write(processTable(kind.value, options, ctx.clock.wallMs()))
    }
    return 0
  },
})
