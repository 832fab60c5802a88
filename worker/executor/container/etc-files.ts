// The texts of a container's /etc/hosts and /etc/resolv.conf. Pure.
import type { ContainerConfig, DnsConfig } from '../executor.ts'
import type { NetworkAttachment } from '../network-attacher.ts'
import { containerHostname } from './process-spec.ts'

const localHosts = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`

/** `hostFile`: /etc/hosts of the host, for containers on its network. */
export function hostsFile(
  config: ContainerConfig,
  attachment: NetworkAttachment | undefined,
  hostFile: string,
): string {
  const extra = [...(config.hosts ?? []), ...(attachment?.hosts ?? [])]
  const start = config.network.kind === 'host' ? ended(hostFile) : localHosts
  return start + [...extra, ...ownLines(config, attachment)].map((line) => `${line}\n`).join('')
}

function ownLines(
  config: ContainerConfig,
  attachment: NetworkAttachment | undefined,
): readonly string[] {
  const addresses = attachment?.endpoints.flatMap((endpoint) => endpoint.addresses) ?? []
  return addresses.map((address) => `${address.split('/')[0]}\t${containerHostname(config)}`)
}

/** `text`: /etc/hosts as it is, with whatever the container wrote into it. */
export function changedHosts(
  config: ContainerConfig,
  text: string,
  before: NetworkAttachment | undefined,
  after: NetworkAttachment,
): string {
  const old = ownLines(config, before)
  const now = ownLines(config, after)
  const gone = old.filter((line) => !now.includes(line))
  const added = now.filter((line) => !old.includes(line))
  const kept = ended(text)
    .split('\n')
    .filter((line) => !gone.includes(line))
  return kept.join('\n') + added.map((line) => `${line}\n`).join('')
}

/** `hostFile`: /etc/resolv.conf of the host, for containers on its network. */
export function resolvConf(
  config: ContainerConfig,
  attachment: NetworkAttachment | undefined,
  hostFile: string,
): string {
  const dns: DnsConfig = config.dns ?? { nameservers: [], search: [], options: [] }
  if (config.network.kind === 'host' && !isSet(dns)) return hostFile
  const hasOwn = dns.nameservers.length > 0 && attachment?.isNodeResolved !== true
  const nameservers = hasOwn ? dns.nameservers : (attachment?.nameservers ?? [])
  const search = dns.search.length > 0 ? dns.search : (attachment?.search ?? [])
  // As Docker: names of services have no dots, so ask for them as they are.
  const options = dns.options.length > 0 ? dns.options : nameservers.length > 0 ? ['ndots:0'] : []
  return [
    ...nameservers.map((address) => `nameserver ${address}\n`),
    ...(search.length > 0 ? [`search ${search.join(' ')}\n`] : []),
    ...(options.length > 0 ? [`options ${options.join(' ')}\n`] : []),
  ].join('')
}

function isSet({ nameservers, search, options }: DnsConfig): boolean {
  return nameservers.length + search.length + options.length > 0
}

function ended(text: string): string {
  return text === '' || text.endsWith('\n') ? text : `${text}\n`
}
