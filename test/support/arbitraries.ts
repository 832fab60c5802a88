// fast-check arbitraries of the domain objects: every field, also where empty or absent means something.
import fc from 'fast-check'
import { hashTaskSpec } from '../../proto/codec/spec-hash.ts'
import {
  type Cluster,
  type CronRun,
  type CronRunState,
  clusterId,
  type Endpoint,
  type Network,
  type Node,
  networkId,
  nodeId,
  type Payload,
  payloadId,
  type RegistryLogin,
  type RegistryLogins,
  type RemovedNode,
  raftId,
  type Service,
  type StackRevision,
  serviceId,
  sessionId,
  specHash,
  type Task,
  TaskState,
  taskId,
  taskReasons,
  type UpdateState,
  type UpdateStatus,
} from '../../proto/objects/index.ts'
import type { ClusterSpec } from '../../proto/spec/cluster-spec.ts'
import type { GenericResource } from '../../proto/spec/generic-resource.ts'
import type { NetworkSpec } from '../../proto/spec/network-spec.ts'
import type { NodeSpec } from '../../proto/spec/node-spec.ts'
import type { ServiceMode } from '../../proto/spec/service-mode.ts'
import type { ServiceSpec, TaskSpec } from '../../proto/spec/service-spec.ts'

const plain = { noNullPrototype: true }
const word = fc.string({ maxLength: 12 })
const some = fc.string({ minLength: 1, maxLength: 12 })
const label = fc.stringMatching(/^[a-z][a-z.-]{0,8}$/)
const labels = fc.dictionary(label, word, { maxKeys: 4, noNullPrototype: true })
const timeMs = fc.nat({ max: 2 ** 50 })
const count = fc.nat({ max: 2 ** 31 })
const words = fc.array(word, { maxLength: 3 })
const meta = { version: fc.nat({ max: 2 ** 50 }), createdAtMs: timeMs, updatedAtMs: timeMs }

export const anyId = fc.stringMatching(/^[0-9a-z]{25}$/)
export const anyTaskState = fc.constantFrom(...Object.values(TaskState))

const anyGeneric: fc.Arbitrary<GenericResource> = fc.record(
  { kind: some, count, names: words },
  plain,
)
const resources = fc.record(
  {
    nanoCpus: timeMs,
    memoryBytes: timeMs,
    pids: count,
    generic: fc.array(anyGeneric, { minLength: 1, maxLength: 2 }),
  },
  { noNullPrototype: true, requiredKeys: ['nanoCpus', 'memoryBytes', 'pids'] },
)
const platform = fc.record({ architecture: word, os: word }, plain)

const mount = fc.record(
  {
    kind: fc.constantFrom('bind' as const, 'volume' as const, 'tmpfs' as const),
    source: word,
    target: word,
    readOnly: fc.boolean(),
    consistency: fc.constantFrom('' as const, 'cached' as const, 'default' as const),
    bindPropagation: fc.constantFrom('' as const, 'rprivate' as const, 'slave' as const),
    bindCreate: fc.boolean(),
    volumeNoCopy: fc.boolean(),
    tmpfsSizeBytes: timeMs,
    tmpfsMode: fc.nat({ max: 0o7777 }),
    bindNonRecursive: fc.boolean(),
    readOnlyNonRecursive: fc.boolean(),
    readOnlyForceRecursive: fc.boolean(),
    volumeLabels: labels,
    volumeDriver: word,
    volumeOptions: labels,
    volumeSubpath: word,
    volumeAffinity: fc.constantFrom('' as const, 'slot' as const, 'none' as const),
  },
  plain,
)

const probePort = fc.record({ port: count }, plain)
const httpProbe = fc.record({ port: count, path: some }, plain)

const healthcheck = fc.record(
  {
    test: words,
    intervalMs: timeMs,
    timeoutMs: timeMs,
    retries: count,
    startPeriodMs: timeMs,
    startIntervalMs: timeMs,
    http: httpProbe,
    tcp: probePort,
  },
  {
    noNullPrototype: true,
    requiredKeys: [
      'test',
      'intervalMs',
      'timeoutMs',
      'retries',
      'startPeriodMs',
      'startIntervalMs',
    ],
  },
)

const digits = fc.stringMatching(/^[1-9][0-9]{0,6}$/)
const payloadUses = fc.array(
  fc.record(
    {
      source: some,
      name: word,
      target: word,
      uid: digits,
      gid: digits,
      mode: fc.nat({ max: 0o7777 }),
    },
    plain,
  ),
  { maxLength: 2 },
)

/** Never one that says nothing: that is absent. */
const securityOptions = fc.record(
  {
    seccomp: some,
    appArmor: some,
    systemPathsUnconfined: fc.constant(true as const),
    privileged: fc.constant(true as const),
    hostUsers: fc.constant(true as const),
    devices: fc.array(fc.record({ source: some, target: some, access: some }, plain), {
      maxLength: 2,
    }),
  },
  { noNullPrototype: true, requiredKeys: ['seccomp', 'devices'] },
)

const tuning = fc.record(
  {
    swapBytes: fc.integer({ min: -1 }),
    swappiness: fc.nat({ max: 100 }),
    cpus: some,
    memoryNodes: some,
    cpuShares: fc.integer({ min: 2, max: 262_144 }),
    blkioWeight: fc.integer({ min: 10, max: 1_000 }),
    ioLimits: fc.array(
      fc.record(
        {
          kind: fc.constantFrom('read-bps' as const, 'write-iops' as const),
          device: some,
          rate: count,
        },
        plain,
      ),
      { maxLength: 2 },
    ),
  },
  { noNullPrototype: true, requiredKeys: ['swapBytes', 'ioLimits'] },
)

const container = fc.record(
  {
    image: some,
    labels,
    command: words,
    args: words,
    hostname: word,
    env: words,
    workdir: word,
    user: word,
    groups: words,
    init: fc.boolean(),
    tty: fc.boolean(),
    openStdin: fc.boolean(),
    readOnly: fc.boolean(),
    stopSignal: word,
    stopGraceMs: timeMs,
    mounts: fc.array(mount, { maxLength: 2 }),
    capAdd: words,
    capDrop: words,
    hosts: words,
    sysctls: labels,
    ulimits: fc.array(
      fc.record({ name: word, soft: fc.integer(), hard: fc.maxSafeInteger() }, plain),
      {
        maxLength: 2,
      },
    ),
    healthcheck,
    secrets: payloadUses,
    configs: payloadUses,
    logDriver: fc.record({ name: word, options: labels }, plain),
    noNewPrivileges: fc.constant(true as const),
    security: securityOptions,
    runtime: fc.constantFrom('crun' as const, 'runc' as const),
  },
  {
    noNullPrototype: true,
    requiredKeys: [
      'image',
      'labels',
      'command',
      'args',
      'hostname',
      'env',
      'workdir',
      'user',
      'groups',
      'tty',
      'openStdin',
      'readOnly',
      'stopSignal',
      'stopGraceMs',
      'mounts',
      'capAdd',
      'capDrop',
      'hosts',
      'sysctls',
      'ulimits',
      'secrets',
      'configs',
    ],
  },
)

export const anyTaskSpec: fc.Arbitrary<TaskSpec> = fc.record(
  {
    container,
    limits: resources,
    reservations: resources,
    restart: fc.record(
      {
        condition: fc.constantFrom('none' as const, 'on-failure' as const, 'any' as const),
        delayMs: timeMs,
        maxAttempts: count,
        windowMs: timeMs,
      },
      plain,
    ),
    placement: fc.record(
      {
        constraints: words,
        spread: words,
        maxReplicasPerNode: count,
        platforms: fc.array(platform, { maxLength: 2 }),
        strategy: fc.constantFrom('' as const, 'spread' as const, 'binpack' as const),
      },
      plain,
    ),
    ports: fc.array(
      fc.record(
        {
          name: word,
          protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const),
          targetPort: count,
          publishedPort: count,
          mode: fc.constantFrom('host' as const, 'ingress' as const),
          bindAddress: word,
          sources: words,
          isMasqueraded: fc.boolean(),
          isLocalFirst: fc.boolean(),
          isFirewallFirst: fc.boolean(),
        },
        plain,
      ),
      { maxLength: 2 },
    ),
    networks: fc.array(
      fc.record(
        {
          target: some,
          aliases: words,
          driverOptions: labels,
          isLocal: fc.constant(true as const),
        },
        { ...plain, requiredKeys: ['target', 'aliases', 'driverOptions'] },
      ),
      { maxLength: 2 },
    ),
    forceUpdate: count,
    dns: fc.record({ nameservers: words, search: words, options: words }, plain),
    oomScoreAdj: fc.integer({ min: -1_000, max: 1_000 }),
    tuning,
    dependsOn: fc.array(
      fc.record(
        {
          service: word,
          condition: fc.constantFrom('started' as const, 'healthy' as const),
        },
        plain,
      ),
      { maxLength: 2 },
    ),
  },
  plain,
)

const policy = {
  parallelism: count,
  delayMs: timeMs,
  monitorMs: timeMs,
  maxFailureRatio: fc.double({ min: 0, max: 1, noNaN: true }),
  order: fc.constantFrom<('stop-first' | 'start-first')[]>('stop-first', 'start-first'),
}

const sizes = { completions: count, maxConcurrent: count }

const anyMode: fc.Arbitrary<ServiceMode> = fc.oneof(
  fc.record({ kind: fc.constant('replicated' as const), replicas: count }, plain),
  fc.record({ kind: fc.constantFrom('global' as const, 'global-job' as const) }, plain),
  fc.record({ kind: fc.constant('replicated-job' as const), ...sizes }, plain),
  fc.record(
    {
      kind: fc.constant('cron' as const),
      schedule: fc.constantFrom('@daily', '*/5 * * * *'),
      timeZone: fc.constantFrom('UTC', 'Europe/Berlin'),
      missedWindowMs: timeMs,
      concurrency: fc.constantFrom('allow' as const, 'forbid' as const, 'replace' as const),
      ...sizes,
      keepCompleted: count,
      keepFailed: count,
      retries: count,
      backoffMaxMs: timeMs,
    },
    plain,
  ),
)

const anyCronRun: fc.Arbitrary<CronRun> = fc.record(
  {
    scheduledMs: timeMs,
    iteration: fc.option(timeMs, { nil: undefined }),
    state: fc.constantFrom<CronRunState[]>('running', 'completed', 'missed'),
    startedMs: timeMs,
    endedMs: timeMs,
    message: word,
    times: count,
  },
  plain,
)

const anyJobStatus = fc.record({ iteration: timeMs, lastExecutionMs: timeMs }, plain)
const anyCronStatus = fc.record(
  { decidedMs: timeMs, forced: timeMs, runs: fc.array(anyCronRun, { maxLength: 3 }) },
  plain,
)

export const anyServiceSpec: fc.Arbitrary<ServiceSpec> = fc.record(
  {
    name: word,
    labels,
    mode: anyMode,
    task: anyTaskSpec,
    endpointMode: fc.constantFrom('vip' as const, 'dnsrr' as const),
    update: fc.record(
      { ...policy, failureAction: fc.constantFrom('pause', 'continue', 'rollback') },
      plain,
    ),
    rollback: fc.record({ ...policy, failureAction: fc.constantFrom('pause', 'continue') }, plain),
  },
  plain,
)

const addresses = fc.array(
  fc.record(
    { networkId: anyId.map(networkId), addresses: fc.array(some, { maxLength: 2 }) },
    plain,
  ),
  { maxLength: 2 },
)

const anyEndpoint: fc.Arbitrary<Endpoint> = fc.record(
  {
    vips: addresses,
    ports: fc.array(
      fc.record(
        {
          protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const),
          targetPort: count,
          publishedPort: count,
        },
        plain,
      ),
      { maxLength: 2 },
    ),
  },
  plain,
)

const anyUpdateStatus: fc.Arbitrary<UpdateStatus> = fc.record(
  {
    state: fc.constantFrom<UpdateState[]>('updating', 'paused', 'rollback_completed'),
    startedAtMs: timeMs,
    completedAtMs: timeMs,
    message: word,
    slots: count,
  },
  plain,
)

export const anyService: fc.Arbitrary<Service> = fc
  .record(
    {
      id: anyId.map(serviceId),
      ...meta,
      spec: anyServiceSpec,
      previousSpec: fc.option(anyServiceSpec, { nil: undefined }),
      specVersion: timeMs,
      endpoint: anyEndpoint,
      updateStatus: fc.option(anyUpdateStatus, { nil: undefined }),
      jobStatus: fc.option(anyJobStatus, { nil: undefined }),
      cronStatus: fc.option(anyCronStatus, { nil: undefined }),
    },
    plain,
  )
  .map((service) => ({ ...service, specHash: hashTaskSpec(service.spec.task) }))

export const anyTask: fc.Arbitrary<Task> = fc.record(
  {
    id: anyId.map(taskId),
    ...meta,
    serviceId: anyId.map(serviceId),
    slot: count,
    nodeId: fc.option(anyId.map(nodeId), { nil: undefined }),
    forNodeId: fc.option(anyId.map(nodeId), { nil: undefined }),
    jobIteration: fc.option(timeMs, { nil: undefined }),
    specHash: some.map(specHash),
    specVersion: timeMs,
    desiredState: anyTaskState,
    state: anyTaskState,
    stateAtMs: timeMs,
    appliedAtMs: timeMs,
    message: word,
    err: word,
    containerId: word,
    pid: count,
    exitCode: fc.option(fc.integer(), { nil: undefined }),
    startAtMs: timeMs,
    startAfterTaskId: fc.option(anyId.map(taskId), { nil: undefined }),
    hostPorts: words,
    attachments: addresses,
    isDrained: fc.boolean(),
    ranAtMs: timeMs,
    reason: fc.constantFrom('' as const, ...taskReasons),
    generic: fc.array(anyGeneric, { maxLength: 2 }),
    volumeNodeId: fc.option(anyId.map(nodeId), { nil: undefined }),
    slotVolumes: words,
    waitsFor: word,
    health: fc.option(
      fc.record(
        {
          state: fc.constantFrom('starting' as const, 'healthy' as const, 'unhealthy' as const),
          failures: count,
          failedAtMs: timeMs,
          output: word,
        },
        plain,
      ),
      { nil: undefined },
    ),
  },
  plain,
)

export const anyNodeSpec: fc.Arbitrary<NodeSpec> = fc.record(
  {
    name: word,
    labels,
    role: fc.constantFrom('worker' as const, 'manager' as const),
    availability: fc.constantFrom('active' as const, 'pause' as const, 'drain' as const),
  },
  plain,
)

export const anyNode: fc.Arbitrary<Node> = fc.record(
  {
    id: anyId.map(nodeId),
    ...meta,
    spec: anyNodeSpec,
    role: fc.constantFrom('worker' as const, 'manager' as const),
    description: fc.option(
      fc.record(
        {
          hostname: some,
          platform,
          resources: fc.record(
            {
              nanoCpus: timeMs,
              memoryBytes: timeMs,
              generic: fc.array(anyGeneric, { minLength: 1, maxLength: 2 }),
            },
            { noNullPrototype: true, requiredKeys: ['nanoCpus', 'memoryBytes'] },
          ),
          engineVersion: word,
          engineLabels: labels,
          featureLevel: count,
          dataPathAddress: word,
          runtimes: fc.array(some, { minLength: 1, maxLength: 2 }),
        },
        plain,
      ),
      { nil: undefined },
    ),
    state: fc.constantFrom('unknown', 'down', 'ready', 'disconnected'),
    stateMessage: word,
    stateAtMs: timeMs,
    address: word,
    manager: fc.option(
      fc.record({ raftId: some.map(raftId), address: some, raftAddress: some }, plain),
      {
        nil: undefined,
      },
    ),
    sessionManagerId: fc.option(anyId.map(nodeId), { nil: undefined }),
    sessionId: fc.option(anyId.map(sessionId), { nil: undefined }),
    certificateExpiresAtMs: timeMs,
    path: fc.option(fc.record({ transit: words, mac: word, mark: count }, plain), {
      nil: undefined,
    }),
  },
  plain,
)

export const anyRemovedNode: fc.Arbitrary<RemovedNode> = fc.record(
  {
    id: anyId.map(nodeId),
    expiresAtMs: timeMs,
    mark: count,
  },
  plain,
)

export const anyClusterSpec: fc.Arbitrary<ClusterSpec> = fc.record(
  {
    name: fc.constant('default' as const),
    labels,
    taskHistoryLimit: fc.integer({ min: -1, max: 1000 }),
    heartbeatMs: timeMs,
    nodeCertExpiryMs: timeMs,
    scheduling: fc.constantFrom('spread' as const, 'binpack' as const, 'random' as const),
    defaultAddressPools: fc.array(some, { minLength: 1, maxLength: 3 }),
    subnetSize: fc.integer({ min: 8, max: 29 }),
    allowPrivileged: fc.boolean(),
    dataPathPort: fc.integer({ min: 1024, max: 49_151 }),
    rebalance: fc.record(
      {
        mode: fc.constantFrom('off' as const, 'gradual' as const),
        movesMax: fc.integer({ min: 1, max: 9 }),
      },
      plain,
    ),
    payloadHistoryLimit: fc.nat({ max: 1000 }),
    stackHistoryLimit: fc.nat({ max: 50 }),
  },
  plain,
)

export const anyCluster: fc.Arbitrary<Cluster> = fc.record(
  {
    id: anyId.map(clusterId),
    ...meta,
    spec: anyClusterSpec,
    rootCaCertPem: word,
    rootCaKeyPem: word,
    workerJoinToken: word,
    managerJoinToken: word,
    featureLevel: count,
    epoch: count,
  },
  plain,
)

const subnet = fc.record({ subnet: word, ipRange: word, gateway: word }, plain)

export const anyNetworkSpec: fc.Arbitrary<NetworkSpec> = fc.record(
  {
    name: word,
    labels,
    driver: fc.constant('overlay' as const),
    subnets: fc.array(subnet, { maxLength: 2 }),
    ipv6: fc.boolean(),
    isInternal: fc.boolean(),
    isAttachable: fc.boolean(),
    isIngress: fc.boolean(),
    options: labels,
  },
  plain,
)

export const anyNetwork: fc.Arbitrary<Network> = fc.record(
  {
    id: anyId.map(networkId),
    ...meta,
    spec: anyNetworkSpec,
    vni: count,
    subnets: fc.array(subnet, { maxLength: 2 }),
  },
  plain,
)

export const anyStackRevision: fc.Arbitrary<StackRevision> = fc.record(
  {
    stack: some,
    revision: count,
    ...meta,
    kind: fc.constantFrom('deploy' as const, 'rollback' as const, 'found' as const),
    rollbackTo: count,
    state: fc.constantFrom('deploying' as const, 'deployed' as const, 'reverted' as const),
    message: word,
    clientNodeId: anyId.map(nodeId),
    clientUser: word,
    changes: fc.array(
      fc.record(
        {
          action: fc.constantFrom('create' as const, 'roll' as const),
          kind: fc.constantFrom('service' as const, 'secret' as const),
          name: word,
          fields: words,
        },
        plain,
      ),
      { maxLength: 2 },
    ),
    content: fc.uint8Array({ maxLength: 40 }),
    digest: word,
    versions: fc.array(
      fc.record(
        { kind: fc.constant('config' as const), id: some, name: word, revision: count },
        plain,
      ),
      { maxLength: 2 },
    ),
  },
  plain,
)

export const anyPayload: fc.Arbitrary<Payload> = fc.record(
  {
    id: anyId.map(payloadId),
    ...meta,
    spec: fc.record(
      {
        name: some,
        labels,
        data: fc.uint8Array({ minLength: 1, maxLength: 40 }),
        templateDriver: fc.constantFrom('' as const, 'golang' as const),
      },
      plain,
    ),
    revision: count,
  },
  plain,
)

const anyRegistryLogin: fc.Arbitrary<RegistryLogin> = fc.record(
  { id: anyId.map(payloadId), registry: word, auth: word },
  plain,
)

export const anyRegistryLogins: fc.Arbitrary<RegistryLogins> = fc.record(
  {
    serviceId: anyId.map(serviceId),
    present: fc.option(anyRegistryLogin, { nil: undefined }),
    previous: fc.option(anyRegistryLogin, { nil: undefined }),
  },
  plain,
)
