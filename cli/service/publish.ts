// -p 8080:80/udp, ranges of them, and the long form published=8080,target=80,mode=host.
import type { PortSpec } from '../../proto/spec/service-spec.ts'
import { csvFields } from './csv.ts'

const shortForm = '[PUBLISHED:]TARGET[/tcp|udp|sctp]'
const longForm =
  'published=PORT,target=PORT[,protocol=tcp|udp|sctp][,mode=ingress|host][,host_ip=ADDRESS][,source=CIDR]' +
  '[,masquerade=true][,local-first=true][,firewall-first=true]'

/** Keys of the long form; those that may be given more than once are lists. */
const keys = [
  'target',
  'published',
  'protocol',
  'mode',
  'host_ip',
  'source',
  'masquerade',
  'local-first',
  'firewall-first',
]

interface PortRange {
  readonly first: number
  readonly count: number
}

/** One port, or as many as a range holds. Errors: Error with what to write instead. */
export function parsePublish(text: string): readonly PortSpec[] {
  return text.includes('=') ? parseLong(text) : parseShort(text)
}

function parseShort(text: string): readonly PortSpec[] {
  const match = /^(?:([\d-]+):)?([\d-]+)(?:\/(\w+))?$/.exec(text)
  if (match === null) {
    const hint =
      text.split(':').length > 2 ? `; an address goes with the long form: ${longForm}` : ''
    throw new Error(`must be ${shortForm}${hint}`)
  }
  const target = portRange('target', match[2] ?? '', 1)
  const published = match[1] === undefined ? undefined : portRange('published', match[1], 0)
  return portsOf(published, target, { protocol: protocolOf(match[3] ?? 'tcp'), ...nothingElse })
}

type Rest = Omit<PortSpec, 'targetPort' | 'publishedPort'>

const nothingElse = {
  name: '',
  mode: 'ingress' as const,
  bindAddress: '',
  sources: [],
  isMasqueraded: false,
  isLocalFirst: false,
  isFirewallFirst: false,
}

function parseLong(text: string): readonly PortSpec[] {
  const values = new Map<string, string>()
  const sources: string[] = []
  for (const { key, value } of csvFields(text)) {
    if (!keys.includes(key)) throw new Error(`unexpected key "${key}"; write ${longForm}`)
    if (value === undefined || value === '') throw new Error(`field "${key}" has no value`)
    if (key === 'source') sources.push(value)
    else values.set(key, value)
  }
  const target = values.get('target')
  if (target === undefined) throw new Error(`target is required; write ${longForm}`)
  const published = values.get('published')
  const range = published === undefined ? undefined : portRange('published', published, 0)
  return portsOf(range, portRange('target', target, 1), {
    name: '',
    protocol: protocolOf(values.get('protocol') ?? 'tcp'),
    mode: modeOf(values.get('mode') ?? 'ingress'),
    bindAddress: (values.get('host_ip') ?? '').replace(/^\[(.*)\]$/, '$1'),
    sources,
    isMasqueraded: truth('masquerade', values.get('masquerade')),
    isLocalFirst: truth('local-first', values.get('local-first')),
    isFirewallFirst: truth('firewall-first', values.get('firewall-first')),
  })
}

/** Two ranges of one length go together; to one target any number of published ports may lead. */
function portsOf(
  published: PortRange | undefined,
  target: PortRange,
  rest: Rest,
): readonly PortSpec[] {
  const count = Math.max(published?.count ?? 1, target.count)
  const fits = published === undefined || published.count === target.count || target.count === 1
  if (!fits) throw new Error('the ranges of published and target ports must be of one length')
  return Array.from({ length: count }, (_, i) => ({
    ...rest,
    targetPort: target.first + (target.count === 1 ? 0 : i),
    publishedPort: published === undefined ? 0 : published.first + i,
  }))
}

function modeOf(text: string): PortSpec['mode'] {
  if (text === 'ingress' || text === 'host') return text
  throw new Error(`mode must be ingress or host, not "${text}"`)
}

function protocolOf(text: string): PortSpec['protocol'] {
  if (text === 'tcp' || text === 'udp' || text === 'sctp') return text
  throw new Error(`protocol must be tcp, udp or sctp, not "${text}"`)
}

function truth(key: string, text: string | undefined): boolean {
  if (text === undefined || text === 'false' || text === '0') return false
  if (text === 'true' || text === '1') return true
  throw new Error(`${key} must be true or false, not "${text}"`)
}

function portRange(key: string, text: string, least: number): PortRange {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text)
  const first = Number(match?.[1])
  const last = match?.[2] === undefined ? first : Number(match[2])
  const isRange = match !== null && first >= least && last >= first && last <= 65_535
  if (isRange && (first > 0 || last === 0)) return { first, count: last - first + 1 }
  throw new Error(`${key} must be a port from ${least} to 65535, or a range of them, not "${text}"`)
}
