// A node without the runtime that the spec asks for cannot run its containers.
import type { NodeEntry } from '../cluster-index.ts'
import { countNodes, type Filter } from './filter.ts'

export const runtimeFilter: Filter = {
  name: 'runtime',
  applies: ({ runtime }) => runtime !== undefined,
  accepts: (entry, { runtime = '' }) => {
    const own = runtimesOf(entry)
    // It has not told since managers write it down; it rejects the task itself if it must.
    return own.length === 0 || own.includes(runtime)
  },
  summary: (nodes) => `runtime missing on ${countNodes(nodes)}`,
  detail: (entry, { runtime = '' }) =>
    `needs the runtime ${runtime}, the node has ${runtimesOf(entry).join(', ')}`,
}

function runtimesOf({ node }: NodeEntry): readonly string[] {
  return node.description?.runtimes ?? []
}
