// What the store needs of consensus. The Raft shell implements it, and so does the in-memory proposer.

/**
 * `committed`: and already given to the store's apply on this node.
 * `not-leader`: nothing was proposed, and leadership is over.
 * `busy`: nothing was proposed, too much is under way; worth repeating in a moment.
 * `unknown`: it may have been, or may still be, committed.
 */
export type ProposalOutcome =
  | { readonly kind: 'committed'; readonly index: number }
  | { readonly kind: 'not-leader' }
  | { readonly kind: 'busy' }
  | { readonly kind: 'unknown' }

export interface Proposer {
  /**
   * Whether entries leave this process. When false the store passes only an entry's header, which is enough for
   * its own apply and saves the encoding (for benchmarks and simulations of a single manager).
   */
  readonly needsBytes: boolean
  /** Replicates an entry; those that are committed are so in the order of the calls. Never rejects. */
  propose(data: Uint8Array): Promise<ProposalOutcome>
}

/** A committed entry, as the Raft shell hands it over. */
export interface StoreEntry {
  readonly index: number
  readonly term: number
  /** Empty: only moves the index. */
  readonly data: Uint8Array
}
