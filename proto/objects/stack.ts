// What a stack was after each of its deployments. The newest row of a stack is its newest revision.
import type { PayloadKind } from '../spec/payload-spec.ts'
import type { NodeId } from './ids.ts'

/** found: what was there before the first that was recorded. */
export type StackRevisionKind = 'deploy' | 'rollback' | 'found'

/** deploying: it goes on, or its client went away. reverted: `stack deploy --atomic` brought back what was before. */
export type StackRevisionState = 'deploying' | 'deployed' | 'failed' | 'reverted'

export interface StackRevision {
  readonly stack: string
  /** Among those of its stack, from 1. */
  readonly revision: number
  readonly version: number
  /** When it began. Cluster time. */
  readonly createdAtMs: number
  readonly updatedAtMs: number
  readonly kind: StackRevisionKind
  /** 0: it is no rollback. */
  readonly rollbackTo: number
  readonly state: StackRevisionState
  readonly message: string
  readonly clientNodeId: NodeId
  readonly clientUser: string
  readonly changes: readonly StackChange[]
  /** A StackContent of the protocol, encoded: it is read only when it is asked for. Empty: nothing can come back. */
  readonly content: Uint8Array
  /** Of the content, whatever the order of its maps; empty without. */
  readonly digest: string
  /** Of secrets and configs, those that its services have. */
  readonly versions: readonly StackVersion[]
}

export interface StackChange {
  readonly action: 'create' | 'change' | 'roll' | 'remove'
  readonly kind: 'network' | 'service' | PayloadKind
  readonly name: string
  /** Of its spec, where it changed. */
  readonly fields: readonly string[]
}

/** A version of a secret or config. */
export interface StackVersion {
  readonly kind: PayloadKind
  readonly id: string
  readonly name: string
  readonly revision: number
}

/** The label of whatever belongs to a stack: its name. Source: Swarm. */
export const namespaceLabel = 'com.docker.stack.namespace'

export function stackRevisionId({
  stack,
  revision,
}: Pick<StackRevision, 'stack' | 'revision'>): string {
  return `${stack}/${revision}`
}
