// Networks that running tasks are to be taken off: known until no node leads connections there any more. Keeps what the
// drain loop waits for; writes nothing by itself.
import type { Clock } from '../../proto/lib/clock.ts'
import {
  isTerminal,
  type NetworkId,
  type Task,
  type TaskAttachment,
  type TaskId,
} from '../../proto/objects/index.ts'
import { dnsTtlSeconds } from '../../proto/objects/overlay.ts'
import type { AckTable } from '../overlay/ack-table.ts'
import type { ReadTx, Tx } from '../store/store.ts'

/** What is waited for before its node may take it away. */
export interface Leaving {
  readonly taskId: TaskId
  readonly networkId: NetworkId
  /** The commit since which nobody is led there anew. */
  readonly index: number
  /** On the monotonic clock. */
  readonly sinceMs: number
  /** When all nodes were seen to have followed. */
  reachedAtMs: number | undefined
}

export interface DueConnections {
  readonly due: readonly Leaving[]
  /** How many of them some node did not let go of in time. */
  readonly late: number
  /** On the monotonic clock; Infinity: nothing else is waited for. */
  readonly nextAtMs: number
}

export class LeavingConnections {
  readonly #acks: Pick<AckTable, 'reachedIndex'>
  readonly #clock: Clock
  /** A node that does not follow is not waited for longer than this. */
  readonly #drainMs: number
  readonly #leaving = new Map<string, Leaving>()

  constructor(acks: Pick<AckTable, 'reachedIndex'>, clock: Clock, drainMs: number) {
    this.#acks = acks
    this.#clock = clock
    this.#drainMs = drainMs
  }

  /** `index`: of the commit after which the task is as it is now. */
  note(before: Task | undefined, after: Task | undefined, index: number): void {
    for (const { networkId } of before?.attachments.filter(isLeaving) ?? []) {
      const isStill = after?.attachments.some(
        (one) => one.networkId === networkId && isLeaving(one),
      )
      if (isStill !== true) this.#leaving.delete(`${before?.id} ${networkId}`)
    }
    if (after === undefined || isTerminal(after.state)) return
    for (const { networkId } of after.attachments.filter(isLeaving)) {
      const key = `${after.id} ${networkId}`
      if (this.#leaving.has(key)) continue
      const sinceMs = this.#clock.monotonicMs()
      const what = { taskId: after.id, networkId, index, sinceMs, reachedAtMs: undefined }
      this.#leaving.set(key, what)
    }
  }

  due(tx: ReadTx): DueConnections {
    const nowMs = this.#clock.monotonicMs()
    const due: Leaving[] = []
    let late = 0
    let nextAtMs = Number.POSITIVE_INFINITY
    for (const [key, leaving] of this.#leaving) {
      const task = tx.get('tasks', leaving.taskId)
      if (task === undefined || isTerminal(task.state)) {
        this.#leaving.delete(key)
        continue
      }
      const atMs = this.#releaseAtMs(leaving)
      if (atMs > nowMs) nextAtMs = Math.min(nextAtMs, atMs)
      else {
        due.push(leaving)
        if (leaving.reachedAtMs === undefined) late += 1
      }
    }
    return { due, late, nextAtMs }
  }

  /** Its node may take them away. */
  write(tx: Tx, due: readonly Leaving[]): void {
    for (const { taskId, networkId } of due) {
      const task = tx.get('tasks', taskId)
      if (task === undefined || isTerminal(task.state)) continue
      const attachments = task.attachments.map((one) =>
        one.networkId === networkId && one.connection?.phase === 'leaving'
          ? { ...one, connection: { ...one.connection, phase: 'drained' as const } }
          : one,
      )
      tx.update('tasks', { ...task, attachments })
    }
  }

  /** They were written. */
  forget(due: readonly Leaving[]): void {
    for (const { taskId, networkId } of due) this.#leaving.delete(`${taskId} ${networkId}`)
  }

  /** Who looked its name up a moment ago may still connect to it. */
  #releaseAtMs(leaving: Leaving): number {
    if (this.#acks.reachedIndex(leaving.networkId) >= leaving.index) {
      leaving.reachedAtMs ??= this.#clock.monotonicMs()
    }
    if (leaving.reachedAtMs === undefined) return leaving.sinceMs + this.#drainMs
    return leaving.reachedAtMs + dnsTtlSeconds * 1000
  }
}

function isLeaving({ connection }: TaskAttachment): boolean {
  return connection?.phase === 'leaving'
}
