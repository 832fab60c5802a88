// Nodes that join while services run: tasks go there, and those that run elsewhere stay unless the cluster is told to rebalance, then no more
// of them at once than it may.
import type { Change, ReadTx } from '../../../../manager/store/store.ts'
import {
  isActive,
  isTerminal,
  type NodeId,
  type Task,
  type TaskId,
  TaskState,
} from '../../../../proto/objects/index.ts'
import type { Findings, Rule } from './rule.ts'

export class JoinRule implements Rule {
  readonly #findings: Findings
  #isFounded = false
  readonly #joined = new Set<NodeId>()
  /** Tasks that were made to move others, and do not run yet. */
  readonly #moving = new Set<TaskId>()

  constructor(findings: Findings) {
    this.#findings = findings
  }

  committed(changes: readonly Change[], tx: ReadTx): void {
    for (const change of changes) {
      if (change.table === 'tasks') this.#task(change, tx)
      else if (change.table === 'nodes' && change.kind === 'create' && this.#isFounded) {
        this.#joined.add(change.object.id)
      }
    }
    this.#isFounded ||= changes.some(({ table }) => table === 'cluster')
  }

  #task(change: Change<'tasks'>, tx: ReadTx): void {
    const { kind, object: task } = change
    if (kind === 'create' && task.reason === 'rebalance') this.#moves(task, tx)
    if (kind === 'remove' || isOver(task)) this.#moving.delete(task.id)
    if (kind !== 'update' || task.state !== TaskState.RUNNING) return
    if (change.old.state === task.state || task.nodeId === undefined) return
    if (this.#joined.has(task.nodeId)) this.#findings.note('task on a node that joined')
    if (task.reason === 'rebalance') this.#findings.note('task moved to where few are')
  }

  #moves({ id }: Task, tx: ReadTx): void {
    this.#moving.add(id)
    const [cluster] = tx.all('cluster')
    const { mode, movesMax } = cluster?.spec.rebalance ?? { mode: 'off', movesMax: 0 }
    if (mode === 'off') this.#findings.fail(`task ${id} is to move another, and nothing is to move`)
    else if (this.#moving.size > movesMax) {
      this.#findings.fail(`${this.#moving.size} tasks are on the move, and ${movesMax} may be`)
    }
  }
}

function isOver(task: Task): boolean {
  return task.state === TaskState.RUNNING || isTerminal(task.state) || !isActive(task)
}
