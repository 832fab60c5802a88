// The store by itself: what an update costs, with and without encoding, what a follower pays to apply it, and what a snapshot of very many
// tasks does to the loop.
import { createMemoryStore } from '../../manager/store/memory-store.ts'
import type { ReplicatedStore } from '../../manager/store/replicated-store.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import { nodeId, type Task, TaskState } from '../../proto/objects/index.ts'
import { aTask } from '../support/objects.ts'

interface UpdateFigure {
  readonly tasks: number
  readonly entries: 'headers only' | 'encoded'
  readonly createMs: number
  readonly updateMs: number
  readonly updatesPerSecond: number
}

interface SnapshotFigure {
  readonly tasks: number
  readonly heapMb: number
  readonly snapshotMs: number
  readonly snapshotMb: number
  /** Longest time that nothing else ran. */
  readonly snapshotStallMs: number
  readonly restoreMs: number
  readonly restoreStallMs: number
}

const changesMax = 200
const rounds = 3

export async function runStoreBench(): Promise<{
  readonly updates: readonly UpdateFigure[]
  readonly snapshots: readonly SnapshotFigure[]
}> {
  const updates = [await measureUpdates(false), await measureUpdates(true)]
  return { updates, snapshots: [await measureSnapshot(100_000), await measureSnapshot(1_000_000)] }
}

function newStore(encode: boolean): ReplicatedStore {
  return createMemoryStore({ clock: systemClock, random: systemRandom, encode })
}

/** Medians of a few rounds. */
async function measureUpdates(encode: boolean): Promise<UpdateFigure> {
  const tasks = 100_000
  const creates: number[] = []
  const updates: number[] = []
  for (let round = 0; round < rounds; round++) {
    const store = newStore(encode)
    creates.push(await timed(() => fill(store, tasks)))
    const all = store.view((tx) => [...tx.all('tasks')])
    updates.push(await timed(() => assign(store, all)))
  }
  const updateMs = median(updates)
  return {
    tasks,
    entries: encode ? 'encoded' : 'headers only',
    createMs: median(creates),
    updateMs,
    updatesPerSecond: Math.round((tasks / updateMs) * 1000),
  }
}

async function measureSnapshot(tasks: number): Promise<SnapshotFigure> {
  const store = newStore(false)
  await fill(store, tasks)
  globalThis.gc?.()
  const heapMb = Math.round(process.memoryUsage().heapUsed / 1e6)
  // As in a manager, which hands each chunk to the Raft thread: kept ones would press the collector.
  const written = await stalls(async () => {
    for await (const _ of store.snapshot());
  })
  const chunks: Uint8Array[] = []
  for await (const chunk of store.snapshot()) chunks.push(chunk)
  const read = await stalls(() => newStore(false).restore(1, streamOf(chunks)))
  const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  return {
    tasks,
    heapMb,
    snapshotMs: written.ms,
    snapshotMb: Math.round(bytes / 1e6),
    snapshotStallMs: written.stallMs,
    restoreMs: read.ms,
    restoreStallMs: read.stallMs,
  }
}

async function fill(store: ReplicatedStore, tasks: number): Promise<void> {
  for (let at = 0; at < tasks; at += changesMax) {
    await store.update((tx) => {
      for (let i = at; i < Math.min(tasks, at + changesMax); i++) {
        const id = `task-${i.toString(36).padStart(20, '0')}`
        tx.create('tasks', aTask({ id, service: `service-${i % 100}`, slot: i + 1 }))
      }
    })
  }
}

async function assign(store: ReplicatedStore, tasks: readonly Task[]): Promise<void> {
  const nodes = Array.from({ length: 1_000 }, (_, i) => nodeId(`node-${i}`))
  for (let at = 0; at < tasks.length; at += changesMax) {
    await store.update((tx) => {
      for (const [i, task] of tasks.slice(at, at + changesMax).entries()) {
        tx.update('tasks', { ...task, nodeId: nodes[i % 1_000], state: TaskState.ASSIGNED })
      }
    })
  }
}

async function timed(run: () => Promise<void>): Promise<number> {
  const startMs = performance.now()
  await run()
  return Math.round(performance.now() - startMs)
}

/** Runs it while a turn of the loop is measured against the next. */
async function stalls(
  run: () => Promise<void>,
): Promise<{ readonly ms: number; readonly stallMs: number }> {
  let lastMs = performance.now()
  let stallMs = 0
  let isRunning = true
  const turn = (): void => {
    const nowMs = performance.now()
    stallMs = Math.max(stallMs, nowMs - lastMs)
    lastMs = nowMs
    if (isRunning) setImmediate(turn)
  }
  setImmediate(turn)
  const ms = await timed(run)
  isRunning = false
  return { ms, stallMs: Math.round(stallMs) }
}

async function* streamOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
}
