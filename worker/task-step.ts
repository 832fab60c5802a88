// What an agent does next for one task: a pure function of what is wanted, what was observed and what the
// executor says of its container. Not for doing it (task-driver.ts).
// Source: Docker Swarm's task model; the texts are those its users know.
import { unreachable } from '../proto/lib/assert.ts'
import { isTerminal, type TaskHealth, TaskState } from '../proto/objects/index.ts'

/** What the executor says of a task's container. */
export type ContainerFact =
  | { readonly kind: 'absent' }
  | { readonly kind: 'created' }
  | { readonly kind: 'running' }
  | { readonly kind: 'exited'; readonly exitCode: number; readonly why: string }

export interface TaskFacts {
  /** `gone`: no longer assigned to this node. */
  readonly desired: TaskState | 'gone'
  /** The highest state seen so far, here or in the store. */
  readonly observed: TaskState
  readonly container: ContainerFact
  /** Whether it may be said to run: it waits on its ports, or was given time for it. Default true. */
  readonly isListening?: boolean
  /** Whether it is on the networks that it was connected to while it ran, and off those it left. Default true. */
  readonly isWired?: boolean
  /** What its health check says; undefined: it has none. */
  readonly health?: TaskHealth | undefined
  /** Whether no node leads connections to it any more, as far as can be known. Default true. */
  readonly isDrained?: boolean
}

/** A state to be reported. */
export interface Transition {
  readonly state: TaskState
  readonly message: string
  readonly err: string
}

/**
 * `idle`: nothing to do until the facts change. `report`: the observed state moves on. `prepare`: pull and create.
 * `start`, `stop`, `remove`: of the container. `await-ports`: until it waits on them.
 * `await-health`: until it is healthy or is not. `await-drained`: until nobody leads connections to it. `wire`: one network more or less.
 * `watch`: wait for its end.
 * `forget`: no trace is left.
 */
export type TaskAction =
  | { readonly kind: 'idle' }
  | { readonly kind: 'report'; readonly to: Transition }
  | { readonly kind: 'prepare' }
  | { readonly kind: 'start' }
  | { readonly kind: 'await-ports' }
  | { readonly kind: 'await-health' }
  | { readonly kind: 'await-drained' }
  | { readonly kind: 'wire' }
  | { readonly kind: 'watch' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'remove' }
  | { readonly kind: 'forget' }

/** The next thing to do. Following it, the observed state only grows and ends where `desired` says. */
export function nextTaskAction(facts: TaskFacts): TaskAction {
  if (facts.desired === 'gone') return clear(facts.container)
  if (isTerminal(facts.observed)) return isAlive(facts.container) ? { kind: 'stop' } : idle
  const { desired } = facts
  if (desired >= TaskState.SHUTDOWN) return shutDown(facts.container)
  return walk({ ...facts, desired })
}

const idle: TaskAction = { kind: 'idle' }

function isAlive(container: ContainerFact): boolean {
  return container.kind === 'running' || container.kind === 'created'
}

function report(state: TaskState, message: string, err = ''): TaskAction {
  return { kind: 'report', to: { state, message, err } }
}

function clear(container: ContainerFact): TaskAction {
  switch (container.kind) {
    case 'absent':
      return { kind: 'forget' }
    case 'running':
      return { kind: 'stop' }
    case 'created':
    case 'exited':
      return { kind: 'remove' }
    default:
      return unreachable(container, 'container fact')
  }
}

function shutDown(container: ContainerFact): TaskAction {
  return isAlive(container) ? { kind: 'stop' } : report(TaskState.SHUTDOWN, 'shutdown')
}

/** Along accepted, preparing, ready, starting, running. */
function walk(facts: TaskFacts & { readonly desired: TaskState }): TaskAction {
  const { desired, observed, container } = facts
  if (observed < TaskState.ACCEPTED) return report(TaskState.ACCEPTED, 'accepted')
  if (observed < TaskState.PREPARING) return report(TaskState.PREPARING, 'preparing')
  if (observed < TaskState.READY) {
    if (container.kind === 'absent') return { kind: 'prepare' }
    return report(TaskState.READY, 'prepared')
  }
  if (observed < TaskState.STARTING) return atReady(desired, container)
  return atStarting(facts)
}

function atReady(desired: TaskState, container: ContainerFact): TaskAction {
  if (container.kind === 'exited') {
    return report(TaskState.REJECTED, 'preparing', 'the container ended before it was started')
  }
  // A container that vanished while nobody needed it is simply made again.
  if (container.kind === 'absent') return { kind: 'prepare' }
  return desired <= TaskState.READY ? idle : report(TaskState.STARTING, 'starting')
}

/** The container is or was to run. */
function atStarting(facts: TaskFacts): TaskAction {
  const { container } = facts
  switch (container.kind) {
    case 'created':
      return { kind: 'start' }
    case 'running':
      return whileRunning(facts)
    case 'exited':
      return ended(container, facts.health)
    case 'absent':
      return report(TaskState.FAILED, 'started', 'the container of the task is gone')
    default:
      return unreachable(container, 'container fact')
  }
}

/** A health check says more of a task than that its ports are waited on. Source: swarm-semantics 1.2, STARTING. */
function whileRunning(facts: TaskFacts): TaskAction {
  const { observed, health, isListening = true, isWired = true, isDrained = true } = facts
  const hasRun = observed >= TaskState.RUNNING
  if (health?.state === 'unhealthy') {
    return { kind: isDrained || !hasRun ? 'stop' : 'await-drained' }
  }
  if (hasRun) return { kind: isWired ? 'watch' : 'wire' }
  if (health?.state === 'starting') return { kind: 'await-health' }
  const isReady = health !== undefined || isListening
  return isReady ? report(TaskState.RUNNING, 'started') : { kind: 'await-ports' }
}

/** Also with exit code 0: Swarm calls such a task complete, and so does not always replace it. */
function unhealthy(exitCode: number, health: TaskHealth): TaskAction {
  const code = exitCode === 0 ? [] : [`non-zero exit (${exitCode})`]
  const times =
    health.failures === 1 ? 'its health check' : `${health.failures} health checks in a row`
  // On one line, as it stands in tables and beside progress; the health log has it as it came.
  const output = health.output.trim().replace(/\s+/g, ' ')
  const last = output === '' ? '' : `, the last with ${output}`
  const why = `dockerexec: unhealthy container (${times} failed${last})`
  return report(TaskState.FAILED, 'started', ['task', ...code, why].join(': '))
}

function ended(
  exited: Extract<ContainerFact, { readonly kind: 'exited' }>,
  health: TaskHealth | undefined,
): TaskAction {
  if (health?.state === 'unhealthy') return unhealthy(exited.exitCode, health)
  if (exited.exitCode === 0 && exited.why === '') return report(TaskState.COMPLETE, 'finished')
  const code = exited.exitCode === 0 ? [] : [`non-zero exit (${exited.exitCode})`]
  const why = exited.why === '' ? [] : [exited.why]
  return report(TaskState.FAILED, 'started', ['task', ...code, ...why].join(': '))
}
