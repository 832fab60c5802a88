// tsswarm plan drain
import { defineCommand } from '../command.ts'
import { planFlags, printPlan } from '../plan-action.ts'

export const command = defineCommand({
  name: 'plan drain',
  summary: 'Show where the tasks of a node would go if it were drained',
  description:
    'Answered by the scheduler itself; nothing is changed. Exit code 1 when a task would find no node.',
  args: { usage: 'NODE', min: 1, max: 1, completes: 'nodes' },
  flags: planFlags,
  examples: [
    {
      what: 'Is there room for the tasks of a node that is to be rebooted?',
      command: 'tsswarm plan drain worker-1',
    },
  ],
  run: async (ctx, { flags, args }) => {
    const [value = ''] = args
    return await printPlan(ctx, { $case: 'drain', value }, flags.format)
  },
})
