// A node: one host of the cluster.
import type { GenericResource } from '../spec/generic-resource.ts'
import type { NodeSpec, Platform } from '../spec/node-spec.ts'
import type { NodeId, RaftId, SessionId } from './ids.ts'
import type { NodeCondition } from './node-condition.ts'

export type NodeRole = 'worker' | 'manager'
export type NodeState = 'unknown' | 'down' | 'ready' | 'disconnected'

export interface NodeResources {
  readonly nanoCpus: number
  readonly memoryBytes: number
  /** One entry a kind; absent: none. */
  readonly generic?: readonly GenericResource[]
}

export interface NodeDescription {
  readonly hostname: string
  readonly platform: Platform
  readonly resources: NodeResources
  readonly engineVersion: string
  readonly engineLabels: Readonly<Record<string, string>>
  readonly featureLevel: number
  /** Outer address of its VXLAN packets; empty: the node's address. */
  readonly dataPathAddress: string
  /** What does not work there, and what to do about it; absent: nothing. */
  readonly conditions?: readonly NodeCondition[]
  /** CIDR of its local network; absent: not known. */
  readonly localSubnet?: string
  /** Names of the volumes on it that are a slot's alone; absent: none. */
  readonly slotVolumes?: readonly string[]
  /** That containers on it can have, the usual one first; absent: not known. */
  readonly runtimes?: readonly string[]
}

export interface ManagerInfo {
  readonly raftId: RaftId
  /** host:port of the control API. */
  readonly address: string
  /** host:port of the Raft transport. */
  readonly raftAddress: string
}

export interface Node {
  readonly id: NodeId
  readonly version: number
  readonly createdAtMs: number
  readonly updatedAtMs: number
  readonly spec: NodeSpec
  /** The fact, as the certificate says; spec.role is the wish. */
  readonly role: NodeRole
  /** Undefined until its agent first opened a session. */
  readonly description: NodeDescription | undefined
  readonly state: NodeState
  readonly stateMessage: string
  readonly stateAtMs: number
  /** Without port. */
  readonly address: string
  /** Set while the node is a member of Raft. */
  readonly manager: ManagerInfo | undefined
  /** The manager that holds its session. */
  readonly sessionManagerId: NodeId | undefined
  readonly sessionId: SessionId | undefined
  readonly certificateExpiresAtMs: number
  /** Undefined until it was given its part in overlay networks. */
  readonly path: PathAllocation | undefined
}

/** What a node was given to take part in overlay networks; see NodePath. */
export interface PathAllocation {
  readonly transit: readonly string[]
  readonly mac: string
  readonly mark: number
}

/** A removed node, refused until its certificate can no longer be valid. */
export interface RemovedNode {
  readonly id: NodeId
  readonly expiresAtMs: number
  /** Of its path, which no other node gets meanwhile; 0: it had none. */
  readonly mark: number
}
