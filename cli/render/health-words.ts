// The health of a task in words: as `docker ps` has it beside the state, and what the last failed probe said.
import type { Task, TaskHealth } from '../../proto/gen/tsswarm/v1/objects.ts'
import { TaskState } from '../../proto/objects/task-state.ts'
import { ago } from './human.ts'

/** " (healthy)" after the state of a task that lives; empty without a health check. */
export function healthMark(task: Task | undefined): string {
  const health = livingHealth(task)
  if (health === undefined) return ''
  return health.state === 'starting' ? ' (health: starting)' : ` (${health.state})`
}

/** What a living task is failing with; empty: nothing. */
export function failingText(task: Task | undefined): string {
  const health = livingHealth(task)
  if (health === undefined || health.output === '') return ''
  const isFailing = health.failures > 0 || health.state === 'starting'
  return isFailing ? `health check: ${health.output}` : ''
}

/** "2 minutes ago, 1 in a row: exit code 1"; empty: none failed. */
export function healthLog(health: TaskHealth | undefined, nowMs: number): string {
  if (health === undefined || health.failedAtMs === 0) return ''
  const when = ago(health.failedAtMs, nowMs).toLowerCase()
  const inRow = health.failures === 0 ? 'healthy since' : `${health.failures} in a row`
  return `${when}, ${inRow}: ${health.output.replaceAll('\n', ' ')}`
}

function livingHealth(task: Task | undefined): TaskHealth | undefined {
  const isAlive = task?.state === TaskState.STARTING || task?.state === TaskState.RUNNING
  return isAlive ? task.health : undefined
}
