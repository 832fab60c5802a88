// A port published on the host can be had once a node and protocol, whatever the address it is bound to.
import { countNodes, type Filter } from './filter.ts'

export const hostPortFilter: Filter = {
  name: 'host-port',
  applies: (demand) => demand.hostPorts.length > 0,
  accepts: (entry, demand) =>
    entry.hostPorts === undefined || !demand.hostPorts.some((port) => entry.hostPorts?.has(port)),
  summary: (nodes) => `host-mode port already in use on ${countNodes(nodes)}`,
  detail: (entry, demand) => {
    const used = demand.hostPorts.filter((port) => entry.hostPorts?.has(port) === true)
    return `in use by other tasks: ${used.join(', ')}`
  },
}
