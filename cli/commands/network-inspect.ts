// tsswarm network inspect
import { connectionFromProto, networkFromProto } from '../../proto/codec/network.ts'
import type { Json } from '../../proto/docker/json.ts'
import { type EndpointFacts, membersJson, networkJson } from '../../proto/docker/network-json.ts'
import { ControlService, type NetworkEndpoint } from '../../proto/gen/tsswarm/v1/control.ts'
import { defineCommand } from '../command.ts'
import { forEachArgument, incomplete } from '../common.ts'
import { bool, text } from '../flags.ts'
import { renderInspect } from '../render/inspect-format.ts'

function memberOf({ connection, ...endpoint }: NetworkEndpoint): EndpointFacts {
  return { ...endpoint, connection: connection && connectionFromProto(connection) }
}

export const command = defineCommand({
  name: 'network inspect',
  summary: 'Display detailed information on one or more networks',
  description:
    'Containers are the tasks on it, on all nodes; those with a Connection were connected while they ran. Status.IPAM.Subnets tells how ' +
    'many addresses of each subnet are in use, and how many are left.',
  args: { usage: 'NETWORK [NETWORK...]', min: 1, max: 1_000, completes: 'networks' },
  flags: {
    format: text("Format output: 'json', or a Go template an object", { short: 'f' }),
    verbose: bool('Add services, their tasks and published ports, and nodes', { short: 'v' }),
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
      const { verbose } = flags
      const answer = await client.call(ControlService.getNetwork, { reference, verbose })
      if (answer.network === undefined) throw incomplete('network')
      const { pools, services } = answer
      const endpoints = answer.endpoints.map(memberOf)
      const json = networkJson(networkFromProto(answer.network), pools, endpoints)
      objects.push(verbose ? { ...json, ...membersJson(services, endpoints) } : json)
      if (!answer.cut) return
      const all = `${endpoints.length} of its ${answer.tasks} tasks are shown`
      ctx.stderr.write(`Warning: network "${reference}": ${all}\n`)
    })
    ctx.stdout.write(renderInspect(objects, flags.format))
    return exit
  },
})
