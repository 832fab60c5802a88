// What a service says of its tasks' /etc/resolv.conf. Source: Swarm's DNSConfig.
import { z } from 'zod'
import { parseIpRange } from './ip.ts'
import { predefinedOf } from './predefined-networks.ts'
import { text } from './text.ts'

const words = z.array(text.regex(/^\S+$/, 'must be one word')).max(64).readonly().default([])

export const dnsSpec = z
  .object({
    /** Addresses; empty: what the networks give. */
    nameservers: z
      .array(
        text.refine(
          (value) => !value.includes('/') && parseIpRange(value) !== undefined,
          'must be an IP address',
        ),
      )
      .max(16)
      .readonly()
      .default([]),
    search: words,
    options: words,
  })
  .readonly()

export type DnsSpec = z.infer<typeof dnsSpec>

export const noDns: DnsSpec = { nameservers: [], search: [], options: [] }

export function saysNothing({ nameservers, search, options }: DnsSpec): boolean {
  return nameservers.length + search.length + options.length === 0
}

/** Whether the node's resolver, which knows the names of networks, is to ask servers of the task's own for all others. */
export function asksOwnServers({
  dns,
  networks,
}: {
  readonly dns: Pick<DnsSpec, 'nameservers'>
  readonly networks: readonly { readonly target: string }[]
}): boolean {
  if (dns.nameservers.length === 0) return false
  return networks.some(({ target }) => predefinedOf(target) === undefined)
}
