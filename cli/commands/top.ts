// tsswarm top
import { defineCommand } from '../command.ts'
import { processTable } from '../render/processes.ts'
import { openStream } from '../streams.ts'

export const command = defineCommand({
  name: 'top',
  summary: 'Display the running processes of a task',
  description:
    'TARGET is a service (a running task of it is taken), SERVICE.SLOT, or a task. Numbers of processes are those of the host.',
  args: { usage: 'TARGET', min: 1, max: 1, completes: 'targets' },
  flags: {},
  examples: [{ what: 'What runs in a task', command: 'tsswarm top web.1' }],
  run: async (ctx, { args: [reference = ''] }) => {
    const client = await ctx.connect()
    const what = { $case: 'top', value: {} } as const
    const stream = await openStream(ctx, client, { reference, what }, ctx.signal)
    for await (const kind of stream.incoming) {
      if (kind.$case === 'top')
        ctx.stdout.write(processTable(kind.value.processes, ctx.clock.wallMs()))
    }
    return 0
  },
})
