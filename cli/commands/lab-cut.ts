// `tsswarm lab cut`
import { defineCommand } from '../command.ts'
import { bool } from '../flags.ts'
import { labAndHost, nameFlag } from '../lab/command-deps.ts'
import { cutHost } from '../lab/topology.ts'

export const command = defineCommand({
  name: 'lab cut',
  summary: 'Cut a host off the network of the lab',
  description:
    'Its link stays up, as with a cable cut further away. With --in it hears nothing but is heard, with --out it is ' +
    'the other way round. `lab heal` ends all cuts of a host.',
  args: { usage: 'HOST', min: 1, max: 1 },
  flags: {
    name: nameFlag,
    in: bool('Cut only what the host receives'),
    out: bool('Cut only what the host sends'),
  },
  examples: [
    { what: 'Cut the first manager off', command: 'tsswarm lab cut m1' },
    { what: 'The others do not hear it any more', command: 'tsswarm lab cut --out m1' },
  ],
  run: async (_ctx, { flags, args: [host = ''] }) => {
    const record = labAndHost(flags.name, host)
    const isOneWay = flags.in !== flags.out
    const direction = isOneWay ? (flags.in ? 'in' : 'out') : 'both'
    await cutHost(record.name, host, direction)
    return 0
  },
})
