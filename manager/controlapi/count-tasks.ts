// How many tasks a service has and is to have, as users are told.
import {
  isActive,
  isTerminal,
  type Service,
  type Task,
  TaskState,
} from '../../proto/objects/index.ts'
import { nextTimeMs } from '../../proto/spec/cron-schedule.ts'
import { serviceViewOf } from '../loops/service-reconciler.ts'
import { nodesOfGlobal } from '../orchestrator/global.ts'
import { doneSlots } from '../orchestrator/job.ts'
import type { ServiceView } from '../orchestrator/service-view.ts'
import type { ReadTx } from '../store/store.ts'

export interface TaskCounts {
  readonly running: number
  /** Of a job: how many may run at a time; of a global one, how many have not ended well yet. */
  readonly desired: number
  /** Of a job: those of its present run that ended well. */
  readonly completed: number
}

/** O(its tasks), and O(nodes) of a service with one task a node. Source: Docker's ServiceStatus (swarm-semantics 7.7). */
export function countTasks(tx: ReadTx, service: Service): TaskCounts {
  const { mode } = service.spec
  const tasks = [...tx.find('tasks', 'byService', service.id)]
  const running = tasks.filter(isRunning).length
  switch (mode.kind) {
    case 'replicated':
      return { running, desired: mode.replicas, completed: 0 }
    case 'global': {
      const desired = nodesOfGlobal(service, serviceViewOf(tx, service.id, 'all')).size
      return { running, desired, completed: 0 }
    }
    case 'replicated-job': {
      const completed = doneSlots(ofRun(tasks, service)).length
      return { running, desired: mode.maxConcurrent, completed }
    }
    case 'global-job': {
      const { desired, completed } = countGlobalJob(service, serviceViewOf(tx, service.id, 'all'))
      return { running, desired, completed }
    }
    case 'cron': {
      const runs = service.cronStatus?.runs.filter(({ state }) => state === 'running') ?? []
      const atOnce = Math.min(mode.maxConcurrent, mode.completions)
      return { running, desired: runs.length * atOnce, completed: 0 }
    }
  }
}

function countGlobalJob(
  service: Service,
  view: ServiceView,
): { readonly desired: number; readonly completed: number } {
  const tasks = ofRun(view.tasks, service)
  const done = new Set(doneSlots(tasks).map(({ place }) => place))
  // What ended without success keeps nothing on a node that takes no tasks now.
  const alive = tasks.filter(({ state }) => !isTerminal(state))
  const wanted = nodesOfGlobal(service, { ...view, tasks: alive })
  return { desired: [...wanted].filter((id) => !done.has(id)).length, completed: done.size }
}

/** When the next run of a cron service is due; 0: never, or it is none. */
export function nextRunMs({ spec, cronStatus }: Service, nowMs: number): number {
  if (spec.mode.kind !== 'cron') return 0
  return nextTimeMs(spec.mode, Math.max(nowMs, cronStatus?.decidedMs ?? 0)) ?? 0
}

/** Those of the present run of a job; all of other services. */
export function ofRun(tasks: readonly Task[], { jobStatus }: Service): readonly Task[] {
  if (jobStatus === undefined) return tasks
  return tasks.filter(({ jobIteration }) => jobIteration === jobStatus.iteration)
}

/** Runs and is meant to: a task that was replaced because its node is down does not count. */
export function isRunning(task: Task): boolean {
  return task.state === TaskState.RUNNING && isActive(task)
}
