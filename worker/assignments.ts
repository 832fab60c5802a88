// What a set or its increments make of the assignments of this node. Pure; not for running them (task-manager.ts).
import {
  type AssignedTask,
  type Assignments,
  type AssignmentUpdate,
  compareStamps,
  type SpecHash,
  type TaskId,
} from '../proto/objects/index.ts'
import type { TaskSpec } from '../proto/spec/service-spec.ts'

export const noAssignments: Assignments = { stamp: undefined, tasks: new Map(), specs: new Map() }

/**
 * `stale`: older than what is known, to be ignored (a set: its manager lags behind, so the session is worthless).
 * `gap`: something in between is missing; only a new session with its full set helps.
 */
export type AssignmentResult =
  | { readonly kind: 'applied'; readonly assignments: Assignments }
  | { readonly kind: 'stale' }
  | { readonly kind: 'gap'; readonly reason: string }

/** The assignments after an update. Cost: O(tasks of the node). */
export function applyAssignmentUpdate(
  current: Assignments,
  update: AssignmentUpdate,
): AssignmentResult {
  if (current.stamp !== undefined && compareStamps(update.stamp, current.stamp) < 0) {
    return { kind: 'stale' }
  }
  if (update.kind === 'set') {
    return withSpecs(update.stamp, new Map(update.tasks.map((task) => [task.id, task])), [
      ...update.specs.map((record) => [record.hash, record.spec] as const),
    ])
  }
  if (current.stamp === undefined || compareStamps(update.previous, current.stamp) !== 0) {
    const at = current.stamp === undefined ? 'nothing' : `index ${current.stamp.index}`
    return { kind: 'gap', reason: `changes on top of index ${update.previous.index}, but at ${at}` }
  }
  const tasks = new Map(current.tasks)
  for (const task of update.update) tasks.set(task.id, task)
  for (const id of update.remove) tasks.delete(id)
  return withSpecs(update.stamp, tasks, [
    ...current.specs,
    ...update.specs.map((record) => [record.hash, record.spec] as const),
  ])
}

/** Keeps only the specs that a task uses. */
function withSpecs(
  stamp: Assignments['stamp'],
  tasks: ReadonlyMap<TaskId, AssignedTask>,
  known: readonly (readonly [SpecHash, TaskSpec])[],
): AssignmentResult {
  const used = new Set<SpecHash>()
  for (const task of tasks.values()) used.add(task.specHash)
  const specs = new Map(known.filter(([hash]) => used.has(hash)))
  for (const task of tasks.values()) {
    if (!specs.has(task.specHash)) {
      return { kind: 'gap', reason: `task ${task.id} came without its spec ${task.specHash}` }
    }
  }
  return { kind: 'applied', assignments: { stamp, tasks, specs } }
}
