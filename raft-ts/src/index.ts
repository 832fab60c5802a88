// raft-ts: the public entry. Re-exports the core, the durable log and the driver; nothing else is public.
export { RaftInvariantError } from './core/assert.ts'
export { type Beginning, forceNewCluster, newCluster } from './core/bootstrap.ts'
export * from './core/config.ts'
export { entryBytes } from './core/entry-cache.ts'
export { isJoint, isVoter, membersOf } from './core/quorum.ts'
export { RaftNode } from './core/raft-node.ts'
export type * from './core/types.ts'
