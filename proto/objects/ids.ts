// Branded identifiers, so that one kind is never taken for another. Constructors only brand; they do not validate.

declare const brand: unique symbol
type Id<Name extends string> = string & { readonly [brand]: Name }

export type ClusterId = Id<'cluster'>
export type NodeId = Id<'node'>
export type ServiceId = Id<'service'>
export type TaskId = Id<'task'>
export type NetworkId = Id<'network'>
/** Of one version of a secret or config. */
export type PayloadId = Id<'payload'>
/** Content address of a TaskSpec. */
export type SpecHash = Id<'spec-hash'>
export type SessionId = Id<'session'>
/** Member id inside Raft; new at every join, never reused. */
export type RaftId = Id<'raft'>

export const clusterId = (text: string): ClusterId => text as ClusterId
export const nodeId = (text: string): NodeId => text as NodeId
export const serviceId = (text: string): ServiceId => text as ServiceId
export const taskId = (text: string): TaskId => text as TaskId
export const networkId = (text: string): NetworkId => text as NetworkId
export const payloadId = (text: string): PayloadId => text as PayloadId
export const specHash = (text: string): SpecHash => text as SpecHash
export const sessionId = (text: string): SessionId => text as SessionId
export const raftId = (text: string): RaftId => text as RaftId
