/**
 * raft-ts: the public entry. Re-exports the core, the durable log and the driver; nothing else is public.
 *
 * @module raft-ts
 */
export { RaftInvariantError } from './core/assert.ts'
export { type Beginning, forceNewCluster, newCluster } from './core/bootstrap.ts'
export * from './core/config.ts'
export { entryBytes } from './core/entry-cache.ts'
export { isJoint, isVoter, membersOf } from './core/quorum.ts'
export { RaftNode } from './core/raft-node.ts'
export type * from './core/types.ts'
export { RaftDriver } from './driver/driver.ts'
export type * from './driver/driver-options.ts'
export type * from './driver/environment.ts'
export { isSnapshotFrame } from './driver/lanes.ts'
export type * from './driver/outcomes.ts'
export { type DriverRequests, driverRequests } from './driver/promises.ts'
export { defaultSnapshotPolicy, type SnapshotPolicy } from './driver/snapshot-maker.ts'
export {
  type Created,
  type Disk,
  DiskError,
  type DiskErrorCode,
  type DiskFile,
  type Done,
  type Journal,
} from './storage/disk.ts'
export {
  DamagedLogError,
  ForeignLogError,
  LogFailedError,
  LostVoteError,
  WrongKeyError,
} from './storage/errors.ts'
export {
  type KeyFile,
  openKeyFile,
  readOrCreateKeyFile,
  rotateKeyFile,
  settleKeyFile,
} from './storage/key-file.ts'
export { DurableLog } from './storage/log.ts'
export { openNodeDisk } from './storage/node-disk.ts'
export {
  type ClusterBeginning,
  defaultSegmentBytesMax,
  openStorage,
  type Storage,
  type StorageOptions,
} from './storage/open-storage.ts'
export { type KeyEncryptionKey, type RandomBytes, systemRandomBytes } from './storage/seal.ts'
export { SnapshotReader, SnapshotWriter } from './storage/snapshot-file.ts'
export { SnapshotStore } from './storage/snapshot-store.ts'
