// tsswarm service inspect
import { serviceFromProto } from '../../proto/codec/service.ts'
import type { Json } from '../../proto/docker/json.ts'
import { serviceJson } from '../../proto/docker/service-json.ts'
import type { Service } from '../../proto/objects/index.ts'
import type { Client } from '../client.ts'
import { defineCommand } from '../command.ts'
import {
  checkInspectFlags,
  forEachArgument,
  getService,
  incomplete,
  inspectFlags,
} from '../common.ts'
import { listNetworks } from '../lists.ts'
import { renderInspect } from '../render/inspect-format.ts'
import { prettyService } from '../render/service-pretty.ts'

/** Of what the service is on; a network that is gone meanwhile keeps its id. */
async function networkNames(
  client: Client,
  { spec }: Service,
): Promise<ReadonlyMap<string, string>> {
  if (spec.task.networks.length === 0) return new Map()
  const networks = await listNetworks(client)
  return new Map(networks.map((network) => [network.id, network.spec?.name ?? network.id]))
}

/** Of the networks that it has virtual addresses on. */
async function subnetsOf(
  client: Client,
  { endpoint }: Service,
): Promise<ReadonlyMap<string, readonly string[]>> {
  if (endpoint.vips.length === 0) return new Map()
  const networks = await listNetworks(client)
  return new Map(networks.map(({ id, subnets }) => [id, subnets.map(({ subnet }) => subnet)]))
}

export const command = defineCommand({
  name: 'service inspect',
  summary: 'Display detailed information on one or more services',
  args: { usage: 'SERVICE [SERVICE...]', min: 1, max: 1_000, completes: 'services' },
  flags: inspectFlags,
  examples: [
    { what: 'For people', command: 'tsswarm service inspect --pretty web' },
    {
      what: 'One field',
      command: "tsswarm service inspect --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}' web",
    },
    {
      what: 'Part of it as JSON',
      command: "tsswarm service inspect -f '{{json .Spec.Labels}}' web",
    },
  ],
  run: async (ctx, { flags, args }) => {
    checkInspectFlags(flags)
    const client = await ctx.connect()
    const objects: Json[] = []
    const pretty: string[] = []
    const exit = await forEachArgument(ctx, args, async (reference) => {
      const view = await getService(client, reference)
      if (view.service === undefined) throw incomplete('service')
      const service = serviceFromProto(view.service)
      if (flags.pretty) pretty.push(prettyService(service, await networkNames(client, service)))
      else objects.push(serviceJson(service, await subnetsOf(client, service)))
    })
    ctx.stdout.write(flags.pretty ? pretty.join('\n') : renderInspect(objects, flags.format))
    return exit
  },
})
