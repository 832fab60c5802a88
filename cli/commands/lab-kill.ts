// `tsswarm lab kill`
import { defineCommand } from '../command.ts'
import { labAndHost, labDeps, nameFlag } from '../lab/command-deps.ts'
import { endHost } from '../lab/lab.ts'

export const command = defineCommand({
  name: 'lab kill',
  summary: 'Kill the daemon of a host (SIGKILL); its containers go on',
  args: { usage: 'HOST', min: 1, max: 1 },
  flags: { name: nameFlag },
  examples: [{ what: 'Lose the first manager', command: 'tsswarm lab kill m1' }],
  run: async (ctx, { flags, args: [host = ''] }) => {
    const record = labAndHost(flags.name, host)
    await endHost(labDeps(ctx), record, host, 'SIGKILL')
    return 0
  },
})
