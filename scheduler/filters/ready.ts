// Nodes that are down or unknown, paused or drained take no new tasks.
import { countNodes, type Filter } from './filter.ts'

export const readyFilter: Filter = {
  name: 'ready',
  applies: () => true,
  accepts: (entry) => entry.open,
  summary: (nodes) => `${countNodes(nodes)} not available for new tasks`,
  detail: ({ node }) =>
    node.state === 'ready'
      ? `availability is ${node.spec.availability}`
      : `node is ${node.state}, availability is ${node.spec.availability}`,
}
