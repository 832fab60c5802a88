// `tsswarm lab heal`
import { defineCommand } from '../command.ts'
import { labAndHost, nameFlag } from '../lab/command-deps.ts'
import { healHost } from '../lab/topology.ts'

export const command = defineCommand({
  name: 'lab heal',
  summary: 'Connect a host that was cut off',
  args: { usage: 'HOST', min: 1, max: 1 },
  flags: { name: nameFlag },
  examples: [{ what: 'Connect the first manager again', command: 'tsswarm lab heal m1' }],
  run: async (_ctx, { flags, args: [host = ''] }) => {
    const record = labAndHost(flags.name, host)
    await healHost(record.name, host)
    return 0
  },
})
