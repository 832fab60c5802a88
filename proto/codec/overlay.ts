// What a node knows of overlay networks, and its changes <-> protobuf.
import {
  OverlayEndpointMode,
  type OverlayIngressPort,
  type OverlayNetwork as OverlayNetworkProto,
  type OverlayNodePath,
  type OverlayNodePathsChange,
  OverlayProtocol,
  type OverlayService,
  type OverlayTarget,
  type OverlayTask,
  type OverlayView,
  type OverlayViewChange,
} from '../gen/tsswarm/v1/overlay.ts'
import { networkId, nodeId, serviceId, taskId } from '../objects/ids.ts'
import type {
  EndpointMode,
  EndpointProtocol,
  IngressPort,
  NetworkView,
  NodePath,
  OverlayNetwork,
  ServiceEndpoint,
  TaskEndpoint,
  TaskTarget,
} from '../objects/overlay.ts'
import type { NetworkViewChange, NodePathsChange } from '../objects/overlay-change.ts'
import { defaultDataPathPort } from '../spec/cluster-spec.ts'
import { enumCodec, required } from './required.ts'

const mode = enumCodec<EndpointMode, OverlayEndpointMode>({
  vip: OverlayEndpointMode.VIP,
  dnsrr: OverlayEndpointMode.DNSRR,
})

const protocol = enumCodec<EndpointProtocol, OverlayProtocol>({
  tcp: OverlayProtocol.TCP,
  udp: OverlayProtocol.UDP,
  sctp: OverlayProtocol.SCTP,
})

export function networkViewToProto(view: NetworkView): OverlayView {
  return {
    network: networkToProto(view.network),
    services: view.services.map(serviceToProto),
    tasks: view.tasks.map(taskToProto),
  }
}

/** Errors: INVALID_ARGUMENT for missing fields and unknown enum values. */
export function networkViewFromProto(proto: OverlayView): NetworkView {
  return {
    network: networkFromProto(required(proto.network, 'OverlayView', 'network')),
    services: proto.services.map(serviceFromProto),
    tasks: proto.tasks.map(taskFromProto),
  }
}

export function networkViewChangeToProto(change: NetworkViewChange): OverlayViewChange {
  return {
    network: change.network && networkToProto(change.network),
    services: change.services.map(serviceToProto),
    removedServiceIds: change.removedServices,
    tasks: change.tasks.map(taskToProto),
    removedTaskIds: change.removedTasks,
  }
}

/** Errors: INVALID_ARGUMENT. */
export function networkViewChangeFromProto(proto: OverlayViewChange): NetworkViewChange {
  return {
    network: proto.network && networkFromProto(proto.network),
    services: proto.services.map(serviceFromProto),
    removedServices: proto.removedServiceIds.map(serviceId),
    tasks: proto.tasks.map(taskFromProto),
    removedTasks: proto.removedTaskIds.map(taskId),
  }
}

export function nodePathToProto({ isDown = false, ...path }: NodePath): OverlayNodePath {
  return { ...path, down: isDown }
}

/** Errors: INVALID_ARGUMENT. */
export function nodePathFromProto({ down, ...proto }: OverlayNodePath): NodePath {
  const id = required(proto.nodeId, 'OverlayNodePath', 'node_id')
  const dataPathPort = proto.dataPathPort === 0 ? defaultDataPathPort : proto.dataPathPort
  return { ...proto, nodeId: nodeId(id), dataPathPort, ...(down ? { isDown: true } : {}) }
}

export function nodePathsChangeToProto(change: NodePathsChange): OverlayNodePathsChange {
  return { paths: change.paths.map(nodePathToProto), removedNodeIds: change.removedNodes }
}

/** Errors: INVALID_ARGUMENT. */
export function nodePathsChangeFromProto(proto: OverlayNodePathsChange): NodePathsChange {
  return {
    paths: proto.paths.map(nodePathFromProto),
    removedNodes: proto.removedNodeIds.map(nodeId),
  }
}

function networkToProto({ isInternal, isIngress, isLocal = false, ...network }: OverlayNetwork) {
  const flags = { internal: isInternal, ingress: isIngress, local: isLocal }
  return { ...network, ...flags } satisfies OverlayNetworkProto
}

function networkFromProto(network: OverlayNetworkProto): OverlayNetwork {
  const { internal: isInternal, ingress: isIngress, local, ...proto } = network
  const id = networkId(required(proto.id, 'OverlayNetwork', 'id'))
  return { ...proto, id, isInternal, isIngress, ...(local ? { isLocal: true } : {}) }
}

function serviceToProto(service: ServiceEndpoint): OverlayService {
  return { ...service, mode: mode.toProto(service.mode), ports: service.ports.map(portToProto) }
}

function serviceFromProto(proto: OverlayService): ServiceEndpoint {
  return {
    ...proto,
    serviceId: serviceId(required(proto.serviceId, 'OverlayService', 'service_id')),
    mode: required(mode.fromProto(proto.mode), 'OverlayService', `mode (${proto.mode})`),
    ports: proto.ports.map(portFromProto),
  }
}

function portToProto(published: IngressPort): OverlayIngressPort {
  const { isMasqueraded, isLocalFirst, isFirewallFirst, ...port } = published
  return {
    ...port,
    protocol: protocol.toProto(port.protocol),
    masqueraded: isMasqueraded,
    localFirst: isLocalFirst,
    firewallFirst: isFirewallFirst,
  }
}

function portFromProto(published: OverlayIngressPort): IngressPort {
  const { masqueraded, localFirst, firewallFirst, ...proto } = published
  const field = `protocol (${proto.protocol})`
  return {
    ...proto,
    protocol: required(protocol.fromProto(proto.protocol), 'OverlayIngressPort', field),
    isMasqueraded: masqueraded,
    isLocalFirst: localFirst,
    isFirewallFirst: firewallFirst,
  }
}

function taskToProto({ isServing, targets = [], ...task }: TaskEndpoint): OverlayTask {
  return { ...task, serving: isServing, targets: targets.map(targetToProto) }
}

function targetToProto(target: TaskTarget): OverlayTarget {
  return { ...target, protocol: protocol.toProto(target.protocol) }
}

function targetFromProto(proto: OverlayTarget): TaskTarget {
  const field = `protocol (${proto.protocol})`
  return {
    ...proto,
    protocol: required(protocol.fromProto(proto.protocol), 'OverlayTarget', field),
  }
}

function taskFromProto({ serving, targets, ...proto }: OverlayTask): TaskEndpoint {
  return {
    ...proto,
    taskId: taskId(required(proto.taskId, 'OverlayTask', 'task_id')),
    serviceId: serviceId(proto.serviceId),
    nodeId: nodeId(required(proto.nodeId, 'OverlayTask', 'node_id')),
    isServing: serving,
    ...(targets.length === 0 ? {} : { targets: targets.map(targetFromProto) }),
  }
}
