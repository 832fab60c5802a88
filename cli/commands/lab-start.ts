// `tsswarm lab start`
import { defineCommand } from '../command.ts'
import { labAndHost, labDeps, nameFlag, waitFlag } from '../lab/command-deps.ts'
import { startHost } from '../lab/lab.ts'

export const command = defineCommand({
  name: 'lab start',
  summary: 'Start the daemon of a host again',
  args: { usage: 'HOST', min: 1, max: 1 },
  flags: { name: nameFlag, wait: waitFlag },
  examples: [{ what: 'Start the daemon of the first manager', command: 'tsswarm lab start m1' }],
  run: async (ctx, { flags, args: [host = ''] }) => {
    const record = labAndHost(flags.name, host)
    await startHost(labDeps(ctx, flags), record, host)
    return 0
  },
})
