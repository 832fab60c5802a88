// A port published on the host can be had once a node, protocol and address; one on all addresses once a node and protocol.
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
  return hostPorts.has(onAll) || hostPorts.has(address === undefined ? `${onAll}/*` : port)
}
