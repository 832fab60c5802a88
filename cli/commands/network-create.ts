// tsswarm network create
import { networkSpecToProto } from '../../proto/codec/network.ts'
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { newId } from '../../proto/lib/ids.ts'
import { defineCommand } from '../command.ts'
import { incomplete } from '../common.ts'
import { absentNetworkFlag, networkFlags, networkSpecOf } from '../network-flags.ts'

export const command = defineCommand({
  name: 'network create',
  summary: 'Create a network',
  description:
    'Overlay networks are of the whole swarm: tasks on any node reach each other on them. A network of the driver bridge is ' +
    'local to each node: tasks reach, and know by name, only those of their own node. Without --subnet one is taken ' +
    'from the pools of "swarm init --default-addr-pool". --ip-range and --gateway belong to the subnet that holds them.',
  args: { usage: 'NETWORK', min: 1, max: 1 },
  flags: networkFlags,
  absent: absentNetworkFlag,
  examples: [
    { what: 'With a subnet of the pools', command: 'tsswarm network create back' },
    {
      what: 'With a subnet of its own',
      command: 'tsswarm network create --subnet 10.30.0.0/16 --ip-range 10.30.8.0/21 back',
    },
    {
      what: 'IPv4 and IPv6',
      command: 'tsswarm network create --subnet 10.31.0.0/24 --subnet fd00:31::/64 back',
    },
    { what: 'For tasks of the same node', command: 'tsswarm network create --driver bridge near' },
    { what: 'Without a way out of it', command: 'tsswarm network create --internal back' },
  ],
  run: async (ctx, { flags, args }) => {
    const [name = ''] = args
    const spec = networkSpecToProto(networkSpecOf(name, flags))
    const client = await ctx.connect()
    const { network } = await client.call(ControlService.createNetwork, {
      requestId: newId(ctx.random),
      spec,
    })
    if (network === undefined) throw incomplete('network')
    ctx.stdout.write(`${network.id}\n`)
    return 0
  },
})
