// A service: the wish for a number of equal tasks.
import { predefinedOf } from '../spec/predefined-networks.ts'
import type { NetworkUse, ServiceSpec, TaskSpec } from '../spec/service-spec.ts'
import type { ServiceId, SpecHash } from './ids.ts'
import type { CronStatus, JobStatus } from './job.ts'
import type { NetworkAddresses } from './network.ts'
import type { EndpointProtocol } from './overlay.ts'

export interface Service {
  readonly id: ServiceId
  readonly version: number
  readonly createdAtMs: number
  readonly updatedAtMs: number
  readonly spec: ServiceSpec
  readonly previousSpec: ServiceSpec | undefined
  /** Content address of spec.task. */
  readonly specHash: SpecHash
  /** Rises by one whenever spec.task changes, from 1; orders generations of tasks. */
  readonly specVersion: number
  readonly endpoint: Endpoint
  /** Of the last update; undefined: it replaced nothing. */
  readonly updateStatus: UpdateStatus | undefined
  /** It was told to spread its tasks anew, and is not done; absent: it was not. */
  readonly rebalance?: RebalanceStatus
  /** Undefined: it is no job. */
  readonly jobStatus: JobStatus | undefined
  /** Undefined: it is no cron service. */
  readonly cronStatus: CronStatus | undefined
}

export interface RebalanceStatus {
  /** Cluster time. */
  readonly startedAtMs: number
  /** Tasks that were moved so far. */
  readonly moved: number
}

export type UpdateState =
  | 'updating'
  | 'paused'
  | 'completed'
  | 'rollback_started'
  | 'rollback_paused'
  | 'rollback_completed'

export interface UpdateStatus {
  readonly state: UpdateState
  /** Cluster time. */
  readonly startedAtMs: number
  /** 0: it goes on, or was paused. */
  readonly completedAtMs: number
  readonly message: string
  /** How many slots were to be replaced at the beginning; 0: not counted yet. */
  readonly slots: number
}

/** Whether the last update still has something to do. */
export function isUpdating({ updateStatus }: Service): boolean {
  return updateStatus?.state === 'updating' || updateStatus?.state === 'rollback_started'
}

/** Whether the service goes back, or went back, to what was before. */
export function isRollback({ updateStatus }: Service): boolean {
  return updateStatus?.state.startsWith('rollback') === true
}

/** What a service was given to be reached at. */
export interface Endpoint {
  /** One entry a network, with endpoint mode vip. */
  readonly vips: readonly NetworkAddresses[]
  /** Of its ingress ports, in the order of the spec. */
  readonly ports: readonly PublishedPort[]
}

export interface PublishedPort {
  readonly protocol: EndpointProtocol
  readonly targetPort: number
  /** Never 0. */
  readonly publishedPort: number
}

/** Of a service without networks and ingress ports, and of one that was not given anything yet. */
export const noEndpoint: Endpoint = { vips: [], ports: [] }

/** Those of its networks that are objects of the cluster; the others are each node's own. */
export function clusterNetworks({ networks }: Pick<TaskSpec, 'networks'>): TaskSpec['networks'] {
  const isOfCluster = ({ target }: NetworkUse): boolean => predefinedOf(target) === undefined
  return networks.every(isOfCluster) ? networks : networks.filter(isOfCluster)
}

/** Whether its tasks are scheduled only after they were given addresses on networks. */
export function needsAddresses({ networks, ports }: TaskSpec): boolean {
  return clusterNetworks({ networks }).length > 0 || ports.some(({ mode }) => mode === 'ingress')
}

/** A task spec, kept once for all tasks that share it. */
export interface TaskSpecRecord {
  readonly hash: SpecHash
  readonly spec: TaskSpec
}
