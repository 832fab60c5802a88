// What a user writes of a service. Types are inferred from the schemas; defaults are Swarm's.
import { z } from 'zod'
import { isSameValue } from '../lib/same-value.ts'
import { dependencySpec } from './dependency-spec.ts'
import { dnsSpec, noDns } from './dns-spec.ts'
import { genericResource, kindsMax } from './generic-resource.ts'
import { healthcheckSpec } from './healthcheck-spec.ts'
import { parseIpRange } from './ip.ts'
import { logDriverSpec } from './log-driver-spec.ts'
import { mountSpec } from './mount-spec.ts'
import { payloadUse } from './payload-spec.ts'
import { runtimeNames } from './runtime-names.ts'
import { securitySpec } from './security-spec.ts'
import { replicasMax, serviceMode } from './service-mode.ts'
import { argument, durationMs, labels, serviceName, text } from './text.ts'
import { tuningSpec } from './tuning-spec.ts'

export const portSpec = z
  .object({
    name: text.default(''),
    protocol: z.enum(['tcp', 'udp', 'sctp']).default('tcp'),
    targetPort: z.number().int().min(1).max(65535),
    /** 0: any free one. */
    publishedPort: z.number().int().min(0).max(65535).default(0),
    /** ingress: on every node; host: on the nodes of the tasks. */
    mode: z.enum(['ingress', 'host']).default('ingress'),
    /** Empty: every address of the node; 0.0.0.0 and :: are every one of their family. */
    bindAddress: text.default(''),
    /** Only clients of these subnets or addresses; empty: all. */
    sources: z
      .array(
        text.refine((value) => parseIpRange(value) !== undefined, 'must be a subnet or an address'),
      )
      .max(64)
      .readonly()
      .default([]),
    /** Ingress only: the task sees the entering node instead of the client. */
    isMasqueraded: z.boolean().default(false),
    /** Ingress only: a task of the entering node before all others. */
    isLocalFirst: z.boolean().default(false),
    /** What comes from outside is let in by the host's firewall alone: it is not opened for this port. */
    isFirewallFirst: z.boolean().default(false),
  })
  .readonly()

export const ulimitSpec = z
  .object({ name: z.string().regex(/^[a-z]+$/), soft: z.number().int(), hard: z.number().int() })
  .readonly()

export const containerSpec = z
  .object({
    image: text.min(1, 'must name an image'),
    labels,
    command: z.array(argument).max(1024).readonly().default([]),
    args: z.array(argument).max(1024).readonly().default([]),
    /** A template may be longer than what comes of it. */
    hostname: text
      .refine((name) => name.length <= 63 || name.includes('{{'), 'must be at most 63 characters')
      .default(''),
    env: z
      .array(
        z
          .string()
          .max(131_072)
          .regex(/^[^=\0][^\0]*$/, 'must be NAME=value'),
      )
      .max(4096)
      .readonly()
      .default([]),
    workdir: text.default(''),
    user: text.default(''),
    groups: z.array(text).max(64).readonly().default([]),
    init: z.boolean().optional(),
    tty: z.boolean().default(false),
    /** For `attach`; without it the standard input is empty. */
    openStdin: z.boolean().default(false),
    readOnly: z.boolean().default(false),
    stopSignal: text.default(''),
    stopGraceMs: durationMs.default(10_000),
    mounts: z.array(mountSpec).max(256).readonly().default([]),
    capAdd: z.array(text).max(64).readonly().default([]),
    capDrop: z.array(text).max(64).readonly().default([]),
    hosts: z.array(text).max(1024).readonly().default([]),
    sysctls: z.record(z.string(), text).readonly().default({}),
    ulimits: z.array(ulimitSpec).max(32).readonly().default([]),
    /** Absent: as the image says. */
    healthcheck: healthcheckSpec.optional(),
    secrets: z.array(payloadUse).max(256).readonly().default([]),
    configs: z.array(payloadUse).max(256).readonly().default([]),
    /** Absent: as the node keeps output. */
    logDriver: logDriverSpec.optional(),
    /** No program gets more rights than it was started with. Absent rather than false. */
    noNewPrivileges: z.literal(true).optional(),
    /** Rights beyond or below the usual ones. Absent: the usual ones. */
    security: securitySpec.optional(),
    /** Absent: the usual one of the node. */
    runtime: z.enum(runtimeNames).optional(),
  })
  .readonly()

export const resourceSpec = z
  .object({
    /** 1e9 is one CPU; 0 is no limit. */
    nanoCpus: z.number().int().min(0).max(1e15).default(0),
    memoryBytes: z
      .number()
      .int()
      .min(0)
      .max(2 ** 50)
      .default(0),
    pids: z.number().int().min(0).max(4_194_304).default(0),
    /** A number of each kind; for reservations only. Absent rather than empty. */
    generic: z.array(genericResource).min(1).max(kindsMax).readonly().optional(),
  })
  .readonly()

export const restartPolicy = z
  .object({
    condition: z.enum(['none', 'on-failure', 'any']).default('any'),
    delayMs: durationMs.default(5_000),
    maxAttempts: z.number().int().min(0).max(1e9).default(0),
    windowMs: durationMs.default(0),
  })
  .readonly()

export const platform = z
  .object({ architecture: text.default(''), os: text.default('') })
  .readonly()

export const placementSpec = z
  .object({
    constraints: z.array(text).max(256).readonly().default([]),
    spread: z.array(text).max(16).readonly().default([]),
    maxReplicasPerNode: z.number().int().min(0).max(1e6).default(0),
    platforms: z.array(platform).max(64).readonly().default([]),
    /** Empty: the cluster's. */
    strategy: z.enum(['', 'spread', 'binpack', 'random']).default(''),
  })
  .readonly()

/** A network that the tasks of a service are on. */
export const networkUse = z
  .object({
    /** Name or id; the managers keep the id. */
    target: text.min(1, 'must name a network'),
    /** More names for the service there. */
    aliases: z.array(serviceName).max(64).readonly().default([]),
    /** Of its interface there. */
    driverOptions: z
      .record(z.string().min(1).max(256), text)
      .refine((map) => Object.keys(map).length <= 64, 'at most 64 options')
      .readonly()
      .default({}),
    /** Written by the managers: every node has it for itself. Absent rather than false. */
    isLocal: z.literal(true).optional(),
  })
  .readonly()

const none = { nanoCpus: 0, memoryBytes: 0, pids: 0 }

export const taskSpec = z
  .object({
    container: containerSpec,
    limits: resourceSpec.default(none),
    reservations: resourceSpec.default(none),
    restart: restartPolicy.default({
      condition: 'any',
      delayMs: 5_000,
      maxAttempts: 0,
      windowMs: 0,
    }),
    placement: placementSpec.default({
      constraints: [],
      spread: [],
      maxReplicasPerNode: 0,
      platforms: [],
      strategy: '',
    }),
    ports: z.array(portSpec).max(1024).readonly().default([]),
    networks: z.array(networkUse).max(64).readonly().default([]),
    forceUpdate: z.number().int().min(0).default(0),
    /** They must be so far before tasks of this spec start for the first time. */
    dependsOn: z.array(dependencySpec).max(64).readonly().default([]),
    dns: dnsSpec.default(noDns),
    /** For the kernel's choice when memory is short; the lowest is killed last. */
    oomScoreAdj: z.number().int().min(-1_000).max(1_000).default(0),
    /** Of its control group. Absent: nothing but the limits. */
    tuning: tuningSpec.optional(),
  })
  .readonly()

const policyFields = {
  /** How many slots at a time; 0: all. */
  parallelism: z.number().int().min(0).max(replicasMax).default(1),
  /** Between a slot that runs again and the next. */
  delayMs: durationMs.default(0),
  /** A new task that ends within this time of its start counts as failed. */
  monitorMs: durationMs.default(5_000),
  /** Of all slots to replace; more failures than that are too many. */
  maxFailureRatio: z.number().min(0).max(1).default(0),
  order: z.enum(['stop-first', 'start-first']).default('stop-first'),
}

/** How tasks are replaced when the task spec changes. */
export const updatePolicy = z
  .object({
    ...policyFields,
    failureAction: z.enum(['pause', 'continue', 'rollback']).default('pause'),
  })
  .readonly()

/** The same for going back to what was before: that never goes back itself. */
export const rollbackPolicy = z
  .object({ ...policyFields, failureAction: z.enum(['pause', 'continue']).default('pause') })
  .readonly()

export const defaultUpdatePolicy = {
  parallelism: 1,
  delayMs: 0,
  monitorMs: 5_000,
  maxFailureRatio: 0,
  order: 'stop-first',
  failureAction: 'pause',
} as const

export const serviceSpec = z
  .object({
    name: serviceName,
    labels,
    mode: serviceMode.default({ kind: 'replicated', replicas: 1 }),
    task: taskSpec,
    /** vip: one address a network for all tasks; dnsrr: the name leads to the tasks' own. */
    endpointMode: z.enum(['vip', 'dnsrr']).default('vip'),
    update: updatePolicy.default(defaultUpdatePolicy),
    rollback: rollbackPolicy.default(defaultUpdatePolicy),
  })
  .readonly()

/** Whether the policy is as where nothing is said of it. */
export function isUsualPolicy(policy: UpdatePolicy): boolean {
  return isSameValue(policy, defaultUpdatePolicy)
}

export type PortSpec = z.infer<typeof portSpec>
export type NetworkUse = z.infer<typeof networkUse>
export type { DependencySpec } from './dependency-spec.ts'
export type { MountSpec } from './mount-spec.ts'
export type UlimitSpec = z.infer<typeof ulimitSpec>
export type ContainerSpec = z.infer<typeof containerSpec>
export type ResourceSpec = z.infer<typeof resourceSpec>
export type RestartPolicy = z.infer<typeof restartPolicy>
export type PlacementSpec = z.infer<typeof placementSpec>
export type TaskSpec = z.infer<typeof taskSpec>
export type UpdatePolicy = z.infer<typeof updatePolicy>
export type RollbackPolicy = z.infer<typeof rollbackPolicy>
export type ServiceSpec = z.infer<typeof serviceSpec>
/** What may be left out is left out. */
export type ServiceSpecInput = z.input<typeof serviceSpec>
