// tsswarm network connect
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { newId } from '../../proto/lib/ids.ts'
import { defineCommand } from '../command.ts'
import { untilConnected } from '../connecting.ts'
import { list, text } from '../flags.ts'

const instead: Readonly<Record<string, string>> = {
  'driver-opt':
    'options of an interface are those of a service: tsswarm service update --network-add name=NETWORK,driver-opt=KEY=VALUE',
  'gw-priority':
    'the default route stays with the network it is with; an internal network never has it',
  link: 'use --alias: all tasks of a network know one another by name',
  'link-local-ip': 'an interface has one address of each family of its network',
}

export const command = defineCommand({
  name: 'network connect',
  summary: 'Connect a running task to a network',
  description:
    'The network must be attachable. The task gets an address and names there (its own, and --alias) while it runs on, and ' +
    'loses them with its end: what replaces it is on the networks of its service. TASK is a name such as web.1, or an id.',
  args: {
    usage: 'NETWORK TASK',
    min: 2,
    max: 2,
    completes: 'networks',
    thenCompletes: 'tasks',
  },
  flags: {
    alias: list('More names for the task on this network', { takes: 'name' }),
    ip: text('IPv4 address (e.g., "10.0.1.7"); default: any', { takes: 'ip' }),
    ip6: text('IPv6 address (e.g., "fd00:1::7"); default: any', { takes: 'ip' }),
  },
  absent: (name) => (Object.hasOwn(instead, name) ? instead[name] : undefined),
  examples: [
    { what: 'One more network', command: 'tsswarm network connect back web.1' },
    {
      what: 'With an address and a name',
      command: 'tsswarm network connect --ip 10.0.1.7 --alias debug back web.1',
    },
  ],
  run: async (ctx, { flags, args }) => {
    const [network = '', task = ''] = args
    const client = await ctx.connect()
    const { taskId, networkId } = await client.call(ControlService.connectNetwork, {
      requestId: newId(ctx.random),
      network,
      task,
      addresses: [flags.ip, flags.ip6].flatMap((address) => address ?? []),
      aliases: flags.alias,
    })
    await untilConnected(ctx, client, { taskId, networkId, task, network })
    return 0
  },
})
