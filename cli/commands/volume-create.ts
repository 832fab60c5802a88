// tsswarm volume create
import { defineCommand } from '../command.ts'
import { list, text } from '../flags.ts'
import { read } from '../read-flag.ts'
import { parseMap } from '../service/assignments.ts'
import { forEachAnswer, volumeNodeFlags } from '../volume-nodes.ts'

export const command = defineCommand({
  name: 'volume create',
  summary: 'Create a volume',
  description:
    'A volume is a folder of one node, here this host. A task that names one which its node has not makes it there, so there is ' +
    'no need to create one first. Options of driver local: type, device and o, as mount has them. They are mounted when a ' +
    'container uses the volume. What exists already with the same options and labels is no error.',
  args: { usage: '[VOLUME]', min: 0, max: 1 },
  flags: {
    driver: text('Volume driver (local)', { short: 'd', shown: 'local' }),
    label: list('Set metadata for a volume'),
    opt: list('Set driver specific options', { short: 'o' }),
    ...volumeNodeFlags,
  },
  examples: [
    { what: 'A volume of this host', command: 'tsswarm volume create --label stage=test data' },
    {
      what: 'A folder of an NFS server, on every node',
      command:
        'tsswarm volume create --all-nodes -o type=nfs -o o=addr=10.0.0.5,rw -o device=:/export shared',
    },
    {
      what: 'In memory, for as long as a container uses it',
      command: 'tsswarm volume create -o type=tmpfs -o device=tmpfs -o o=size=64m scratch',
    },
  ],
  run: async (ctx, { flags, args }) => {
    const value = {
      name: args[0] ?? '',
      driver: flags.driver ?? '',
      options: read('opt', () => parseMap('option', flags.opt)),
      labels: read('label', () => parseMap('label', flags.label)),
    }
    return await forEachAnswer(ctx, flags, { $case: 'create', value }, ({ node, reply }) => {
      const where = node === undefined ? '' : `${node}: `
      for (const { name } of reply.volumes) ctx.stdout.write(`${where}${name}\n`)
    })
  },
})
