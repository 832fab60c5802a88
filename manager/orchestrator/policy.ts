// Which of its two policies a service follows now.
import { isRollback, type Service } from '../../proto/objects/index.ts'
import type { UpdatePolicy } from '../../proto/spec/service-spec.ts'

/** A new task is watched for longer than the next one waits for it, or a failure meanwhile would stop nobody. */
const watchedBeyondDelayMs = 1_000

export function policyOf(service: Service): UpdatePolicy {
  const policy = isRollback(service) ? service.spec.rollback : service.spec.update
  const { delayMs, monitorMs } = policy
  // Source: Docker Swarm's updater (swarm-semantics 7.1, monitor vs delay).
  if (delayMs === 0 || delayMs < monitorMs) return policy
  return { ...policy, monitorMs: delayMs + watchedBeyondDelayMs }
}
