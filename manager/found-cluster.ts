// The first transaction of a cluster: its object and its first manager.
import { newJoinToken } from '../proto/codec/join-token.ts'
import type { NodeAvailability } from '../proto/gen/tsswarm/v1/objects.ts'
import type { Random } from '../proto/lib/random.ts'
import { clusterId, type ManagerInfo } from '../proto/objects/index.ts'
import type { ClusterSpec } from '../proto/spec/cluster-spec.ts'
import { newNode } from './ca/ca-handlers.ts'
import type { Store } from './store/store.ts'

export interface Founding {
  readonly clusterId: string
  readonly nodeId: string
  readonly rootCaCertPem: string
  /** Secret. */
  readonly rootCaKeyPem: string
  readonly spec: ClusterSpec
  readonly availability: NodeAvailability
  readonly certificateExpiresAtMs: number
  readonly featureLevel: number
}

/** Writes the cluster and its first manager; on the leader, once. */
export async function foundCluster(
  store: Store,
  founding: Founding,
  manager: ManagerInfo,
  random: Random,
): Promise<void> {
  const { rootCaCertPem, rootCaKeyPem, spec, featureLevel } = founding
  await store.update((tx) => {
    tx.create('cluster', {
      id: clusterId(founding.clusterId),
      version: 0,
      createdAtMs: 0,
      updatedAtMs: 0,
      spec,
      rootCaCertPem,
      rootCaKeyPem,
      workerJoinToken: newJoinToken(rootCaCertPem, random),
      managerJoinToken: newJoinToken(rootCaCertPem, random),
      featureLevel,
      epoch: 1,
    })
    const node = newNode(founding.nodeId, 'manager', founding.availability)
    const { certificateExpiresAtMs } = founding
    tx.create('nodes', { ...node, manager, certificateExpiresAtMs })
  })
}
