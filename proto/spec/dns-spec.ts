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

/**
 * Why a task cannot have name servers of its own; undefined: it can. Names of services are known to the node's own resolver alone,
 * which asks the host's servers for all others.
 */
export function whyNoNameservers({
  dns,
  networks,
}: {
  readonly dns: Pick<DnsSpec, 'nameservers'>
  readonly networks: readonly { readonly target: string }[]
}): string | undefined {
  if (dns.nameservers.length === 0) return undefined
  if (networks.every(({ target }) => predefinedOf(target) !== undefined)) return undefined
  return 'would hide the names of services on its networks: leave them out (search domains and options go with networks)'
}
