// Network, NetworkSpec and addresses on networks <-> protobuf.
import type {
  NetworkAddresses as NetworkAddressesProto,
  Network as NetworkProto,
  NetworkSpec as NetworkSpecProto,
} from '../gen/tsswarm/v1/objects.ts'
import { networkId } from '../objects/ids.ts'
import type { Network, NetworkAddresses } from '../objects/network.ts'
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
  const driver = (proto.driver === '' ? 'overlay' : proto.driver) as NetworkSpec['driver']
  return { ...rest, driver, isInternal, isAttachable, isIngress }
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
