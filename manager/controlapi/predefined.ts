// The networks that each node has for itself, as the control API shows them beside those of the cluster.
import { networkToProto } from '../../proto/codec/network.ts'
import { SwarmError } from '../../proto/errors.ts'
import type { Network as NetworkProto } from '../../proto/gen/tsswarm/v1/objects.ts'
import { type Network, networkId } from '../../proto/objects/index.ts'
import { networkSpec } from '../../proto/spec/network-spec.ts'
import { type PredefinedNetwork, predefinedNetworks } from '../../proto/spec/predefined-networks.ts'

export function predefinedToProto(network: PredefinedNetwork): NetworkProto {
  return networkToProto(asNetwork(network))
}

/** As rows of a list. */
export const predefinedRows: readonly Network[] = predefinedNetworks.map(asNetwork)

/** Always throws FAILED_PRECONDITION. Source: Docker's text. */
export function refuseRemoval({ name }: PredefinedNetwork): never {
  throw new SwarmError(
    'FAILED_PRECONDITION',
    `${name} is a pre-defined network and cannot be removed: every node has its own`,
    { details: { name } },
  )
}

function asNetwork({ name, driver }: PredefinedNetwork): Network {
  return {
    id: networkId(name),
    ...{ version: 0, createdAtMs: 0, updatedAtMs: 0 },
    spec: networkSpec.parse({ name, driver }),
    vni: 0,
    subnets: [],
  }
}
