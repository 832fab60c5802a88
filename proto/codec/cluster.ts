// Cluster and ClusterSpec <-> protobuf.
import type {
  Cluster as ClusterProto,
  ClusterSpec as ClusterSpecProto,
  RebalancePolicy as RebalancePolicyProto,
} from '../gen/tsswarm/v1/objects.ts'
import type { Cluster } from '../objects/cluster.ts'
import { clusterId } from '../objects/ids.ts'
import {
  type ClusterSpec,
  clusterSpec,
  defaultAddressPools,
  defaultDataPathPort,
  defaultPayloadHistoryLimit,
  defaultRebalance,
  defaultStackHistoryLimit,
  defaultSubnetSize,
  type RebalancePolicy,
} from '../spec/cluster-spec.ts'
import { parseSpec } from '../spec/parse-spec.ts'
import { required } from './required.ts'

/** Defaults of what came with networks stay unwritten, as older programs leave them. */
export function clusterSpecToProto(spec: ClusterSpec): ClusterSpecProto {
  const { defaultAddressPools: pools, subnetSize, dataPathPort } = spec
  const { payloadHistoryLimit, stackHistoryLimit } = spec
  const [pool] = pools
  const areDefault = pools.length === 1 && pool === defaultAddressPools[0]
  return {
    ...spec,
    defaultAddressPools: areDefault ? [] : pools,
    subnetSize: subnetSize === defaultSubnetSize ? 0 : subnetSize,
    dataPathPort: dataPathPort === defaultDataPathPort ? 0 : dataPathPort,
    rebalance: rebalanceToProto(spec.rebalance),
    payloadHistoryLimit:
      payloadHistoryLimit === defaultPayloadHistoryLimit ? undefined : payloadHistoryLimit,
    stackHistoryLimit:
      stackHistoryLimit === defaultStackHistoryLimit ? undefined : stackHistoryLimit,
  }
}

/** Of a spec that was checked before; values are not checked again. */
export function clusterSpecFromProto(proto: ClusterSpecProto): ClusterSpec {
  return {
    ...proto,
    name: proto.name as ClusterSpec['name'],
    scheduling: proto.scheduling as ClusterSpec['scheduling'],
    defaultAddressPools:
      proto.defaultAddressPools.length === 0 ? defaultAddressPools : proto.defaultAddressPools,
    subnetSize: proto.subnetSize === 0 ? defaultSubnetSize : proto.subnetSize,
    dataPathPort: proto.dataPathPort === 0 ? defaultDataPathPort : proto.dataPathPort,
    rebalance: rebalanceFromProto(proto.rebalance),
    payloadHistoryLimit: proto.payloadHistoryLimit ?? defaultPayloadHistoryLimit,
    stackHistoryLimit: proto.stackHistoryLimit ?? defaultStackHistoryLimit,
  }
}

function rebalanceToProto({ mode, movesMax }: RebalancePolicy): RebalancePolicyProto | undefined {
  const isUsual = mode === defaultRebalance.mode && movesMax === defaultRebalance.movesMax
  return isUsual ? undefined : { mode, movesMax }
}

function rebalanceFromProto(proto: RebalancePolicyProto | undefined): RebalancePolicy {
  if (proto === undefined) return defaultRebalance
  const mode = (proto.mode === '' ? 'off' : proto.mode) as RebalancePolicy['mode']
  return { mode, movesMax: proto.movesMax === 0 ? defaultRebalance.movesMax : proto.movesMax }
}

/**
 * Of a spec that a user wrote.
 * Errors: INVALID_ARGUMENT naming field, value and what would be right.
 */
export function parseClusterSpec(proto: ClusterSpecProto | undefined): ClusterSpec {
  const given = clusterSpecFromProto(required(proto, 'cluster "default"', 'spec'))
  return parseSpec(clusterSpec, given, 'cluster "default"')
}

/** With the root key: for the store and its entries only. */
export function clusterToProto(cluster: Cluster): ClusterProto {
  return {
    id: cluster.id,
    meta: {
      version: cluster.version,
      createdAtMs: cluster.createdAtMs,
      updatedAtMs: cluster.updatedAtMs,
    },
    spec: clusterSpecToProto(cluster.spec),
    rootCaCertPem: cluster.rootCaCertPem,
    rootCaKeyPem: cluster.rootCaKeyPem,
    workerJoinToken: cluster.workerJoinToken,
    managerJoinToken: cluster.managerJoinToken,
    featureLevel: cluster.featureLevel,
    epoch: cluster.epoch,
  }
}

/** Without root key and join tokens: for answers. */
export function clusterToPublicProto(cluster: Cluster): ClusterProto {
  return {
    ...clusterToProto(cluster),
    rootCaKeyPem: '',
    workerJoinToken: '',
    managerJoinToken: '',
  }
}

/** Errors: INVALID_ARGUMENT for missing fields. */
export function clusterFromProto(proto: ClusterProto): Cluster {
  const meta = required(proto.meta, 'Cluster', 'meta')
  return {
    id: clusterId(required(proto.id, 'Cluster', 'id')),
    version: meta.version,
    createdAtMs: meta.createdAtMs,
    updatedAtMs: meta.updatedAtMs,
    spec: clusterSpecFromProto(required(proto.spec, 'Cluster', 'spec')),
    rootCaCertPem: proto.rootCaCertPem,
    rootCaKeyPem: proto.rootCaKeyPem,
    workerJoinToken: proto.workerJoinToken,
    managerJoinToken: proto.managerJoinToken,
    featureLevel: proto.featureLevel,
    epoch: proto.epoch,
  }
}
