// A node whose program is older than something the spec says would run its tasks without that.
import type { NodeEntry } from '../cluster-index.ts'
import type { Demand } from '../demand.ts'
import { countNodes, type Filter } from './filter.ts'

export const versionFilter: Filter = {
  name: 'version',
  applies: ({ features }) => features.length > 0,
  accepts: (entry, { features }) => features.every(({ level }) => level <= levelOf(entry)),
  summary: (nodes) => `version too old on ${countNodes(nodes)}`,
  detail: (entry, demand) => `node runs an older version: needs ${unknown(entry, demand)}`,
}

function unknown(entry: NodeEntry, { features }: Demand): string {
  const words = features.filter(({ level }) => level > levelOf(entry)).map((one) => one.words)
  return words.join(', ')
}

function levelOf({ node }: NodeEntry): number {
  return node.description?.featureLevel ?? 0
}
