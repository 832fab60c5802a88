// A scheduler on a hand-made cluster, for tests.

import { seededRandom } from '../../proto/lib/random.ts'
import type { Node, Task, TaskSpecRecord } from '../../proto/objects/index.ts'
import type { Strategy } from '../../scheduler/demand.ts'
import {
  Scheduler,
  type SchedulingEnv,
  type SchedulingPlan,
  updatedTask,
} from '../../scheduler/plan.ts'

export interface Placement {
  readonly nodes: readonly Node[]
  readonly tasks: readonly Task[]
  readonly specs: readonly TaskSpecRecord[]
  readonly strategy?: Strategy
}

export function aScheduler(placement: Placement): Scheduler {
  return Scheduler.from({
    nodes: placement.nodes,
    tasks: placement.tasks,
    taskSpecs: placement.specs,
    strategy: placement.strategy ?? 'spread',
  })
}

export function anEnv(nowMs = 1_000_000): SchedulingEnv {
  return { nowMs, random: seededRandom(7).float }
}

/** The tasks as the plan wants them, in its order. */
export function updatedTasks(plan: SchedulingPlan, nowMs = 1_000_000): Task[] {
  return plan.updates.map((update) => updatedTask(update, nowMs))
}

/** Commits the plan: the scheduler sees its updates as changes with the next versions. */
export function commit(scheduler: Scheduler, plan: SchedulingPlan): void {
  for (const update of plan.updates) {
    const after = updatedTask(update, 1_000_000)
    scheduler.changeTask(update.task, { ...after, version: after.version + 1 })
  }
}

/** "task>node" for each assignment, by task id. */
export function placements(plan: SchedulingPlan): string[] {
  return updatedTasks(plan)
    .filter((task) => task.nodeId !== undefined)
    .map((task) => `${task.id}>${task.nodeId}`)
    .sort()
}
