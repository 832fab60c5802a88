// -p mode=host,published=8080,target=80: host mode is what this version has.
import type { PortSpec } from '../../proto/spec/service-spec.ts'
import { csvFields } from './csv.ts'

const form = 'mode=host,published=PORT,target=PORT[,protocol=tcp|udp][,host_ip=ADDRESS]'

/** Errors: Error; a port of the routing mesh is refused with what to write instead. */
export function parsePublish(text: string): PortSpec {
  if (!text.includes('=')) throw shortForm(text)
  const values = new Map<string, string>()
  for (const { key, value } of csvFields(text)) {
    if (!['target', 'published', 'protocol', 'mode', 'host_ip'].includes(key)) {
      throw new Error(`unexpected key "${key}"; write ${form}`)
    }
    if (value === undefined || value === '') throw new Error(`field "${key}" has no value`)
    values.set(key, value)
  }
  const target = values.get('target')
  if (target === undefined) throw new Error(`target is required; write ${form}`)
  const published = values.get('published') ?? '0'
  if ((values.get('mode') ?? 'ingress') !== 'host') {
    throw noMesh(published, target, values.get('mode') ?? 'ingress')
  }
  return {
    name: '',
    protocol: protocolOf(values.get('protocol') ?? 'tcp'),
    targetPort: portNumber('target', target, 1),
    publishedPort: portNumber('published', published, 0),
    mode: 'host',
    bindAddress: values.get('host_ip') ?? '',
    sources: [],
    isMasqueraded: false,
    isLocalFirst: false,
  }
}

/** `8080:80/udp`, in Swarm a port of the routing mesh. */
function shortForm(text: string): Error {
  const match = /^(?:(\d+(?:-\d+)?):)?(\d+(?:-\d+)?)(?:\/\w+)?$/.exec(text)
  if (match === null) return new Error(`must be ${form}`)
  return noMesh(match[1] ?? '0', match[2] ?? '', 'ingress')
}

function noMesh(published: string, target: string, mode: string): Error {
  const from = published === '0' ? '' : `published=${published},`
  return new Error(
    `${mode} mode (the routing mesh) is not available in this version: publish on the host of each task ` +
      `with -p mode=host,${from}target=${target}`,
  )
}

function protocolOf(text: string): PortSpec['protocol'] {
  if (text === 'tcp' || text === 'udp') return text
  throw new Error(`protocol "${text}" is not available: it may be tcp or udp`)
}

function portNumber(key: string, text: string, least: number): number {
  const number = Number(text)
  if (/^\d+$/.test(text) && number >= least && number <= 65_535) return number
  throw new Error(`${key} must be a port from ${least} to 65535, not "${text}"`)
}
