// The way into the decisions about a service's tasks: which of them is asked, by the mode of the service.
import type { DecisionEnv, Plan } from '../../proto/objects/index.ts'
import { reconcileCron } from './cron.ts'
import { reconcileGlobal } from './global.ts'
import { reconcileJob } from './job.ts'
import { reconcileReplicated, reconcileSlots } from './replicated.ts'
import { PlanDraft, type Scope, type ServiceView } from './service-view.ts'
import { planOf, removeSlot } from './settle.ts'
import { slotsOf } from './slot.ts'

/** Decides about the places of the scope. Needs all of their tasks, and of a job all tasks. O(tasks), and O(nodes) of global services. */
export function reconcileService(view: ServiceView, scope: Scope, env: DecisionEnv): Plan {
  const mode = view.service?.spec.mode
  switch (mode?.kind) {
    case undefined:
      return removeAll(view, env)
    case 'replicated':
      return scope === 'all' ? reconcileReplicated(view, env) : reconcileSlots(view, env)
    case 'global':
      return reconcileGlobal(view, scope, env)
    case 'replicated-job':
    case 'global-job':
      return reconcileJob(view, env)
    case 'cron':
      return reconcileCron(view, env)
  }
}

/** The service was removed. */
function removeAll(view: ServiceView, env: DecisionEnv): Plan {
  const draft = new PlanDraft()
  for (const slot of slotsOf(view.tasks)) removeSlot(slot, draft)
  return planOf(draft, env)
}
