// Beginnings: the first entries of a new cluster, and of one rebuilt from a single survivor.
import { emptyConf } from './quorum.ts'
import type { ConfState, Entry, HardState, Index, NodeId } from './types.ts'

/** What storage makes durable before the RaftNode is built. */
export interface Beginning {
  readonly hardState: HardState
  readonly entries: readonly Entry[]
}

/** The log that every founding member starts from: the same on each. A later member starts with an empty log. */
export function newCluster(voters: readonly NodeId[]): Beginning {
  const conf: ConfState = { ...emptyConf, voters }
  return {
    hardState: { term: 1, vote: undefined, commit: 1 },
    entries: [{ kind: 'conf', term: 1, index: 1, conf }],
  }
}

/**
 * Recovery from a lost quorum: appended to the survivor's log, makes it the only member. Entries that only lost
 * nodes held are dropped; those of its own log that were never committed are committed now. The old members
 * must never come back with their data: they hold another history under the same ids.
 */
export function forceNewCluster(id: NodeId, hardState: HardState, lastIndex: Index): Beginning {
  // A term of its own: no entry of the old cluster can have this term and index.
  const term = hardState.term + 1
  const conf: ConfState = { ...emptyConf, voters: [id] }
  return {
    hardState: { term, vote: undefined, commit: hardState.commit },
    entries: [{ kind: 'conf', term, index: lastIndex + 1, conf }],
  }
}
