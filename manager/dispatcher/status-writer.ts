// Writes what agents report of their tasks, on the leader: many statuses in one transaction, a state only ever
// growing, and only of tasks of the reporting node. Not for who may report (leader-sessions.ts).

import { hasCode, SwarmError } from '../../proto/errors.ts'
import { createBackoff } from '../../proto/lib/backoff.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import type { Random } from '../../proto/lib/random.ts'
import { isSameValue } from '../../proto/lib/same-value.ts'
import {
  isTerminal,
  type NodeId,
  type Task,
  TaskState,
  type TaskStatus,
} from '../../proto/objects/index.ts'
import type { ReadTx, Store } from '../store/store.ts'
import { withConnections } from './connection-statuses.ts'

/** Statuses a transaction; the store allows 200 changes. */
const statusesPerWriteMax = 100
/** Transactions on their way; the store groups them into entries. */
const writesMax = 8

export interface Report {
  readonly nodeId: NodeId
  readonly status: TaskStatus
}

interface Waiting {
  readonly reports: readonly Report[]
  readonly settle: (err?: unknown) => void
}

export interface StatusWriterDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly signal: AbortSignal
}

export class StatusWriter {
  readonly #deps: StatusWriterDeps
  #waiting: Waiting[] = []
  #writes = 0

  constructor(deps: StatusWriterDeps) {
    this.#deps = deps
  }

  /** Resolves when everything of it is committed, or known already. Errors: NOT_LEADER. */
  write(nodeId: NodeId, statuses: readonly TaskStatus[]): Promise<void> {
    const parts: Promise<void>[] = []
    for (let at = 0; at < statuses.length; at += statusesPerWriteMax) {
      const part = statuses.slice(at, at + statusesPerWriteMax)
      parts.push(
        new Promise((resolve, reject) => {
          const settle = (err?: unknown): void => (err === undefined ? resolve() : reject(err))
          this.#waiting.push({ reports: part.map((status) => ({ nodeId, status })), settle })
        }),
      )
    }
    this.#pump()
    return Promise.all(parts).then(() => {})
  }

  #pump(): void {
    while (this.#waiting.length > 0 && this.#writes < writesMax) {
      this.#writes += 1
      // Runs to its end by itself: the outcome goes to those who wait.
      void this.#writeOne(this.#take()).finally(() => {
        this.#writes -= 1
        this.#pump()
      })
    }
  }

  /** As many as fit into one transaction. */
  #take(): readonly Waiting[] {
    let count = 0
    let size = 0
    for (const { reports } of this.#waiting) {
      if (count > 0 && size + reports.length > statusesPerWriteMax) break
      count += 1
      size += reports.length
    }
    return this.#waiting.splice(0, count)
  }

  async #writeOne(batch: readonly Waiting[]): Promise<void> {
    const reports = batch.flatMap((one) => one.reports)
    try {
      await this.#update(reports)
      for (const { settle } of batch) settle()
    } catch (err) {
      for (const { settle } of batch) settle(err)
    }
  }

  /** Repeats what may be repeated: a status applied twice is applied once. */
  async #update(reports: readonly Report[]): Promise<void> {
    const { store, clock, random, signal } = this.#deps
    const backoff = createBackoff({ firstMs: 20, maxMs: 1_000, random })
    while (true) {
      if (signal.aborted) throw new SwarmError('NOT_LEADER', 'this manager no longer leads')
      try {
        if (store.view((tx) => reports.every((report) => isKnown(tx, report)))) return
        return await store.update((tx) => {
          for (const report of reports) {
            const task = tx.get('tasks', report.status.taskId)
            const next = task === undefined ? undefined : withStatus(task, report, tx.nowMs)
            if (next !== undefined) tx.update('tasks', next)
          }
        })
      } catch (err) {
        if (!hasCode(err, 'OUTCOME_UNKNOWN', 'RESOURCE_EXHAUSTED', 'UNAVAILABLE')) throw err
        await wait(clock, backoff.nextMs(), signal)
      }
    }
  }
}

/**
 * Whether the store has the status, or a later one, for certain. Of a task that is not on that node here it cannot tell: another
 * manager may have applied the assignment, and the node acted on it, before this one did.
 */
export function isKnown(tx: ReadTx, report: Report): boolean {
  const task = tx.get('tasks', report.status.taskId)
  return task?.nodeId === report.nodeId && withStatus(task, report, 0) === undefined
}

/** The task with what its node says; undefined when that changes nothing. */
export function withStatus(
  task: Task,
  { nodeId, status }: Report,
  nowMs: number,
): Task | undefined {
  if (task.nodeId !== nodeId || status.state < task.state) return undefined
  // Only agents' own states: others are decisions of the cluster.
  if (status.state < TaskState.ACCEPTED || status.state >= TaskState.REMOVE) return undefined
  const attachments = isTerminal(status.state)
    ? task.attachments
    : withConnections(task.attachments, status.connections)
  const isSame = attachments === task.attachments && !differs(task, status)
  if (status.state === task.state && (isTerminal(task.state) || isSame)) return undefined
  const { state, message, err, containerId, pid, exitCode, hostPorts } = status
  const health = laterHealth(task.health, status.health)
  return {
    ...task,
    state,
    stateAtMs: status.atMs,
    appliedAtMs: nowMs,
    message,
    err,
    containerId,
    pid,
    exitCode,
    hostPorts,
    attachments,
    health,
    ranAtMs: task.ranAtMs === 0 && state === TaskState.RUNNING ? nowMs : task.ranAtMs,
  }
}

const healthStates = ['starting', 'healthy', 'unhealthy'] as const

/** A health never goes back: a report that another session has overtaken makes nobody serve again. */
function laterHealth(known: Task['health'], told: Task['health']): Task['health'] {
  if (known === undefined || told === undefined) return told ?? known
  const isOlder = healthStates.indexOf(told.state) < healthStates.indexOf(known.state)
  return isOlder ? known : told
}

function differs(task: Task, status: TaskStatus): boolean {
  return (
    task.message !== status.message ||
    task.err !== status.err ||
    task.containerId !== status.containerId ||
    task.pid !== status.pid ||
    task.exitCode !== status.exitCode ||
    task.hostPorts.join() !== status.hostPorts.join() ||
    !isSameValue(task.health, laterHealth(task.health, status.health))
  )
}
