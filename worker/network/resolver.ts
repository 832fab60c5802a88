// Which name servers containers of the local network get: those of the host that can be reached from a container. Pure.
// Names of services come with the cluster's own resolver, which is not part of this file.

export interface Resolver {
  readonly nameservers: readonly string[]
  readonly search: readonly string[]
}

/**
 * `hostText`: the host's /etc/resolv.conf. `upstreamText`: what systemd-resolved uses itself
 * (/run/systemd/resolve/resolv.conf), taken when the host's file names loopback addresses only.
 */
export function containerResolver(hostText: string, upstreamText: string): Resolver {
  const host = parseResolvConf(hostText)
  const nameservers = host.nameservers.filter(isReachable)
  if (nameservers.length > 0) return { nameservers, search: host.search }
  const upstream = parseResolvConf(upstreamText)
  return { nameservers: upstream.nameservers.filter(isReachable), search: host.search }
}

/** The last `search` or `domain` line counts, as in resolv.conf(5). */
export function parseResolvConf(text: string): Resolver {
  const nameservers: string[] = []
  let search: readonly string[] = []
  for (const line of text.split('\n')) {
    const [word, ...values] = line
      .replace(/[#;].*$/, '')
      .trim()
      .split(/\s+/)
    if (word === 'nameserver' && values[0] !== undefined) nameservers.push(values[0])
    if (word === 'search' || word === 'domain') search = values.filter((value) => value !== '.')
  }
  return { nameservers, search }
}

/** Loopback is the container's own; IPv6 does not leave the local network in this version. */
function isReachable(nameserver: string): boolean {
  return !nameserver.startsWith('127.') && !nameserver.includes(':')
}
