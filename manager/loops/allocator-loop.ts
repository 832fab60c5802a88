// The shell around the allocator: tells it every commit, has it plan, commits the plans. Decides nothing.
import { hasCode } from '../../proto/errors.ts'
import { Bell } from '../../proto/lib/bell.ts'
import { wait } from '../../proto/lib/clock.ts'
import { type NamedLoop, runAll } from '../../proto/lib/lifecycle.ts'
import { type NetworkId, networksLevel } from '../../proto/objects/index.ts'
import { type Allocation, type AllocationView, Allocator } from '../allocator/allocator.ts'
import type { NetworkAcks } from '../overlay/network-acks.ts'
import type { Change, ReadTx, RowSource, Store, Tx } from '../store/store.ts'
import { pictureLoop } from './picture-loop.ts'
import type { ReconcileDeps } from './reconcile-loop.ts'

export interface AllocatorLoopDeps extends ReconcileDeps {
  readonly acks: NetworkAcks
  /** The Raft index at which what nodes are told of the network last changed, or a later one, as of the store's moment. */
  readonly changedIndex: (id: NetworkId) => number
}

/** Of one transaction of the store. */
const rowsOfUpdate = 200
/** Planned in one go, then written. */
const rowsOfPlan = 2_000
const commitsWaitingMax = 10_000

/** Gives addresses and paths while this manager leads. */
export function allocatorLoop(deps: AllocatorLoopDeps): NamedLoop {
  return pictureLoop(deps, 'allocator', (signal) => allocate(deps, signal))
}

async function allocate(deps: AllocatorLoopDeps, signal: AbortSignal): Promise<void> {
  const { store, acks } = deps
  const bell = new Bell()
  const ended = new AbortController()
  const commits = store.watch(
    {
      cluster: 'all',
      nodes: 'all',
      removedNodes: 'all',
      networks: 'all',
      services: 'all',
      tasks: 'all',
    },
    { signal: ended.signal, bufferMax: commitsWaitingMax },
  )
  const allocator = new Allocator()
  const learning = learn(deps, allocator, signal)
  const stopHearing = acks.onRise(() => bell.ring())
  const watch = async (): Promise<void> => {
    await learning
    for await (const commit of commits) {
      for (const change of commit.changes) tell(allocator, change, commit.index)
      bell.ring()
    }
  }
  const plan = async (own: AbortSignal): Promise<void> => {
    try {
      await learning
      while (!own.aborted) {
        if (!(await planOnce(deps, allocator))) await bell.wait(deps.clock, undefined, own)
      }
    } finally {
      stopHearing()
      ended.abort()
    }
  }
  await runAll(signal, [
    { name: 'watch', run: watch },
    { name: 'plan', run: plan },
  ])
}

/** Reads the rows of this moment, bit by bit: what changes meanwhile is told afterwards. */
async function learn(
  { store, clock, changedIndex }: AllocatorLoopDeps,
  allocator: Allocator,
  signal: AbortSignal,
): Promise<void> {
  const tasks = store.rows('tasks')
  const source = store.view((tx) => ({
    networks: [...tx.all('networks')],
    nodes: [...tx.all('nodes')],
    removedNodes: [...tx.all('removedNodes')],
    services: [...tx.all('services')],
    tasks: iterate(tasks),
  }))
  try {
    for (const _ of allocator.learn(source, changedIndex)) {
      if (signal.aborted) return
      await wait(clock, 0, signal)
    }
  } finally {
    tasks.close()
  }
}

function* iterate<R>(rows: RowSource<R>): Iterable<R> {
  for (let row = rows.next(); row !== undefined; row = rows.next()) yield row
}

function tell(allocator: Allocator, change: Change, atIndex: number): void {
  switch (change.table) {
    case 'tasks': {
      const [before, after] = sidesOf(change)
      allocator.changeTask(before, after, atIndex)
      return
    }
    case 'services': {
      const [before, after] = sidesOf(change)
      allocator.changeService(before, after, atIndex)
      return
    }
    case 'nodes':
      if (change.kind === 'remove') allocator.dropNode(change.object)
      else allocator.putNode(change.kind === 'update' ? change.old : undefined, change.object)
      return
    case 'removedNodes':
      allocator.changeRemovedNode(change.object, change.kind === 'remove')
      return
    case 'networks':
      if (change.kind === 'remove') allocator.dropNetwork(change.object.id)
      else allocator.putNetwork(change.object)
      return
    case 'cluster':
    case 'taskSpecs':
      return
  }
}

/** The row before and after the change. */
function sidesOf<R>(
  change:
    | { readonly kind: 'create' | 'remove'; readonly object: R }
    | { readonly kind: 'update'; readonly object: R; readonly old: R },
): readonly [R | undefined, R | undefined] {
  switch (change.kind) {
    case 'create':
      return [undefined, change.object]
    case 'update':
      return [change.old, change.object]
    case 'remove':
      return [change.object, undefined]
  }
}

/** Whether there was something to write. */
async function planOnce(deps: AllocatorLoopDeps, allocator: Allocator): Promise<boolean> {
  const { store, random, log, acks } = deps
  const startMs = deps.clock.monotonicMs()
  const plan = store.view((tx) => {
    const view = viewOf(tx, acks, () => random.float())
    return isOn(tx) ? allocator.plan(view, rowsOfPlan) : []
  })
  if (plan.length === 0) return false
  const refused = await commitPlan(store, plan)
  for (const allocation of refused) allocator.refused(allocation)
  const ms = deps.clock.monotonicMs() - startMs
  log.debug({ rows: plan.length, refused: refused.length, ms }, 'addresses allocated')
  return true
}

/** Managers that know nothing of networks would lose what is written of them. */
function isOn(tx: ReadTx): boolean {
  for (const { featureLevel } of tx.all('cluster')) return featureLevel >= networksLevel
  return false
}

function viewOf(tx: ReadTx, acks: NetworkAcks, random: () => number): AllocationView {
  return {
    nowMs: tx.nowMs,
    task: (id) => tx.get('tasks', id),
    service: (id) => tx.get('services', id),
    node: (id) => tx.get('nodes', id),
    taskSpec: (hash) => tx.get('taskSpecs', hash)?.spec,
    ackedIndex: (id) => acks.forgottenIndex(id),
    random,
  }
}

/** Returns what no longer fitted what is stored. */
async function commitPlan(
  store: Store,
  plan: readonly Allocation[],
): Promise<readonly Allocation[]> {
  const commits: Promise<readonly Allocation[]>[] = []
  for (let at = 0; at < plan.length; at += rowsOfUpdate) {
    const part = plan.slice(at, at + rowsOfUpdate)
    commits.push(store.update((tx) => part.filter((allocation) => !write(tx, allocation))))
  }
  const outcomes = await Promise.allSettled(commits)
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed !== undefined) throw failed.reason
  return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? outcome.value : []))
}

/** Whether it was written. */
function write(tx: Tx, allocation: Allocation): boolean {
  try {
    switch (allocation.kind) {
      case 'node':
        tx.update('nodes', allocation.node)
        return true
      case 'service':
        tx.update('services', allocation.service)
        return true
      case 'task':
        tx.update('tasks', allocation.task)
        return true
    }
  } catch (err) {
    if (hasCode(err, 'OUT_OF_SEQUENCE', 'NOT_FOUND')) return false
    throw err
  }
}
