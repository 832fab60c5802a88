// tsswarm network inspect
import { networkFromProto } from '../../proto/codec/network.ts'
import type { Json } from '../../proto/docker/json.ts'
import { membersJson, networkJson } from '../../proto/docker/network-json.ts'
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { defineCommand } from '../command.ts'
import { forEachArgument, incomplete } from '../common.ts'
import { bool, text } from '../flags.ts'
import { renderInspect } from '../render/inspect-format.ts'

export const command = defineCommand({
  name: 'network inspect',
  summary: 'Display detailed information on one or more networks',
  description:
    'Status.IPAM.Subnets tells how many addresses of each subnet are in use, and how many are left.',
  args: { usage: 'NETWORK [NETWORK...]', min: 1, max: 1_000, completes: 'networks' },
  flags: {
    format: text("Format output: 'json', or a Go template an object", { short: 'f' }),
    verbose: bool('Add the services that are on it', { short: 'v' }),
  },
  examples: [
    { what: 'A network', command: 'tsswarm network inspect back' },
    {
      what: 'How full its subnets are',
      command: "tsswarm network inspect -f '{{json .Status.IPAM.Subnets}}' back",
    },
  ],
  run: async (ctx, { flags, args }) => {
    const client = await ctx.connect()
    const objects: Json[] = []
    const exit = await forEachArgument(ctx, args, async (reference) => {
      const answer = await client.call(ControlService.getNetwork, { reference })
      if (answer.network === undefined) throw incomplete('network')
      const json = networkJson(networkFromProto(answer.network), answer.pools)
      objects.push(flags.verbose ? { ...json, Services: membersJson(answer.services) } : json)
    })
    ctx.stdout.write(renderInspect(objects, flags.format))
    return exit
  },
})
