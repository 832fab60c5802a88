// What a service may say of name servers.
import { whyNoNameservers } from '../../proto/spec/dns-spec.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import type { Problem } from './check-problem.ts'

export function checkDns({ task }: ServiceSpec): readonly Problem[] {
  const reason = whyNoNameservers(task)
  return reason === undefined ? [] : [{ field: 'task.dns.nameservers', reason }]
}
