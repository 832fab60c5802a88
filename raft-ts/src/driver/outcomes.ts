// What became of a request to a driver. Outcomes are values: none of these is an error.
import type { Index, NodeId, Role, Term } from '../core/types.ts'

/**
 * `committed`: durable on a quorum and applied here. `not-leader`: not proposed, or replaced before it
 * was committed: it never will be applied. `busy`: not proposed, try again later. `lost`: the outcome is
 * unknown, it may be applied some day.
 */
export type ProposeOutcome =
  | { readonly kind: 'committed'; readonly index: Index; readonly term: Term }
  | { readonly kind: 'not-leader'; readonly leader: NodeId | undefined }
  | { readonly kind: 'busy' }
  | { readonly kind: 'lost' }

/** `committed`: the new configuration holds alone. `refused`: not valid now; `reason` says why. */
export type ChangeOutcome = ProposeOutcome | { readonly kind: 'refused'; readonly reason: string }

/**
 * `committed`: the member is a voter of a configuration that holds alone. `not-caught-up`: it stays a learner. `busy`:
 * another addition, change or transfer is under way, and did not end. `lost`: leadership ended meanwhile, and the member
 * may be a learner or a voter: ask again, whoever leads then.
 */
export type AddVoterOutcome =
  | ChangeOutcome
  | { readonly kind: 'not-caught-up'; readonly reason: string }

/** `ready`: what was committed anywhere before the call is applied here. */
export type ReadOutcome =
  | { readonly kind: 'ready'; readonly index: Index }
  | { readonly kind: 'no-leader' }
  | { readonly kind: 'busy' }

/**
 * `failed`: this node leads on, or nobody is known to lead; `reason` says which. `aborted`: by abortTransfer;
 * this node leads on, unless the target was asked to take over before: then it may do so yet.
 */
export type TransferOutcome =
  | { readonly kind: 'done'; readonly leader: NodeId }
  | { readonly kind: 'not-leader'; readonly leader: NodeId | undefined }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'aborted' }

/**
 * What a driver announces. `leader` comes only after an entry of the own term was applied here; what
 * was proposed before is settled before any other role is announced.
 */
export interface Leadership {
  readonly role: Role
  readonly leader: NodeId | undefined
  readonly term: Term
}
