// What the test tells a member process over its pipe, and what comes back. Raft's own messages never take this way.
import type {
  Leadership,
  MemberStep,
  Members,
  RaftCredentials,
  RaftPeer,
} from '../../manager/raft/raft-handle.ts'
import type { ObjectCall, ObjectKind, ObjectResult } from './machine.ts'

export interface MemberConfig {
  readonly id: string
  readonly directory: string
  readonly listenAddress: string
  readonly credentials: RaftCredentials
  readonly peers: readonly RaftPeer[]
  readonly isFounder: boolean
  readonly snapshotLogBytes: number
  /** Wrong on purpose: while this member believes that it leads, it answers reads without asking the quorum. */
  readonly readsLocally: boolean
}

export type Order = { readonly kind: 'start'; readonly config: MemberConfig } | RunningOrder

export type RunningOrder =
  | {
      readonly kind: 'call'
      readonly object: ObjectKind
      readonly key: string
      readonly call: ObjectCall
    }
  | { readonly kind: 'state' }
  | { readonly kind: 'change'; readonly steps: readonly MemberStep[] }
  | { readonly kind: 'transfer'; readonly to: string | undefined }
  | { readonly kind: 'compact' }
  | { readonly kind: 'set-peers'; readonly peers: readonly RaftPeer[] }

/** `failed`: without effect, now and for ever. `unknown`: it may take effect yet. */
export type CallAnswer =
  | { readonly kind: 'ok'; readonly result: ObjectResult }
  | { readonly kind: 'failed'; readonly leader: string | undefined }
  | { readonly kind: 'unknown' }

export interface StateAnswer {
  readonly index: number
  readonly digest: string
  readonly restores: number
  /** This process's idea of the time of day. */
  readonly wallMs: number
  readonly leadership: Leadership
  readonly members: Members
  readonly snapshotIndex: number
}

export type Reply =
  | { readonly kind: 'done'; readonly id: number; readonly result: unknown }
  | { readonly kind: 'refused'; readonly id: number; readonly message: string }
  | { readonly kind: 'leadership'; readonly leadership: Leadership }
  /** Raft ended by itself. */
  | { readonly kind: 'closed'; readonly message: string }
