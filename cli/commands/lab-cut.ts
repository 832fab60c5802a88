// `tsswarm lab cut`
import { defineCommand } from '../command.ts'
import { labAndHost, nameFlag } from '../lab/command-deps.ts'
import { cutHost } from '../lab/topology.ts'

export const command = defineCommand({
  name: 'lab cut',
  summary: 'Cut a host off the network of the lab',
  args: { usage: 'HOST', min: 1, max: 1 },
  flags: { name: nameFlag },
  examples: [{ what: 'Cut the first manager off', command: 'tsswarm lab cut m1' }],
  run: async (_ctx, { flags, args: [host = ''] }) => {
    const record = labAndHost(flags.name, host)
    await cutHost(record.name, host)
    return 0
  },
})
