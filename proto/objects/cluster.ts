// The cluster object: what all nodes must agree on. There is one.
import type { ClusterSpec } from '../spec/cluster-spec.ts'
import type { ClusterId } from './ids.ts'

export interface Cluster {
  readonly id: ClusterId
  readonly version: number
  readonly createdAtMs: number
  readonly updatedAtMs: number
  readonly spec: ClusterSpec
  readonly rootCaCertPem: string
  /** Secret: only in the sealed store, never in an answer or a log. */
  readonly rootCaKeyPem: string
  readonly workerJoinToken: string
  readonly managerJoinToken: string
  readonly featureLevel: number
  /** Rises with force-new-cluster. */
  readonly epoch: number
}
