// The image must run on the node's operating system and architecture, when the spec names those it runs on.
import type { Platform } from '../../proto/spec/node-spec.ts'
import type { NodeEntry } from '../cluster-index.ts'
import { normalPlatform } from '../demand.ts'
import { countNodes, type Filter } from './filter.ts'

export const platformFilter: Filter = {
  name: 'platform',
  applies: (demand) => demand.platforms.length > 0,
  accepts: (entry, demand) => {
    const own = platformOf(entry)
    return demand.platforms.some(
      (wanted) =>
        (wanted.os === '' || wanted.os === own.os) &&
        (wanted.architecture === '' || wanted.architecture === own.architecture),
    )
  },
  summary: (nodes) => `unsupported platform on ${countNodes(nodes)}`,
  detail: (entry, demand) => {
    const wanted = demand.platforms.map(platformText).join(' or ')
    return `needs ${wanted}, the node is ${platformText(platformOf(entry))}`
  },
}

function platformOf(entry: NodeEntry): Platform {
  return normalPlatform(entry.node.description?.platform ?? { architecture: '', os: '' })
}

function platformText(platform: Platform): string {
  return `${platform.os || '*'}/${platform.architecture || '*'}`
}
