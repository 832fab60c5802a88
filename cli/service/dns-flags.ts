// --dns, --dns-option and --dns-search, and what update adds and removes of them.
import type { DnsSpec } from '../../proto/spec/dns-spec.ts'
import { type FlagValues, list } from '../flags.ts'
import { changeList } from './assignments.ts'

export const newDnsFlags = {
  dns: list('Set custom DNS servers', { takes: 'ip' }),
  'dns-option': list('Set DNS options'),
  'dns-search': list('Set custom DNS search domains'),
}

export const changeDnsFlags = {
  'dns-add': list('Add or update a custom DNS server', { takes: 'ip' }),
  'dns-rm': list('Remove a custom DNS server', { takes: 'ip' }),
  'dns-option-add': list('Add or update a DNS option'),
  'dns-option-rm': list('Remove a DNS option'),
  'dns-search-add': list('Add or update a custom DNS search domain'),
  'dns-search-rm': list('Remove a DNS search domain'),
}

export function newDns(flags: FlagValues<typeof newDnsFlags>): DnsSpec {
  return { nameservers: flags.dns, search: flags['dns-search'], options: flags['dns-option'] }
}

export function changedDns(dns: DnsSpec, flags: FlagValues<typeof changeDnsFlags>): DnsSpec {
  return {
    nameservers: changeList(dns.nameservers, flags['dns-rm'], flags['dns-add']),
    search: changeList(dns.search, flags['dns-search-rm'], flags['dns-search-add']),
    options: changeList(dns.options, flags['dns-option-rm'], flags['dns-option-add']),
  }
}
