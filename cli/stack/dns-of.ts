// What a compose service says of its tasks' /etc/resolv.conf: dns, dns_search, and x-dns-opt, for which the format has no key.
import { type DnsSpec, whyNoNameservers } from '../../proto/spec/dns-spec.ts'
import type { NetworkUse } from '../../proto/spec/service-spec.ts'
import { textsOf } from './extras.ts'
import type { Section } from './section.ts'

export function dnsOf(service: Section, networks: readonly NetworkUse[]): DnsSpec {
  const nameservers = service.texts('dns')
  const why = whyNoNameservers({ dns: { nameservers }, networks })
  if (why !== undefined) service.fault('dns', why)
  return {
    nameservers,
    search: service.texts('dns_search'),
    options: textsOf(service, 'x-dns-opt'),
  }
}
