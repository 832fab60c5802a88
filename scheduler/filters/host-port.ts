// A port published on the host can be had once a node, protocol and address; one on all addresses once a node and protocol, or
// once a family of these.
import { familyOfBind, isWildcardBind } from '../../proto/objects/index.ts'
import type { NodeEntry } from '../cluster-index.ts'
import { countNodes, type Filter } from './filter.ts'

export const hostPortFilter: Filter = {
  name: 'host-port',
  applies: (demand) => demand.hostPorts.length > 0,
  accepts: (entry, demand) => !demand.hostPorts.some((port) => isUsed(entry, port)),
  summary: (nodes) => `host-mode port already in use on ${countNodes(nodes)}`,
  detail: (entry, demand) => {
    const used = demand.hostPorts.filter((port) => isUsed(entry, port))
    return `in use by other tasks: ${used.join(', ')}`
  },
}

function isUsed({ hostPorts }: NodeEntry, port: string): boolean {
  if (hostPorts === undefined) return false
  const [protocol, number, address] = port.split('/')
  const onAll = `${protocol}/${number}`
  if (hostPorts.has(onAll)) return true
  if (address === undefined) return hostPorts.has(`${onAll}/*`)
  const family = familyOfBind(address)
  if (isWildcardBind(address)) return hostPorts.has(`${onAll}/*${family}`)
  return hostPorts.has(port) || hostPorts.has(`${onAll}/${family === 6 ? '::' : '0.0.0.0'}`)
}
