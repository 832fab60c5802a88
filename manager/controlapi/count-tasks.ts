// How many tasks a service has and is to have, as users are told.
import { isActive, type Service, type Task, TaskState } from '../../proto/objects/index.ts'
import { serviceViewOf } from '../loops/service-reconciler.ts'
import { nodesOfGlobal } from '../orchestrator/global.ts'
import type { ReadTx } from '../store/store.ts'

export interface TaskCounts {
  readonly running: number
  readonly desired: number
  /** Of a job. */
  readonly completed: number
}

/** O(its tasks), and O(nodes) of a service with one task a node. */
export function countTasks(tx: ReadTx, service: Service): TaskCounts {
  let running = 0
  for (const task of tx.find('tasks', 'byService', service.id)) if (isRunning(task)) running += 1
  return { running, desired: desiredTasks(tx, service), completed: 0 }
}

function desiredTasks(tx: ReadTx, service: Service): number {
  const { mode } = service.spec
  switch (mode.kind) {
    case 'replicated':
      return mode.replicas
    case 'global':
      return nodesOfGlobal(service, serviceViewOf(tx, service.id, 'all')).size
    case 'replicated-job':
    case 'global-job':
    case 'cron':
      return 0
  }
}

/** Runs and is meant to: a task that was replaced because its node is down does not count. */
export function isRunning(task: Task): boolean {
  return task.state === TaskState.RUNNING && isActive(task)
}
