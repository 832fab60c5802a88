// What a task spec asks of a node, parsed once and shared by all tasks of the spec. Not for limits, which bind the
// container and not its placement.
import {
  canonicalBind,
  featuresOfTask,
  type SpecFeature,
  type SpecHash,
} from '../proto/objects/index.ts'
import type { Platform } from '../proto/spec/node-spec.ts'
import type { TaskSpec } from '../proto/spec/service-spec.ts'
import { normalArchitecture } from './architecture.ts'
import {
  type Constraint,
  parseConstraint,
  parseSpread,
  type SpreadPreference,
} from './constraints.ts'
import type { GenericDemand } from './generic.ts'

export type Strategy = 'spread' | 'binpack' | 'random'

export interface Demand {
  readonly specHash: SpecHash
  readonly nanoCpus: number
  readonly memoryBytes: number
  /** Generic resources, one entry a kind. */
  readonly generic: readonly GenericDemand[]
  readonly constraints: readonly Constraint[]
  /** Constraints that cannot be read; no node fulfils them. */
  readonly unreadable: readonly string[]
  /** Lower case, architectures by their usual names. Empty: any. */
  readonly platforms: readonly Platform[]
  /** That its containers are to have; undefined: any. */
  readonly runtime: string | undefined
  /** As "tcp/8080", or "tcp/8080/10.0.0.5" for one bound to an address. */
  readonly hostPorts: readonly string[]
  /** 0: no limit. */
  readonly maxReplicasPerNode: number
  readonly spread: readonly SpreadPreference[]
  /** Undefined: the cluster's. */
  readonly strategy: Strategy | undefined
  /** What the node's program must know. */
  readonly features: readonly SpecFeature[]
  /** Equal for demands that every node answers alike. */
  readonly classKey: string
}

/** What the spec asks of a node. */
export function demandOf(specHash: SpecHash, spec: TaskSpec): Demand {
  const { placement, reservations } = spec
  const constraints: Constraint[] = []
  const unreadable: string[] = []
  for (const text of placement.constraints) {
    const parsed = parseConstraint(text)
    if (parsed.kind === 'ok') constraints.push(parsed.constraint)
    else unreadable.push(parsed.reason)
  }
  const asked = {
    nanoCpus: reservations.nanoCpus,
    memoryBytes: reservations.memoryBytes,
    generic: (reservations.generic ?? []).map(({ kind, count }) => ({ kind, count })),
    platforms: placement.platforms.map(normalPlatform),
    runtime: spec.container.runtime,
    hostPorts: hostPortsOf(spec),
    maxReplicasPerNode: placement.maxReplicasPerNode,
    strategy: placement.strategy === '' ? undefined : placement.strategy,
    features: featuresOfTask(spec),
  }
  return {
    specHash,
    ...asked,
    constraints,
    unreadable,
    spread: spreadOf(placement.spread),
    classKey: JSON.stringify([asked, placement.constraints, placement.spread]),
  }
}

function hostPortsOf(spec: TaskSpec): string[] {
  const ports = new Set<string>()
  for (const port of spec.ports) {
    if (port.mode !== 'host' || port.publishedPort === 0) continue
    const onAll = `${port.protocol}/${port.publishedPort}`
    const address = canonicalBind(port.bindAddress)
    ports.add(address === '' ? onAll : `${onAll}/${address}`)
  }
  return [...ports].sort()
}

function spreadOf(texts: readonly string[]): SpreadPreference[] {
  const preferences: SpreadPreference[] = []
  for (const text of texts) {
    const parsed = parseSpread(text)
    // As in Swarm, a preference that names no label prefers nothing.
    if (parsed.kind === 'ok') preferences.push(parsed.preference)
  }
  return preferences
}

/** The platform in the names that are compared. */
export function normalPlatform({ os, architecture }: Platform): Platform {
  return { architecture: normalArchitecture(architecture), os: os.toLowerCase() }
}
