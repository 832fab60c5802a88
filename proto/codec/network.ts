// Network, NetworkSpec and addresses on networks <-> protobuf.
import type { ConnectionStatus as ConnectionStatusProto } from '../gen/tsswarm/v1/dispatcher.ts'
import type {
  Connection as ConnectionProto,
  NetworkAddresses as NetworkAddressesProto,
  Network as NetworkProto,
  NetworkSpec as NetworkSpecProto,
  TaskAttachment as TaskAttachmentProto,
} from '../gen/tsswarm/v1/objects.ts'
import { networkId } from '../objects/ids.ts'
import type {
  Connection,
  ConnectionPhase,
  ConnectionStatus,
  Network,
  NetworkAddresses,
  TaskAttachment,
} from '../objects/network.ts'
import { type NetworkSpec, networkSpec } from '../spec/network-spec.ts'
import { parseSpec } from '../spec/parse-spec.ts'
import { required } from './required.ts'

export function networkSpecToProto(spec: NetworkSpec): NetworkSpecProto {
  const { isInternal: internal, isAttachable: attachable, isIngress: ingress, ...rest } = spec
  return { ...rest, internal, attachable, ingress }
}

/** Of a spec that was checked before; values are not checked again. */
export function networkSpecFromProto(proto: NetworkSpecProto): NetworkSpec {
  const { internal: isInternal, attachable: isAttachable, ingress: isIngress, ...rest } = proto
  return { ...rest, driver: proto.driver || 'overlay', isInternal, isAttachable, isIngress }
}

/**
 * Of a spec that a user wrote, with defaults filled in.
 * Errors: INVALID_ARGUMENT naming network, field, value and what would be right.
 */
export function parseNetworkSpec(proto: NetworkSpecProto | undefined): NetworkSpec {
  const given = networkSpecFromProto(required(proto, 'network', 'spec'))
  return parseSpec(networkSpec, given, `network "${given.name}"`)
}

export function networkToProto(network: Network): NetworkProto {
  return {
    id: network.id,
    meta: {
      version: network.version,
      createdAtMs: network.createdAtMs,
      updatedAtMs: network.updatedAtMs,
    },
    spec: networkSpecToProto(network.spec),
    vni: network.vni,
    subnets: network.subnets,
  }
}

/** Errors: INVALID_ARGUMENT for missing fields. */
export function networkFromProto(proto: NetworkProto): Network {
  const meta = required(proto.meta, 'Network', 'meta')
  return {
    id: networkId(required(proto.id, 'Network', 'id')),
    version: meta.version,
    createdAtMs: meta.createdAtMs,
    updatedAtMs: meta.updatedAtMs,
    spec: networkSpecFromProto(required(proto.spec, 'Network', 'spec')),
    vni: proto.vni,
    subnets: proto.subnets,
  }
}

/** `intern` as for tasks. Errors: INVALID_ARGUMENT for missing fields. */
export function networkAddressesFromProto(
  proto: NetworkAddressesProto,
  intern: (text: string) => string = (text) => text,
): NetworkAddresses {
  const id = required(proto.networkId, 'NetworkAddresses', 'network_id')
  return { networkId: networkId(intern(id)), addresses: proto.addresses }
}

export function taskAttachmentToProto(attachment: TaskAttachment): TaskAttachmentProto {
  const { connection, ...given } = attachment
  return { ...given, connection: connection && connectionToProto(connection) }
}

/** `intern` as for tasks. Errors: INVALID_ARGUMENT for missing fields. */
export function taskAttachmentFromProto(
  proto: TaskAttachmentProto,
  intern?: (text: string) => string,
): TaskAttachment {
  const given = networkAddressesFromProto(proto, intern)
  if (proto.connection === undefined) return given
  return { ...given, connection: connectionFromProto(proto.connection) }
}

export function connectionToProto(connection: Connection): ConnectionProto {
  return { ...connection, phase: phases.indexOf(connection.phase) as ConnectionProto['phase'] }
}

/** Errors: INVALID_ARGUMENT for an unknown phase. */
export function connectionFromProto(proto: ConnectionProto): Connection {
  const phase = required(phases[proto.phase], 'Connection', `phase (${proto.phase})`)
  return { ...proto, phase }
}

export function connectionStatusToProto(status: ConnectionStatus): ConnectionStatusProto {
  const state = (states.indexOf(status.state) + 1) as ConnectionStatusProto['state']
  return { ...status, state }
}

/** Errors: INVALID_ARGUMENT for missing fields and unknown states. */
export function connectionStatusFromProto(proto: ConnectionStatusProto): ConnectionStatus {
  const id = required(proto.networkId, 'ConnectionStatus', 'network_id')
  const state = required(states[proto.state - 1], 'ConnectionStatus', `state (${proto.state})`)
  return { ...proto, networkId: networkId(id), state }
}

/** In the order of their numbers. */
const phases: readonly ConnectionPhase[] = ['asked', 'connected', 'leaving', 'drained', 'failed']
const states: readonly ConnectionStatus['state'][] = ['connected', 'gone', 'failed']
