// RebalanceService: tells a service to spread its tasks anew. The rest is orchestrator/rebalance.ts.
import { serviceToProto } from '../../proto/codec/service.ts'
import { SwarmError } from '../../proto/errors.ts'
import type {
  RebalanceServiceRequest,
  RebalanceServiceResponse,
} from '../../proto/gen/tsswarm/v1/control.ts'
import { optionsLevel } from '../../proto/objects/index.ts'
import type { ControlDeps } from './control-api.ts'
import { findService } from './lookup.ts'
import { requireLevel } from './require-level.ts'
import { repeatable } from './writing.ts'

/** Errors: NOT_FOUND, AMBIGUOUS, UNSUPPORTED for services that have no replicas. */
export async function rebalanceService(
  { store }: ControlDeps,
  request: RebalanceServiceRequest,
): Promise<RebalanceServiceResponse> {
  const id = await store.update(
    (tx) => {
      const service = findService(tx, request.reference)
      const { kind } = service.spec.mode
      if (kind !== 'replicated') {
        const text = `service "${service.spec.name}" is ${kind}: only tasks of replicated services can move`
        throw new SwarmError('UNSUPPORTED', text)
      }
      requireLevel(tx, optionsLevel, `moves of tasks of service "${service.spec.name}"`, 'they')
      const rebalance = service.rebalance ?? { startedAtMs: tx.nowMs, moved: 0 }
      tx.update('services', { ...service, rebalance })
      return service.id
    },
    repeatable(request.requestId, 'RebalanceService'),
  )
  const service = store.view((tx) => tx.get('services', id))
  return { service: service && serviceToProto(service) }
}
