// WatchService: the state of a service and its tasks now, and again after each change. For live progress.
import type {
  WatchServiceRequest,
  WatchServiceResponse,
} from '../../proto/gen/tsswarm/v1/control.ts'
import { wait } from '../../proto/lib/clock.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import { isActive, type ServiceId, type Task } from '../../proto/objects/index.ts'
import { type ReadTx, type Store, WatchLagged } from '../store/store.ts'
import type { ControlDeps } from './control-api.ts'
import { findService } from './lookup.ts'
import { isRunning, serviceView, taskView } from './views.ts'

/** Answers are at least this far apart, so that a busy service costs its watchers little. */
const gapMs = 30
const bufferMax = 1_024
/** Tasks with their history, above which a watcher gets a sample. */
const tasksMax = 1_000
const sampleMax = 50

/** Ends when the service is gone or the caller leaves. Errors: NOT_FOUND, AMBIGUOUS. */
export async function* watchService(
  { store, cluster, clock }: ControlDeps,
  request: WatchServiceRequest,
  signal: AbortSignal,
): AsyncGenerator<WatchServiceResponse, void, undefined> {
  await cluster.readBarrier(signal)
  const { id } = store.view((tx) => findService(tx, request.serviceId))
  const { controller, release } = childController(signal)
  try {
    while (!signal.aborted) {
      // Subscribed before the view is taken: no change falls between them.
      const change = nextChange(store, id, controller.signal)
      // Awaited below, after the answer was taken; until then a failure must not end the process.
      change.catch(() => {})
      const state = store.view((tx) => stateOf(tx, id))
      yield state
      if (state.removed) return
      await change
      await wait(clock, gapMs, signal)
    }
  } finally {
    controller.abort()
    release()
  }
}

/** Resolves at the first commit from now on that touches the service, or when the signal aborts. */
async function nextChange(store: Store, id: ServiceId, signal: AbortSignal): Promise<void> {
  const { controller, release } = childController(signal)
  const commits = store.watch(
    { services: { ids: [id] }, tasks: { index: 'byService', keys: [id] } },
    { signal: controller.signal, bufferMax },
  )
  try {
    for await (const _ of commits) return
  } catch (err) {
    // Too many changes are a change too.
    if (!(err instanceof WatchLagged)) throw err
  } finally {
    controller.abort()
    release()
  }
}

function stateOf(tx: ReadTx, id: ServiceId): WatchServiceResponse {
  const service = tx.get('services', id)
  const tasks = [...tx.find('tasks', 'byService', id)]
  const current = tasks.filter((task) => task.specHash === service?.specHash && isRunning(task))
  return {
    service: service === undefined ? undefined : serviceView(tx, service),
    tasks: shownTasks(tasks).map((task) => taskView(tx, task, false)),
    removed: service === undefined,
    currentRunningTasks: current.length,
  }
}

/** A watcher of very many tasks gets the sum and some of those that are of interest. */
function shownTasks(tasks: readonly Task[]): readonly Task[] {
  if (tasks.length <= tasksMax) return tasks
  const waiting: Task[] = []
  for (const task of tasks) {
    if (isActive(task) && !isRunning(task)) waiting.push(task)
    if (waiting.length === sampleMax) break
  }
  return waiting
}
