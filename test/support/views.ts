// Builders of what the control API answers, for tests of listings and progress.
import { nodeToProto } from '../../proto/codec/node.ts'
import { serviceToProto } from '../../proto/codec/service.ts'
import { taskToProto } from '../../proto/codec/task.ts'
import { taskSpecToProto } from '../../proto/codec/task-spec.ts'
import type { NodeView, ServiceView, TaskView } from '../../proto/gen/tsswarm/v1/control.ts'
import { raftId, type Task } from '../../proto/objects/index.ts'
import {
  aNode,
  aService,
  aTask,
  aTaskSpec,
  type NodeFacts,
  type ServiceFacts,
  type TaskFacts,
  type TaskSpecFacts,
} from './objects.ts'

export interface TaskViewFacts extends TaskFacts {
  readonly serviceName?: string
  readonly hostname?: string
  readonly spec?: TaskSpecFacts
  readonly stateAtMs?: number
  readonly hostPorts?: readonly string[]
}

export function aTaskView(facts: TaskViewFacts): TaskView {
  const task: Task = {
    ...aTask(facts),
    stateAtMs: facts.stateAtMs ?? 0,
    hostPorts: facts.hostPorts ?? [],
  }
  return {
    task: taskToProto(task),
    spec: taskSpecToProto(aTaskSpec(facts.spec ?? {})),
    serviceName: facts.serviceName ?? 'web',
    nodeHostname: facts.hostname ?? facts.node ?? '',
  }
}

export interface ServiceViewFacts extends ServiceFacts {
  readonly running?: number
  readonly desired?: number
  readonly completed?: number
  readonly nextRunMs?: number
}

export function aServiceView(facts: ServiceViewFacts): ServiceView {
  return {
    service: serviceToProto(aService(facts)),
    runningTasks: facts.running ?? 0,
    desiredTasks: facts.desired ?? facts.replicas ?? 1,
    completedTasks: facts.completed ?? 0,
    nextRunMs: facts.nextRunMs ?? 0,
  }
}

export interface NodeViewFacts extends NodeFacts {
  readonly leader?: boolean
  readonly reachability?: NodeView['reachability']
}

export function aNodeView(facts: NodeViewFacts): NodeView {
  const node = aNode(facts)
  const manager = {
    raftId: raftId(`raft-${node.id}`),
    address: `${node.address}:2377`,
    raftAddress: `${node.address}:2378`,
  }
  return {
    node: nodeToProto({ ...node, manager: node.role === 'manager' ? manager : undefined }),
    leader: facts.leader ?? false,
    reachability: facts.reachability ?? 0,
  }
}
