// Whether a node is one that a spec may be placed on at all, whatever runs there now and whether it takes tasks.
import type { Node } from '../proto/objects/index.ts'
import { matchesConstraint } from './constraints.ts'
import type { Demand } from './demand.ts'
import { runsPlatform } from './filters/platform.ts'

/** By constraints and platform. */
export function fitsNode(node: Node, demand: Demand): boolean {
  return (
    demand.unreadable.length === 0 &&
    demand.constraints.every((constraint) => matchesConstraint(constraint, node)) &&
    (demand.platforms.length === 0 || runsPlatform(node, demand))
  )
}
