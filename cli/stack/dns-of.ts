// What a compose service says of its tasks' /etc/resolv.conf: dns, dns_search, and x-dns-opt, for which the format has no key.
import type { DnsSpec } from '../../proto/spec/dns-spec.ts'
import { textsOf } from './extras.ts'
import type { Section } from './section.ts'

export function dnsOf(service: Section): DnsSpec {
  return {
    nameservers: service.texts('dns'),
    search: service.texts('dns_search'),
    options: textsOf(service, 'x-dns-opt'),
  }
}
