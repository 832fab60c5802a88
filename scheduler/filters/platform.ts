// The image must run on the node's operating system and architecture, when the spec names those it runs on.

import type { Node } from '../../proto/objects/index.ts'
import type { Platform } from '../../proto/spec/node-spec.ts'
import { type Demand, normalPlatform } from '../demand.ts'
import { countNodes, type Filter } from './filter.ts'

export const platformFilter: Filter = {
  name: 'platform',
  applies: (demand) => demand.platforms.length > 0,
  accepts: ({ node }, demand) => runsPlatform(node, demand),
  summary: (nodes) => `unsupported platform on ${countNodes(nodes)}`,
  detail: (entry, demand) => {
    const wanted = demand.platforms.map(platformText).join(' or ')
    return `needs ${wanted}, the node is ${platformText(platformOf(entry.node))}`
  },
}

/** Whether it is one of those that the demand names. */
export function runsPlatform(node: Node, { platforms }: Demand): boolean {
  const own = platformOf(node)
  return platforms.some(
    (wanted) =>
      (wanted.os === '' || wanted.os === own.os) &&
      (wanted.architecture === '' || wanted.architecture === own.architecture),
  )
}

function platformOf(node: Node): Platform {
  return normalPlatform(node.description?.platform ?? { architecture: '', os: '' })
}

function platformText(platform: Platform): string {
  return `${platform.os || '*'}/${platform.architecture || '*'}`
}
