// The first transaction of a cluster: its object, its first manager, and its ingress network.
import { newJoinToken } from '../proto/codec/join-token.ts'
import type { NodeAvailability } from '../proto/gen/tsswarm/v1/objects.ts'
import { newId } from '../proto/lib/ids.ts'
import type { Random } from '../proto/lib/random.ts'
import { clusterId, type ManagerInfo, networksLevel } from '../proto/objects/index.ts'
import type { ClusterSpec } from '../proto/spec/cluster-spec.ts'
import { newNode } from './ca/ca-handlers.ts'
import { createIngress } from './overlay/ingress.ts'
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

/** Writes them; on the leader, once. Errors: INVALID_ARGUMENT for address pools without a usable subnet. */
export async function foundCluster(
  store: Store,
  founding: Founding,
  manager: ManagerInfo,
  random: Random,
): Promise<void> {
  const { rootCaCertPem, rootCaKeyPem, spec, featureLevel } = founding
  const ingressId = newId(random)
  await store.update((tx) => {
    const cluster = tx.create('cluster', {
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
    if (featureLevel >= networksLevel) createIngress(tx, cluster, ingressId)
  })
}
