// Which of its two policies a service follows now.
import { isRollback, type Service } from '../../proto/objects/index.ts'
import type { UpdatePolicy } from '../../proto/spec/service-spec.ts'

export function policyOf(service: Service): UpdatePolicy {
  return isRollback(service) ? service.spec.rollback : service.spec.update
}
