// ExplainService: why each task of a service that has no node has none, node by node.
import type {
  ExplainServiceRequest,
  ExplainServiceResponse,
} from '../../proto/gen/tsswarm/v1/control.ts'
import { isActive, placeOf, type Service, type Task, TaskState } from '../../proto/objects/index.ts'
import { ClusterIndex } from '../../scheduler/cluster-index.ts'
import { explainTask } from '../../scheduler/explain.ts'
import { byPlaces } from '../orchestrator/slot.ts'
import type { ReadTx } from '../store/store.ts'
import { theCluster } from '../the-cluster.ts'
import type { ControlDeps } from './control-api.ts'
import { findService } from './lookup.ts'
import { taskName } from './views.ts'

/** O(nodes + all tasks): it judges from the whole cluster, as the scheduler does. */
export async function explainService(
  { store, cluster }: ControlDeps,
  request: ExplainServiceRequest,
  signal: AbortSignal,
): Promise<ExplainServiceResponse> {
  await cluster.readBarrier(signal)
  return store.view((tx) => {
    const unplaced = unplacedTasks(tx, findService(tx, request.reference))
    if (unplaced.length === 0) return { tasks: [] }
    const index = ClusterIndex.from({
      nodes: tx.all('nodes'),
      tasks: tx.all('tasks'),
      taskSpecs: tx.all('taskSpecs'),
      strategy: theCluster(tx).spec.scheduling,
    })
    return {
      tasks: unplaced.map((task) => {
        const explanation = explain(index, task)
        return { taskId: task.id, taskName: taskName(tx, task), ...explanation }
      }),
    }
  })
}

/** A task without its addresses is not up to the scheduler yet. */
function explain(index: ClusterIndex, task: Task): ReturnType<typeof explainTask> {
  if (task.state !== TaskState.NEW) return explainTask(index, task)
  return { summary: task.err || 'waits for its addresses on networks', refusals: [] }
}

/** By slot. */
function unplacedTasks(tx: ReadTx, service: Service): readonly Task[] {
  return [...tx.find('tasks', 'byService', service.id)]
    .filter((task) => task.nodeId === undefined && isActive(task))
    .sort((a, b) => byPlaces({ place: placeOf(a) }, { place: placeOf(b) }))
}
