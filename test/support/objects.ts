// Builders of domain objects for tests: a call shows only what matters to the test.
import {
  type Cluster,
  type CronStatus,
  clusterId,
  type Endpoint,
  featureLevel,
  type JobStatus,
  type Network,
  type Node,
  type NodeRole,
  type NodeState,
  networkId,
  nodeId,
  noEndpoint,
  type PathAllocation,
  type Payload,
  payloadId,
  type Service,
  serviceId,
  specHash,
  type Task,
  type TaskSpecRecord,
  TaskState,
  taskId,
  type UpdateStatus,
} from '../../proto/objects/index.ts'
import { type ClusterSpec, clusterSpec } from '../../proto/spec/cluster-spec.ts'
import { parseGenericResources } from '../../proto/spec/generic-resource.ts'
import type { LogDriverSpec } from '../../proto/spec/log-driver-spec.ts'
import { networkSpec } from '../../proto/spec/network-spec.ts'
import { nodeSpec } from '../../proto/spec/node-spec.ts'
import type { RuntimeName } from '../../proto/spec/runtime-names.ts'
import {
  type MountSpec,
  type NetworkUse,
  type PortSpec,
  type RollbackPolicy,
  type ServiceSpec,
  type ServiceSpecInput,
  serviceSpec,
  type TaskSpec,
  taskSpec,
  type UpdatePolicy,
} from '../../proto/spec/service-spec.ts'

export interface NodeFacts {
  readonly id?: string
  readonly version?: number
  readonly hostname?: string
  readonly address?: string
  readonly role?: NodeRole
  /** Default: the role. */
  readonly roleWish?: NodeRole
  readonly labels?: Readonly<Record<string, string>>
  readonly engineLabels?: Readonly<Record<string, string>>
  readonly platform?: { readonly os: string; readonly architecture: string }
  readonly nanoCpus?: number
  readonly memoryBytes?: number
  readonly state?: NodeState
  readonly stateAtMs?: number
  /** As `gpu=2` or `gpu=a`. */
  readonly generic?: readonly string[]
  /** Of its path; undefined: it has none. */
  readonly mark?: number
  readonly availability?: 'active' | 'pause' | 'drain'
  readonly runtimes?: readonly string[]
  readonly slotVolumes?: readonly string[]
}

/** A ready, active worker with 4 CPUs and 8 GiB. */
export function aNode(facts: NodeFacts): Node {
  const role = facts.role ?? 'worker'
  const id = facts.id ?? 'node-1'
  return {
    id: nodeId(id),
    version: facts.version ?? 1,
    createdAtMs: 0,
    updatedAtMs: 0,
    spec: nodeSpec.parse({
      labels: facts.labels ?? {},
      role: facts.roleWish ?? role,
      availability: facts.availability ?? 'active',
    }),
    role,
    description: {
      hostname: facts.hostname ?? id,
      platform: facts.platform ?? { os: 'linux', architecture: 'x86_64' },
      resources: {
        nanoCpus: facts.nanoCpus ?? 4e9,
        memoryBytes: facts.memoryBytes ?? 8 * 2 ** 30,
        ...(facts.generic === undefined ? {} : { generic: parseGenericResources(facts.generic) }),
      },
      engineVersion: '1',
      engineLabels: facts.engineLabels ?? {},
      featureLevel,
      dataPathAddress: '',
      ...(facts.runtimes === undefined ? {} : { runtimes: facts.runtimes }),
      ...(facts.slotVolumes === undefined ? {} : { slotVolumes: facts.slotVolumes }),
    },
    state: facts.state ?? 'ready',
    stateMessage: '',
    stateAtMs: facts.stateAtMs ?? 0,
    address: facts.address ?? '10.0.0.1',
    manager: undefined,
    sessionManagerId: undefined,
    sessionId: undefined,
    certificateExpiresAtMs: 1e15,
    path: facts.mark === undefined ? undefined : pathOf(facts.mark),
  }
}

function pathOf(mark: number): PathAllocation {
  const mac = `02:00:00:00:00:${mark.toString(16).padStart(2, '0')}`
  return { transit: [`100.127.0.${mark}`, `fd77:1::${mark.toString(16)}`], mac, mark }
}

export interface TaskFacts {
  readonly id?: string
  readonly version?: number
  readonly service?: string
  readonly slot?: number
  readonly forNode?: string
  readonly jobIteration?: number
  readonly node?: string
  readonly specHash?: string
  readonly specVersion?: number
  readonly desiredState?: TaskState
  readonly state?: TaskState
  readonly createdAtMs?: number
  readonly updatedAtMs?: number
  readonly appliedAtMs?: number
  readonly err?: string
  /** Addresses by network id. */
  readonly attachments?: Readonly<Record<string, readonly string[]>>
  readonly isDrained?: boolean
  /** Undefined: what fits the state and appliedAtMs. */
  readonly ranAtMs?: number
  readonly volumeNode?: string
  readonly slotVolumes?: readonly string[]
  readonly waitsFor?: string
  readonly containerId?: string
  readonly health?: Task['health']
  readonly startAtMs?: number
  readonly startAfter?: string | undefined
  readonly reason?: Task['reason']
  /** As `gpu=2` or `gpu=a`. */
  readonly generic?: readonly string[]
}

/** A task that is wanted to run: pending without a node, running with one. */
export function aTask(facts: TaskFacts): Task {
  return {
    id: taskId(facts.id ?? 'task-1'),
    version: facts.version ?? 1,
    createdAtMs: facts.createdAtMs ?? 0,
    updatedAtMs: facts.updatedAtMs ?? 0,
    serviceId: serviceId(facts.service ?? 'service-1'),
    slot: facts.slot ?? (facts.forNode === undefined ? 1 : 0),
    forNodeId: facts.forNode === undefined ? undefined : nodeId(facts.forNode),
    jobIteration: facts.jobIteration,
    nodeId: facts.node === undefined ? undefined : nodeId(facts.node),
    specHash: specHash(facts.specHash ?? 'spec-1'),
    specVersion: facts.specVersion ?? 1,
    desiredState: facts.desiredState ?? TaskState.RUNNING,
    state: facts.state ?? (facts.node === undefined ? TaskState.PENDING : TaskState.RUNNING),
    stateAtMs: 0,
    appliedAtMs: facts.appliedAtMs ?? 0,
    message: '',
    err: facts.err ?? '',
    containerId: facts.containerId ?? '',
    pid: 0,
    exitCode: undefined,
    startAtMs: facts.startAtMs ?? 0,
    startAfterTaskId: facts.startAfter === undefined ? undefined : taskId(facts.startAfter),
    hostPorts: [],
    attachments: Object.entries(facts.attachments ?? {}).map(([id, addresses]) => ({
      networkId: networkId(id),
      addresses,
    })),
    isDrained: facts.isDrained ?? false,
    volumeNodeId: facts.volumeNode === undefined ? undefined : nodeId(facts.volumeNode),
    slotVolumes: facts.slotVolumes ?? [],
    waitsFor: facts.waitsFor ?? '',
    health: facts.health,
    ranAtMs: facts.ranAtMs ?? (facts.state === TaskState.FAILED ? 0 : (facts.appliedAtMs ?? 0)),
    reason: facts.reason ?? '',
    generic: parseGenericResources(facts.generic ?? []),
  }
}

type PartialGroups = {
  readonly [Key in Exclude<
    keyof TaskSpec,
    'container' | 'ports' | 'networks' | 'forceUpdate' | 'dependsOn' | 'oomScoreAdj'
  >]?: Partial<TaskSpec[Key]>
}

export interface TaskSpecFacts extends PartialGroups {
  readonly image?: string
  readonly stopGraceMs?: number
  readonly runtime?: RuntimeName
  readonly labels?: Readonly<Record<string, string>>
  readonly logDriver?: LogDriverSpec
  /** Host mode unless they say otherwise. */
  readonly ports?: readonly (Partial<PortSpec> & { readonly targetPort: number })[]
  readonly networks?: readonly (Partial<NetworkUse> & { readonly target: string })[]
  readonly forceUpdate?: number
  readonly mounts?: readonly (Partial<MountSpec> & { readonly target: string })[]
  readonly dependsOn?: readonly { readonly service: string; readonly condition?: string }[]
}

export function aTaskSpec(facts: TaskSpecFacts): TaskSpec {
  const { image, stopGraceMs, runtime, labels, logDriver, mounts, ports = [], ...others } = facts
  return taskSpec.parse({
    container: {
      image: image ?? 'hello',
      mounts,
      ...(stopGraceMs === undefined ? {} : { stopGraceMs }),
      ...(runtime === undefined ? {} : { runtime }),
      ...(labels === undefined ? {} : { labels }),
      ...(logDriver === undefined ? {} : { logDriver }),
    },
    ...others,
    ports: ports.map((port) => ({ mode: 'host', ...port })),
  })
}

export function aSpecRecord(hash: string, facts: TaskSpecFacts): TaskSpecRecord {
  return { hash: specHash(hash), spec: aTaskSpec(facts) }
}

export interface ServiceFacts {
  readonly id?: string
  readonly version?: number
  readonly name?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly replicas?: number
  /** Instead of replicated. */
  readonly mode?: ServiceSpecInput['mode']
  readonly jobStatus?: JobStatus
  readonly cronStatus?: CronStatus
  readonly task?: TaskSpecFacts
  readonly specHash?: string
  readonly specVersion?: number
  readonly endpointMode?: 'vip' | 'dnsrr'
  readonly endpoint?: Partial<Endpoint>
  readonly update?: Partial<UpdatePolicy>
  readonly rollback?: Partial<RollbackPolicy>
  readonly previous?: TaskSpecFacts
  readonly updateStatus?: Partial<UpdateStatus>
  readonly rebalance?: Service['rebalance']
}

const newUpdateStatus: UpdateStatus = {
  state: 'updating',
  startedAtMs: 0,
  completedAtMs: 0,
  message: '',
  slots: 0,
}

/** A replicated service with one replica. */
export function aService(facts: ServiceFacts): Service {
  const id = facts.id ?? 'service-1'
  const name = facts.name ?? id
  return {
    id: serviceId(id),
    version: facts.version ?? 1,
    createdAtMs: 0,
    updatedAtMs: 0,
    spec: serviceSpec.parse({
      name,
      labels: facts.labels,
      mode: facts.mode ?? { kind: 'replicated', replicas: facts.replicas ?? 1 },
      task: aTaskSpec(facts.task ?? {}),
      endpointMode: facts.endpointMode,
      update: facts.update,
      rollback: facts.rollback,
    }),
    previousSpec: facts.previous && serviceSpec.parse({ name, task: aTaskSpec(facts.previous) }),
    specHash: specHash(facts.specHash ?? 'spec-1'),
    specVersion: facts.specVersion ?? 1,
    endpoint: { ...noEndpoint, ...facts.endpoint },
    updateStatus: facts.updateStatus && { ...newUpdateStatus, ...facts.updateStatus },
    ...(facts.rebalance === undefined ? {} : { rebalance: facts.rebalance }),
    jobStatus: facts.jobStatus,
    cronStatus: facts.cronStatus,
  }
}

/** Of a replicated service; else NaN, which equals nothing. */
export function replicasOf({
  spec: { mode },
}: {
  readonly spec: Pick<ServiceSpec, 'mode'>
}): number {
  return mode.kind === 'replicated' ? mode.replicas : Number.NaN
}

export interface ClusterFacts {
  readonly taskHistoryLimit?: number
  readonly scheduling?: 'spread' | 'binpack' | 'random'
  readonly rebalance?: Partial<ClusterSpec['rebalance']>
}

export function aCluster(facts: ClusterFacts): Cluster {
  return {
    id: clusterId('cluster-1'),
    version: 1,
    createdAtMs: 0,
    updatedAtMs: 0,
    spec: clusterSpec.parse(facts),
    rootCaCertPem: '',
    rootCaKeyPem: '',
    workerJoinToken: '',
    managerJoinToken: '',
    featureLevel,
    epoch: 1,
  }
}

export interface NetworkFacts {
  readonly id?: string
  readonly name?: string
  readonly vni?: number
  readonly driver?: 'overlay' | 'bridge'
  readonly subnets?: readonly string[]
  readonly ipRange?: string
  readonly gateway?: string
  readonly isIngress?: boolean
  readonly isInternal?: boolean
  readonly options?: Readonly<Record<string, string>>
}

export interface PayloadFacts {
  readonly id?: string
  readonly name?: string
  readonly data?: string
  readonly revision?: number
  readonly templateDriver?: '' | 'golang'
}

/** The first version of a secret or config. */
export function aPayload(facts: PayloadFacts): Payload {
  const id = facts.id ?? 'payload-1'
  const { name = id, data = 'data', revision = 1, templateDriver = '' } = facts
  return {
    id: payloadId(id),
    version: 1,
    createdAtMs: 0,
    updatedAtMs: 0,
    spec: { name, labels: {}, data: new Uint8Array(Buffer.from(data)), templateDriver },
    revision,
  }
}

/** An overlay network on 10.0.1.0/24. */
export function aNetwork(facts: NetworkFacts): Network {
  const id = facts.id ?? 'net-1'
  const {
    name = id,
    isIngress = false,
    isInternal = false,
    options = {},
    driver = 'overlay',
  } = facts
  return {
    id: networkId(id),
    version: 1,
    createdAtMs: 0,
    updatedAtMs: 0,
    spec: networkSpec.parse({ name, driver, isIngress, isInternal, options }),
    vni: facts.vni ?? (driver === 'bridge' ? 0 : 1_048_576),
    subnets: (facts.subnets ?? ['10.0.1.0/24']).map((subnet) => ({
      subnet,
      ipRange: facts.ipRange ?? '',
      gateway: facts.gateway ?? subnet.replace(/\d+\/\d+$/, '1').replace(/::\/\d+$/, '::1'),
    })),
  }
}
