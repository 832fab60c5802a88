// A network as `network inspect` shows it: what of its addresses is in use, and by whom.
import { connectionToProto, networkToProto } from '../../proto/codec/network.ts'
import { endpointToProto } from '../../proto/codec/service.ts'
import type { GetNetworkResponse, NetworkEndpoint } from '../../proto/gen/tsswarm/v1/control.ts'
import type { Network, Service, Task, TaskAttachment } from '../../proto/objects/index.ts'
import { parseIpRange } from '../../proto/spec/ip.ts'
import type { PredefinedNetwork } from '../../proto/spec/predefined-networks.ts'
import { taskEndpoint } from '../overlay/network-views.ts'
import type { ReadTx } from '../store/store.ts'
import { connectionOf, tasksOn, useOf } from './network-use.ts'
import { predefinedToProto } from './predefined.ts'
import { taskName } from './views.ts'

const endpointsMax = 1_000

/** O(task specs + what is on it). */
export function networkDetails(
  tx: ReadTx,
  network: Network,
  isVerbose: boolean,
): GetNetworkResponse {
  const { pools, services, tasks } = useOf(tx, network)
  const given = [...tasksOn(tx, network)].filter((task) => hasAddress(task, network))
  const ofService = (task: Task): number => (connectionOf(task, network) === undefined ? 1 : 0)
  const inOrder = given
    .sort((a, b) => ofService(a) - ofService(b) || compare(keyOf(a), keyOf(b)))
    .slice(0, endpointsMax)
  return {
    network: networkToProto(network),
    pools,
    services: services.map((service) => memberOf(service, network, isVerbose)),
    tasks,
    endpoints: inOrder.flatMap((task) => endpointOf(tx, task, network)),
    cut: given.length > endpointsMax,
  }
}

/** Nothing of it is known to the cluster but its name. */
export function predefinedDetails(network: PredefinedNetwork): GetNetworkResponse {
  const none = { pools: [], services: [], tasks: 0, endpoints: [], cut: false }
  return { network: predefinedToProto(network), ...none }
}

function memberOf({ id, spec, endpoint }: Service, network: Network, isVerbose: boolean) {
  const isShown = isVerbose && network.spec.isIngress
  return {
    serviceId: id,
    serviceName: spec.name,
    vips: endpoint.vips.find((vip) => vip.networkId === network.id)?.addresses ?? [],
    ports: isShown ? (endpointToProto(endpoint)?.ports ?? []) : [],
  }
}

function hasAddress({ attachments }: Task, { id }: Network): boolean {
  return attachments.some((one) => one.networkId === id)
}

function endpointOf(tx: ReadTx, task: Task, network: Network): readonly NetworkEndpoint[] {
  const attachment = task.attachments.find(({ networkId }) => networkId === network.id)
  if (attachment === undefined) return []
  const node = task.nodeId === undefined ? undefined : tx.get('nodes', task.nodeId)
  const { connection } = attachment
  return [
    {
      taskId: task.id,
      name: `${taskName(tx, task)}.${task.id}`,
      serviceId: task.serviceId,
      nodeId: task.nodeId ?? '',
      nodeHostname: node?.description?.hostname ?? '',
      nodeAddress: node?.description?.dataPathAddress || (node?.address ?? ''),
      addresses: withPrefixes(attachment, network),
      aliases: connection?.aliases ?? [],
      serving: taskEndpoint(tx, task, { network, service: undefined })?.isServing ?? false,
      connection: connection && connectionToProto(connection),
    },
  ]
}

function withPrefixes({ addresses }: TaskAttachment, { subnets }: Network): readonly string[] {
  const ranges = subnets.flatMap(({ subnet }) => parseIpRange(subnet) ?? [])
  return addresses.map((address) => {
    const bits = parseIpRange(address)?.bits
    const range = ranges.find((one) => one.bits === bits)
    return range === undefined ? address : `${address}/${range.prefix}`
  })
}

/** So that the tasks of a service are together, by their slots. */
function keyOf({ serviceId, slot, id }: Task): string {
  return `${serviceId} ${String(slot).padStart(9, '0')} ${id}`
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
