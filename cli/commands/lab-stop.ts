// `tsswarm lab stop`
import { defineCommand } from '../command.ts'
import { labAndHost, labDeps, nameFlag } from '../lab/command-deps.ts'
import { endHost } from '../lab/lab.ts'

export const command = defineCommand({
  name: 'lab stop',
  summary: 'Stop the daemon of a host in order; its containers go on',
  args: { usage: 'HOST', min: 1, max: 1 },
  flags: { name: nameFlag },
  examples: [{ what: 'Stop the daemon of the first manager', command: 'tsswarm lab stop m1' }],
  run: async (ctx, { flags, args: [host = ''] }) => {
    const record = labAndHost(flags.name, host)
    await endHost(labDeps(ctx), record, host, 'SIGTERM')
    return 0
  },
})
