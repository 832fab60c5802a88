// What nodes are told of overlay networks, made from the store: whole, of one network, or as what a commit changed. Reads only.
import {
  canonicalBind,
  clusterNetworks,
  isServing,
  isTerminal,
  type Network,
  type NetworkId,
  type NetworkView,
  type Node,
  type NodePath,
  networkId,
  type OverlayNetwork,
  type Service,
  type ServiceEndpoint,
  type SpecHash,
  type Task,
  type TaskEndpoint,
} from '../../proto/objects/index.ts'
import type { IngressPort } from '../../proto/objects/overlay.ts'
import { defaultDataPathPort } from '../../proto/spec/cluster-spec.ts'
import { isLocalNetwork, mtuOf } from '../../proto/spec/network-spec.ts'
import type { TaskSpec } from '../../proto/spec/service-spec.ts'
import type { ReadTx } from '../store/store.ts'
import { taskTargets } from './task-targets.ts'

/** All networks, in order of creation. O(networks + task specs + what is on networks). */
export function networkViews(tx: ReadTx): readonly NetworkView[] {
  const networks = [...tx.all('networks')]
  const specs = specsByNetwork(tx, networks)
  return networks.map((network) => viewOf(tx, network, specs.get(network.id) ?? []))
}

/** One network; undefined: it is not there. O(task specs + what is on it). */
export function networkView(tx: ReadTx, id: NetworkId): NetworkView | undefined {
  const network = tx.get('networks', id)
  if (network === undefined) return undefined
  return viewOf(tx, network, specsByNetwork(tx, [network]).get(id) ?? [])
}

/** Of the nodes that have one, in order of creation. O(nodes). */
export function nodePaths(tx: ReadTx): readonly NodePath[] {
  const paths: NodePath[] = []
  const port = dataPathPort(tx)
  for (const node of tx.all('nodes')) {
    const path = nodePath(node, port)
    if (path !== undefined) paths.push(path)
  }
  return paths
}

/** Undefined while the node has none, or no address is known of it. */
export function nodePath(
  { id, address, description, path, state }: Node,
  port: number,
): NodePath | undefined {
  const dataPathAddress = description?.dataPathAddress || address
  if (path === undefined || dataPathAddress === '') return undefined
  const isDown = state === 'down'
  const where = { nodeId: id, dataPathAddress, dataPathPort: port, ...path }
  return isDown ? { ...where, isDown } : where
}

/** Set when the cluster was made, and the same for all nodes. */
export function dataPathPort(tx: ReadTx): number {
  for (const { spec } of tx.all('cluster')) return spec.dataPathPort
  return defaultDataPathPort
}

export function overlayNetwork({ id, spec, vni, subnets }: Network): OverlayNetwork {
  return {
    id,
    name: spec.name,
    vni,
    subnets: subnets.map(({ subnet }) => subnet),
    mtu: mtuOf(spec),
    isInternal: spec.isInternal,
    isIngress: spec.isIngress,
    ...(isLocalNetwork(spec) ? { isLocal: true } : {}),
  }
}

/** The networks that tasks of the spec are on. */
export function networksOfSpec(spec: TaskSpec, ingress: NetworkId | undefined): Set<NetworkId> {
  const ids = new Set(clusterNetworks(spec).map(({ target }) => networkId(target)))
  const usesIngress = spec.ports.some(({ mode }) => mode === 'ingress')
  if (ingress !== undefined && usesIngress) ids.add(ingress)
  return ids
}

/** The service on that network; undefined: it is not on it. */
export function serviceEndpoint(
  { id, spec, endpoint }: Service,
  { id: network, spec: { isIngress } }: Network,
): ServiceEndpoint | undefined {
  if (!networksOfSpec(spec.task, isIngress ? network : undefined).has(network)) return undefined
  const uses = spec.task.networks.filter(({ target }) => target === network)
  return {
    serviceId: id,
    name: spec.name,
    aliases: uses.flatMap(({ aliases }) => aliases),
    mode: spec.endpointMode,
    vips: endpoint.vips.find((vip) => vip.networkId === network)?.addresses ?? [],
    ports: isIngress ? ingressPorts(spec.task, endpoint) : [],
  }
}

/**
 * The task on that network; undefined: it is not on it, has no node yet, or has ended. `service`: its own, as far as there is
 * one.
 */
export function taskEndpoint(
  tx: ReadTx,
  task: Task,
  { network, service }: { readonly network: Network; readonly service: Service | undefined },
): TaskEndpoint | undefined {
  const endpoint = endpointOf(task, network.id)
  if (endpoint === undefined || service === undefined || !network.spec.isIngress) return endpoint
  if (task.specHash === service.specHash) return endpoint
  const own = tx.get('taskSpecs', task.specHash)?.spec.ports
  const ports = ingressPorts(service.spec.task, service.endpoint)
  const targets = own === undefined ? [] : taskTargets(own, ports)
  return targets.length === 0 ? endpoint : { ...endpoint, targets }
}

/** Without what its service says. */
function endpointOf(task: Task, network: NetworkId): TaskEndpoint | undefined {
  const { nodeId, state } = task
  if (nodeId === undefined || isTerminal(state)) return undefined
  const attachment = task.attachments.find((one) => one.networkId === network)
  if (attachment === undefined || attachment.addresses.length === 0) return undefined
  const { connection } = attachment
  const isThere = connection === undefined || connection.phase === 'connected'
  return {
    taskId: task.id,
    serviceId: task.serviceId,
    nodeId,
    slot: task.slot,
    addresses: attachment.addresses,
    // Those of a spec's networks are names of the service.
    aliases: connection?.aliases ?? [],
    isServing: isThere && isServing(task),
  }
}

/** Tasks that were connected to that network while they ran. O(tasks that were connected to any). */
export function* connectedTasks(tx: ReadTx, network: NetworkId): Iterable<Task> {
  for (const task of tx.find('tasks', 'byConnected', 'connected')) {
    const isOn = task.attachments.some(
      ({ networkId: id, connection }) => connection !== undefined && id === network,
    )
    if (isOn) yield task
  }
}

function viewOf(tx: ReadTx, network: Network, specs: readonly SpecHash[]): NetworkView {
  const services: ServiceEndpoint[] = []
  const tasks: TaskEndpoint[] = []
  const seen = (task: Task): TaskEndpoint | undefined =>
    taskEndpoint(tx, task, { network, service: tx.get('services', task.serviceId) })
  for (const task of connectedTasks(tx, network.id)) {
    const endpoint = seen(task)
    if (endpoint !== undefined) tasks.push(endpoint)
  }
  for (const hash of specs) {
    for (const service of tx.find('services', 'bySpec', hash)) {
      const endpoint = serviceEndpoint(service, network)
      if (endpoint !== undefined) services.push(endpoint)
    }
    for (const task of tx.find('tasks', 'bySpec', hash)) {
      const endpoint = isOfSpec(task, network.id) ? seen(task) : undefined
      if (endpoint !== undefined) tasks.push(endpoint)
    }
  }
  return {
    network: overlayNetwork(network),
    services: services.sort((a, b) => compare(a.serviceId, b.serviceId)),
    tasks: tasks.sort((a, b) => compare(a.taskId, b.taskId)),
  }
}

/** Not one that was connected before its service was on the network. */
function isOfSpec({ attachments }: Task, network: NetworkId): boolean {
  return attachments.some(
    ({ networkId: id, connection }) => connection === undefined && id === network,
  )
}

/** Task specs are few beside tasks, and by them what is on a network is found without an index of its own. */
function specsByNetwork(
  tx: ReadTx,
  networks: readonly Network[],
): ReadonlyMap<NetworkId, readonly SpecHash[]> {
  const specs = new Map<NetworkId, SpecHash[]>(networks.map(({ id }) => [id, []]))
  const ingress = networks.find(({ spec }) => spec.isIngress)?.id
  for (const { hash, spec } of tx.all('taskSpecs')) {
    if (spec.networks.length === 0 && spec.ports.length === 0) continue
    for (const id of networksOfSpec(spec, ingress)) specs.get(id)?.push(hash)
  }
  return specs
}

function ingressPorts({ ports }: TaskSpec, given: Service['endpoint']): readonly IngressPort[] {
  const wished = ports.filter(({ mode }) => mode === 'ingress')
  return wished.flatMap((wish, i) => {
    const { bindAddress, sources, isMasqueraded, isLocalFirst, isFirewallFirst } = wish
    const port = given.ports[i]
    return port === undefined
      ? []
      : [
          {
            ...port,
            bindAddress: canonicalBind(bindAddress),
            ...{ sources, isMasqueraded, isLocalFirst, isFirewallFirst },
          },
        ]
  })
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
