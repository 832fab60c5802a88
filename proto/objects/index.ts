// The domain types in one place. The only barrel beside raft-ts's entry files.
export * from './assignment.ts'
export type * from './cluster.ts'
export * from './ids.ts'
export type * from './node.ts'
export type * from './plan.ts'
export type * from './service.ts'
export * from './task.ts'
export * from './task-state.ts'
