// Planted bugs of the service model: a leader that now and then writes what no reconciler may. Each breaks one promise that the oracle watches.
import type { ReplicatedStore } from '../../../manager/store/replicated-store.ts'
import type { Tx } from '../../../manager/store/store.ts'
import { type Clock, wait } from '../../../proto/lib/clock.ts'
import type { NamedLoop } from '../../../proto/lib/lifecycle.ts'
import { type Task, TaskState, taskId } from '../../../proto/objects/index.ts'

/** To plant another bug of this kind, add it here. Each changes one thing, or nothing when there is nothing fit for it. */
const meddlings = {
  /** An observed state that was left behind comes back. */
  'state-goes-back': (tx: Tx): void => {
    const task = first(tx, ({ state }) => state === TaskState.RUNNING)
    if (task !== undefined) tx.update('tasks', { ...task, state: TaskState.STARTING })
  },
  /** A time of a schedule passes, and nobody tells. */
  'skip-a-run': (tx: Tx): void => {
    for (const service of tx.all('services')) {
      const { cronStatus } = service
      if (cronStatus === undefined) continue
      const decidedMs = cronStatus.decidedMs + 60_000
      tx.update('services', { ...service, cronStatus: { ...cronStatus, decidedMs } })
      return
    }
  },
  /** A task starts that waits for a service. */
  'start-too-early': (tx: Tx): void => {
    const task = first(
      tx,
      ({ waitsFor, desiredState }) => waitsFor !== '' && desiredState === TaskState.READY,
    )
    if (task !== undefined) tx.update('tasks', { ...task, desiredState: TaskState.RUNNING })
  },
  /** A task with a volume is made on some other node. */
  'leave-the-volume': (tx: Tx): void => {
    const task = first(
      tx,
      ({ slotVolumes, nodeId }) => slotVolumes.length > 0 && nodeId !== undefined,
    )
    if (task === undefined) return
    for (const { id } of tx.all('nodes')) {
      if (id === task.nodeId) continue
      const fresh = { ...task, id: taskId(`${task.id}x`), state: TaskState.ASSIGNED, nodeId: id }
      if (tx.get('tasks', fresh.id) === undefined) tx.create('tasks', fresh)
      return
    }
  },
  /** A task is taken to run before its first probe. */
  'run-unasked': (tx: Tx): void => {
    const task = first(tx, ({ health, state }) => isStarting(state) && health?.state === 'starting')
    if (task !== undefined) tx.update('tasks', { ...task, state: TaskState.RUNNING })
  },
  /** A slot gets one more task than it is to have. */
  'one-too-many': (tx: Tx): void => {
    const task = first(tx, ({ state, desiredState, slot, serviceId }) => {
      const mode = tx.get('services', serviceId)?.spec.mode.kind
      const runs = state === TaskState.RUNNING && desiredState === TaskState.RUNNING
      return runs && slot > 0 && mode === 'replicated'
    })
    if (task === undefined) return
    for (const id of [taskId(`${task.id}x`), taskId(`${task.id}y`)]) {
      const fresh = { ...task, id, state: TaskState.PENDING, nodeId: undefined }
      if (tx.get('tasks', id) === undefined) tx.create('tasks', fresh)
    }
  },
  /** An update that failed goes on. */
  'roll-on': (tx: Tx): void => {
    for (const { id, updateStatus, spec } of tx.all('services')) {
      if (updateStatus?.state !== 'paused' || spec.mode.kind !== 'replicated') continue
      const task = first(
        tx,
        (one) => one.serviceId === id && one.desiredState >= TaskState.SHUTDOWN,
      )
      const fresh = task && { ...task, id: taskId(`${task.id}x`), reason: 'update' as const }
      if (fresh === undefined || tx.get('tasks', fresh.id) !== undefined) continue
      tx.create('tasks', { ...fresh, state: TaskState.PENDING, nodeId: undefined })
    }
  },
  /** A failed update ends with what failed. */
  'go-nowhere': (tx: Tx): void => {
    for (const service of tx.all('services')) {
      const { updateStatus, spec, previousSpec } = service
      if (updateStatus?.state !== 'updating' || previousSpec === undefined) continue
      if (spec.update.failureAction !== 'rollback') continue
      const state = 'rollback_started' as const
      tx.update('services', { ...service, updateStatus: { ...updateStatus, state } })
    }
  },
  /** What a job has done is done once more. */
  'work-twice': (tx: Tx): void => {
    const task = first(
      tx,
      ({ state, jobIteration }) => state === TaskState.COMPLETE && jobIteration !== undefined,
    )
    if (task === undefined) return
    const fresh = { ...task, id: taskId(`${task.id}x`), state: TaskState.PENDING }
    if (tx.get('tasks', fresh.id) === undefined) tx.create('tasks', { ...fresh, nodeId: undefined })
  },
} as const satisfies Readonly<Record<string, (tx: Tx) => void>>

export type Meddling = keyof typeof meddlings

export const allMeddlings = Object.keys(meddlings) as readonly Meddling[]

const eachMs = 100

/** The loop of a leader with that bug; none without one. */
export function meddlingLoops(
  bug: string | undefined,
  clock: Clock,
  store: ReplicatedStore,
): readonly NamedLoop[] {
  const name = allMeddlings.find((known) => known === bug)
  if (name === undefined) return []
  const run = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      await wait(clock, eachMs, signal)
      // Without leadership nothing is written.
      await store.update(meddlings[name]).catch(() => {})
    }
  }
  return [{ name, run }]
}

function first(tx: Tx, isWanted: (task: Task) => boolean): Task | undefined {
  for (const task of tx.all('tasks')) if (isWanted(task)) return task
  return undefined
}

function isStarting(state: TaskState): boolean {
  return state >= TaskState.STARTING && state < TaskState.RUNNING
}
