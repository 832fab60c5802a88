// Task states and their order. The observed state of a task never decreases.
// Source: Docker Swarm's task model (the numbers are SwarmKit's).

export const TaskState = {
  NEW: 0,
  PENDING: 64,
  ASSIGNED: 192,
  ACCEPTED: 256,
  PREPARING: 320,
  READY: 384,
  STARTING: 448,
  RUNNING: 512,
  COMPLETE: 576,
  SHUTDOWN: 640,
  FAILED: 704,
  REJECTED: 768,
  /** A desired state only: gone from the store once stopped. */
  REMOVE: 800,
  ORPHANED: 832,
} as const

export type TaskState = (typeof TaskState)[keyof typeof TaskState]

const names: ReadonlyMap<number, string> = new Map(
  Object.entries(TaskState).map(([name, value]) => [value, name.toLowerCase()]),
)

/** Lower-case name as users see it. */
export function taskStateName(state: TaskState): string {
  return names.get(state) ?? 'unknown'
}

/** Whether the number is a state. */
export function isTaskState(value: number): value is TaskState {
  return names.has(value)
}

/** Whether a task in this observed state has ended and never runs again. */
export function isTerminal(state: TaskState): boolean {
  return state >= TaskState.COMPLETE
}
