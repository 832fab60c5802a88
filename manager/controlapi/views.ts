// Objects as the control API shows them: with names filled in, and without secrets.
import { nodeToProto } from '../../proto/codec/node.ts'
import { serviceToProto } from '../../proto/codec/service.ts'
import { taskToProto } from '../../proto/codec/task.ts'
import { taskSpecToProto } from '../../proto/codec/task-spec.ts'
import {
  type NodeView,
  Reachability,
  type ServiceView,
  type TaskView,
} from '../../proto/gen/tsswarm/v1/control.ts'
import { type Node, placeOf, type Service, type Task } from '../../proto/objects/index.ts'
import type { ReadTx } from '../store/store.ts'
import type { ClusterView } from './cluster-view.ts'
import { countTasks, nextRunMs } from './count-tasks.ts'

/** A node with what is known of its manager part right now. */
export function nodeView(node: Node, cluster: ClusterView): NodeView {
  return {
    node: nodeToProto(node),
    leader: cluster.leaderNodeId() === node.id,
    reachability: reachability(node, cluster),
  }
}

function reachability(node: Node, cluster: ClusterView): Reachability {
  if (node.manager === undefined || cluster.leaderNodeId() === undefined)
    return Reachability.UNKNOWN
  return cluster.reachable(node.id) ? Reachability.REACHABLE : Reachability.UNREACHABLE
}

/** A service with its numbers of tasks. O(its tasks), and O(nodes) of one with a task a node. */
export function serviceView(tx: ReadTx, service: Service): ServiceView {
  const { running, desired, completed } = countTasks(tx, service)
  return {
    service: serviceToProto(service),
    runningTasks: running,
    desiredTasks: desired,
    completedTasks: completed,
    nextRunMs: nextRunMs(service, tx.nowMs),
  }
}

/** A task with names; with its spec unless the reader has no use for it. */
export function taskView(tx: ReadTx, task: Task, withSpec: boolean): TaskView {
  const record = withSpec ? tx.get('taskSpecs', task.specHash) : undefined
  const nodeId = task.nodeId ?? task.forNodeId
  const node = nodeId === undefined ? undefined : tx.get('nodes', nodeId)
  return {
    task: taskToProto(task),
    spec: record === undefined ? undefined : taskSpecToProto(record.spec),
    serviceName: tx.get('services', task.serviceId)?.spec.name ?? '',
    nodeHostname: node?.description?.hostname ?? '',
  }
}

/** "service.slot", or "service.node id" of a task without slot; the service's id stands in when it is gone. */
export function taskName(tx: ReadTx, task: Task): string {
  return `${tx.get('services', task.serviceId)?.spec.name ?? task.serviceId}.${placeOf(task)}`
}

/** How messages name a node. */
export function nodeLabel(node: Node): string {
  const hostname = node.description?.hostname
  return hostname === undefined ? node.id : `${hostname} (${node.id})`
}
