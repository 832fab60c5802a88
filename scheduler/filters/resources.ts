// Reservations, generic resources among them, must fit into what the node has, less what tasks on it reserve. Limits do not count.
import type { NodeEntry } from '../cluster-index.ts'
import { freeGeneric, offered } from '../generic.ts'
import { countNodes, type Filter } from './filter.ts'

export const resourcesFilter: Filter = {
  name: 'resources',
  applies: (demand) => demand.nanoCpus > 0 || demand.memoryBytes > 0 || demand.generic.length > 0,
  accepts: (entry, demand) =>
    demand.nanoCpus <= freeNanoCpus(entry) &&
    demand.memoryBytes <= freeMemoryBytes(entry) &&
    demand.generic.every(({ kind, count }) => count <= freeOf(entry, kind)),
  summary: (nodes) => `insufficient resources on ${countNodes(nodes)}`,
  detail: (entry, demand) => {
    const total = entry.node.description?.resources
    const lacks: string[] = []
    if (demand.nanoCpus > freeNanoCpus(entry)) {
      const free = `${cpus(freeNanoCpus(entry))} of ${cpus(total?.nanoCpus ?? 0)} free`
      lacks.push(`needs ${cpus(demand.nanoCpus)} CPUs, ${free}`)
    }
    if (demand.memoryBytes > freeMemoryBytes(entry)) {
      const free = `${mebibytes(freeMemoryBytes(entry))} of ${mebibytes(total?.memoryBytes ?? 0)} free`
      lacks.push(`needs ${mebibytes(demand.memoryBytes)} of memory, ${free}`)
    }
    for (const { kind, count } of demand.generic) {
      const free = freeOf(entry, kind)
      if (count <= free) continue
      const all = offered(entry.node.description, kind)
      const has = all === undefined ? 'the node has none' : `${free} of ${all.count} free`
      lacks.push(`needs ${count} ${kind}, ${has}`)
    }
    return lacks.join('; ')
  },
}

function freeOf(entry: NodeEntry, kind: string): number {
  return freeGeneric(entry.node.description, entry.generic, kind)
}

function freeNanoCpus(entry: NodeEntry): number {
  return (entry.node.description?.resources.nanoCpus ?? 0) - entry.reservedNanoCpus
}

function freeMemoryBytes(entry: NodeEntry): number {
  return (entry.node.description?.resources.memoryBytes ?? 0) - entry.reservedMemoryBytes
}

function cpus(nanoCpus: number): string {
  return String(Math.round(nanoCpus / 1e6) / 1e3)
}

function mebibytes(bytes: number): string {
  return `${Math.round((bytes / 2 ** 20) * 10) / 10} MiB`
}
