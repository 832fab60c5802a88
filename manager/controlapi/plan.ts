// Plan: what an action would do to tasks. The request is checked as the action's own handler does it, in a transaction that is not
// written; the rest is orchestrator/what-if.ts.
import { parseServiceSpec } from '../../proto/codec/service.ts'
import { SwarmError } from '../../proto/errors.ts'
import type { PlannedTask, PlanRequest, PlanResponse } from '../../proto/gen/tsswarm/v1/control.ts'
import { newId } from '../../proto/lib/ids.ts'
import { type Node, type NodeId, placeOf, type Service } from '../../proto/objects/index.ts'
import {
  type ClusterPicture,
  type Forecast,
  foresee,
  type Outcome,
  type Supposition,
} from '../orchestrator/what-if.ts'
import type { Caller } from '../rpc/caller.ts'
import type { ReadTx, Store, Tx } from '../store/store.ts'
import { theCluster } from '../the-cluster.ts'
import { checkServiceSpec } from './check-service-spec.ts'
import type { ControlDeps } from './control-api.ts'
import { nextRun } from './job-runs.ts'
import { findNode, findService } from './lookup.ts'
import { serviceInTx, updatedInTx } from './services.ts'

interface Prepared {
  readonly supposition: Supposition
  readonly picture: ClusterPicture
  readonly nowMs: number
}

/** O(tasks of the cluster), and what the action itself would cost. Errors: those of the action. */
export async function plan(
  deps: ControlDeps,
  caller: Caller,
  { action }: PlanRequest,
): Promise<PlanResponse> {
  const { store, random, cluster, clock } = deps
  if (action === undefined) {
    throw new SwarmError('INVALID_ARGUMENT', 'a plan is of nothing: name an action', {
      details: { field: 'action' },
    })
  }
  const selfId = caller.kind === 'local-admin' ? caller.nodeId : cluster.selfNodeId()
  const { supposed, warnings } = supposeOf(action, {
    selfId,
    newServiceId: newId(random),
    wallMs: clock.wallMs(),
  })
  const { supposition, picture, nowMs } = await unwritten(store, (tx): Prepared => {
    const supposition = supposed(tx)
    return { supposition, picture: pictureOf(tx), nowMs: tx.nowMs }
  })
  const wallMs = deps.clock.wallMs()
  const env = { nowMs, wallMs, newId: () => newId(random), random: () => random.float() }
  const forecast = foresee(picture, supposition, env)
  return responseOf(forecast, picture, supposition, warnings)
}

type Action = NonNullable<PlanRequest['action']>

/** What to suppose, once there is a transaction to check it in. */
function supposeOf(
  action: Action,
  {
    selfId,
    newServiceId,
    wallMs,
  }: { readonly selfId: NodeId; readonly newServiceId: string; readonly wallMs: number },
): { readonly supposed: (tx: Tx) => Supposition; readonly warnings: readonly string[] } {
  switch (action.$case) {
    case 'drain': {
      const supposed = (tx: Tx): Supposition => ({
        kind: 'drain',
        node: findNode(tx, action.value, selfId),
      })
      return { supposed, warnings: [] }
    }
    case 'create': {
      const given = parseServiceSpec(action.value)
      const warnings = checkServiceSpec(given)
      const supposed = (tx: Tx) => ofService(tx, serviceInTx(tx, given, newServiceId, wallMs))
      return { supposed, warnings }
    }
    case 'update': {
      const given = parseServiceSpec(action.value.spec)
      const warnings = checkServiceSpec(given)
      const supposed = (tx: Tx): Supposition => {
        const service = findService(tx, action.value.reference)
        const wished = updatedInTx(tx, service, given)
        const run = nextRun(tx, service, wished.spec, wallMs)
        return ofService(tx, { ...wished, ...run })
      }
      return { supposed, warnings }
    }
  }
}

function ofService(tx: Tx, service: Service): Supposition {
  const spec = tx.get('taskSpecs', service.specHash)
  return {
    kind: 'service',
    service,
    spec: spec ?? { hash: service.specHash, spec: service.spec.task },
  }
}

class NothingIsWritten extends Error {}

/** What the callback returns of a transaction that is taken back. */
async function unwritten<T>(store: Store, run: (tx: Tx) => T): Promise<T> {
  let answer: { readonly value: T } | undefined
  try {
    await store.update((tx) => {
      answer = { value: run(tx) }
      throw new NothingIsWritten()
    })
  } catch (err) {
    if (!(err instanceof NothingIsWritten)) throw err
  }
  if (answer === undefined) throw new SwarmError('UNAVAILABLE', 'the plan was not made: try again')
  return answer.value
}

function pictureOf(tx: ReadTx): ClusterPicture {
  return {
    nodes: [...tx.all('nodes')],
    services: [...tx.all('services')],
    tasks: [...tx.all('tasks')],
    taskSpecs: [...tx.all('taskSpecs')],
    strategy: theCluster(tx).spec.scheduling,
  }
}

function responseOf(
  forecast: Forecast,
  picture: ClusterPicture,
  supposition: Supposition,
  warnings: readonly string[],
): PlanResponse {
  const nodes = new Map([...picture.nodes].map((node) => [node.id, node]))
  const services = new Map([...picture.services].map((service) => [service.id, service]))
  if (supposition.kind === 'service') services.set(supposition.service.id, supposition.service)
  const tasks = forecast.outcomes.map((outcome) => {
    const service = services.get(outcome.task.serviceId)
    return plannedTask(outcome, service?.spec.name ?? outcome.task.serviceId, nodes)
  })
  return { tasks, kept: forecast.kept, warnings, cut: forecast.isCut }
}

function plannedTask(
  { kind, task, from, to, why }: Outcome,
  serviceName: string,
  nodes: ReadonlyMap<NodeId, Node>,
): PlannedTask {
  const hostname = (id: NodeId | undefined): string =>
    (id && nodes.get(id)?.description?.hostname) ?? ''
  return {
    serviceName,
    name: `${serviceName}.${placeOf(task)}`,
    kind,
    fromNodeId: from ?? '',
    fromHostname: hostname(from),
    toNodeId: to ?? '',
    toHostname: hostname(to),
    summary: why?.summary ?? '',
    refusals: why?.refusals ?? [],
  }
}
