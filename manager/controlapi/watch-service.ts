// WatchService: the state of a service and its tasks now, and again after each change. For live progress.
import type {
  ServiceView as ServiceViewProto,
  WatchServiceRequest,
  WatchServiceResponse,
} from '../../proto/gen/tsswarm/v1/control.ts'
import { wait } from '../../proto/lib/clock.ts'
import { childController } from '../../proto/lib/lifecycle.ts'
import {
  isActive,
  isTerminal,
  type Place,
  placeOf,
  type Service,
  type ServiceId,
  type Task,
  TaskState,
} from '../../proto/objects/index.ts'
import { isJob } from '../../proto/spec/service-mode.ts'
import { serviceViewOf } from '../loops/service-reconciler.ts'
import { nodesOfGlobal } from '../orchestrator/global.ts'
import { failedSlots } from '../orchestrator/job.ts'
import { outdatedBy } from '../orchestrator/outdated.ts'
import { hasGivenUp } from '../orchestrator/restart.ts'
import type { ServiceView } from '../orchestrator/service-view.ts'
import { slotsOf } from '../orchestrator/slot.ts'
import { type ReadTx, type Store, WatchLagged } from '../store/store.ts'
import type { ControlDeps } from './control-api.ts'
import { isRunning, ofRun } from './count-tasks.ts'
import { findService } from './lookup.ts'
import { serviceView, taskView } from './views.ts'

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
  const whole = serviceViewOf(tx, id, 'all')
  const tasks = service === undefined ? whole.tasks : ofRun(whole.tasks, service)
  const view = { ...whole, tasks }
  // What differs only in where it may be, and fits where it is, is as it should be.
  const isOutdated = service === undefined ? () => true : outdatedBy(service, view)
  const current = tasks.filter((task) => isRunning(task) && !isOutdated(task))
  const givenUp = givenUpTasks(view)
  return {
    service: service === undefined ? undefined : progressView(tx, service, view, isOutdated),
    tasks: shownTasks(tasks, givenUp, service).map((task) => taskView(tx, task, false)),
    removed: service === undefined,
    currentRunningTasks: current.length,
    givenUpSlots: givenUpPlaces(givenUp).filter((place) => typeof place === 'number'),
    givenUpNodes: givenUpPlaces(givenUp).filter((place) => typeof place !== 'number'),
  }
}

/** No update reaches a task on a paused node: who waits for one does not wait for that. */
function progressView(
  tx: ReadTx,
  service: Service,
  view: ServiceView,
  isOutdated: (task: Task) => boolean,
): ServiceViewProto {
  const shown = serviceView(tx, service)
  if (service.spec.mode.kind !== 'global') return shown
  const tasks = view.tasks.filter((task) => !isOutdated(task))
  return { ...shown, desiredTasks: nodesOfGlobal(service, { ...view, tasks }).size }
}

function givenUpPlaces(tasks: readonly Task[]): readonly Place[] {
  return tasks.slice(0, tasksMax).map(placeOf)
}

/** The last tasks of the slots that get no other one of the present spec. */
function givenUpTasks(view: ServiceView): readonly Task[] {
  const ended = view.tasks.some(
    (task) => isTerminal(task.state) && task.desiredState < TaskState.REMOVE,
  )
  // Spares the many updates of a service that is well the sorting of its tasks.
  if (!ended) return []
  const mode = view.service?.spec.mode
  if (mode !== undefined && isJob(mode)) return failedSlots(view).map(({ head }) => head)
  return slotsOf(view.tasks)
    .filter((slot) => slot.head.specHash === view.service?.specHash)
    .filter((slot) => hasGivenUp(slot, view))
    .map((slot) => slot.head)
}

/** A watcher of very many tasks gets the sum and some of those that are of interest. */
function shownTasks(
  tasks: readonly Task[],
  givenUp: readonly Task[],
  service: Service | undefined,
): readonly Task[] {
  if (tasks.length <= tasksMax) return tasks
  const waiting: Task[] = [...blamedTask(tasks, service), ...givenUp.slice(0, sampleMax)]
  const most = waiting.length + sampleMax
  for (const task of tasks) {
    if (isActive(task) && !isRunning(task)) waiting.push(task)
    if (waiting.length === most) break
  }
  return waiting
}

/** The one for which an update paused or goes back: its status ends with its id. */
function blamedTask(tasks: readonly Task[], service: Service | undefined): readonly Task[] {
  const message = service?.updateStatus?.message ?? ''
  const found = tasks.find(({ id }) => message.endsWith(` ${id}`))
  return found === undefined ? [] : [found]
}
