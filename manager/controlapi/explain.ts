// Explain: why a task, a service or a node is as it is. The words come from orchestrator/explain; here they get their picture.
import { SwarmError } from '../../proto/errors.ts'
import type {
  ExplainRequest,
  ExplainResponse,
  Finding as FindingProto,
} from '../../proto/gen/tsswarm/v1/control.ts'
import { placeOf, type Task } from '../../proto/objects/index.ts'
import { ClusterIndex } from '../../scheduler/cluster-index.ts'
import { explainTask as explainPlacement, type TaskExplanation } from '../../scheduler/explain.ts'
import { serviceViewOf } from '../loops/service-reconciler.ts'
import { explainNode } from '../orchestrator/explain/explain-node.ts'
import { explainService } from '../orchestrator/explain/explain-service.ts'
import { explainTask } from '../orchestrator/explain/explain-task.ts'
import type { Finding } from '../orchestrator/explain/finding.ts'
import type { HasPayload } from '../orchestrator/explain/needs.ts'
import type { Caller } from '../rpc/caller.ts'
import type { ReadTx } from '../store/store.ts'
import { theCluster } from '../the-cluster.ts'
import type { ControlDeps } from './control-api.ts'
import { findNode, findService, findTask } from './lookup.ts'
import { payloadTables } from './payload-use.ts'
import { serviceView, taskName } from './views.ts'

/** O(the cluster's tasks) when a placement is asked about, else O(what it is about). */
export async function explain(
  { store, cluster, clock }: ControlDeps,
  caller: Caller,
  { kind, reference }: ExplainRequest,
  signal: AbortSignal,
): Promise<ExplainResponse> {
  await cluster.readBarrier(signal)
  const selfId = caller.kind === 'local-admin' ? caller.nodeId : cluster.selfNodeId()
  return store.view((tx) => {
    switch (kind) {
      case 'task':
        return aboutTask(tx, reference)
      case 'service':
        return aboutService(tx, reference, clock.wallMs())
      case 'node':
        return aboutNode(tx, reference, selfId)
      default: {
        const text = `cannot explain a "${kind}": name a task, a service or a node`
        throw new SwarmError('INVALID_ARGUMENT', text, { details: { field: 'kind' } })
      }
    }
  })
}

function aboutTask(tx: ReadTx, reference: string): ExplainResponse {
  const task = findTask(tx, reference)
  const view = serviceViewOf(tx, task.serviceId, new Set([placeOf(task)]))
  const placement = new Placements(tx).of(task)
  const hasPayload = payloadsIn(tx)
  const findings = explainTask({ task, view, nowMs: tx.nowMs, placement, hasPayload })
  return { id: task.id, name: taskName(tx, task), findings: findings.map((one) => proto(one, [])) }
}

function aboutService(tx: ReadTx, reference: string, wallMs: number): ExplainResponse {
  const service = findService(tx, reference)
  const placements = new Placements(tx)
  const findings = explainService({
    service,
    view: serviceViewOf(tx, service.id, 'all'),
    nowMs: tx.nowMs,
    wanted: serviceView(tx, service).desiredTasks,
    placementOf: (task) => placements.of(task),
    hasPayload: payloadsIn(tx),
    wallMs,
  })
  const { id, spec } = service
  return { id, name: spec.name, findings: findings.map((one) => proto(one, one.tasks)) }
}

function aboutNode(tx: ReadTx, reference: string, selfId: string): ExplainResponse {
  const node = findNode(tx, reference, selfId)
  const tasks = [...tx.find('tasks', 'byNode', node.id)]
  const taskSpecs = [...tx.all('taskSpecs')]
  const index = ClusterIndex.from({ nodes: [node], tasks, taskSpecs, strategy: 'spread' })
  const entry = index.entryOf(node.id)
  const findings = explainNode({ node, tasks, entry, nowMs: tx.nowMs })
  const name = node.description?.hostname ?? ''
  return { id: node.id, name, findings: findings.map((one) => proto(one, [])) }
}

function payloadsIn(tx: ReadTx): HasPayload {
  return (kind, id) => tx.get(payloadTables[kind], id) !== undefined
}

/** What the scheduler says, of an index that is made when it is first needed. */
class Placements {
  readonly #tx: ReadTx
  #index: ClusterIndex | undefined

  constructor(tx: ReadTx) {
    this.#tx = tx
  }

  of(task: Task): TaskExplanation | undefined {
    if (task.nodeId !== undefined) return undefined
    const tx = this.#tx
    this.#index ??= ClusterIndex.from({
      nodes: tx.all('nodes'),
      tasks: tx.all('tasks'),
      taskSpecs: tx.all('taskSpecs'),
      strategy: theCluster(tx).spec.scheduling,
    })
    return explainPlacement(this.#index, task)
  }
}

function proto(finding: Finding, tasks: readonly string[]): FindingProto {
  const { code, text, causes = [], refusals = [], remedy = '' } = finding
  return { code, text, causes, refusals, remedy, tasks }
}
