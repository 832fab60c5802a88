// Reading a node, changing its spec and writing it back; again when something else changed the node meanwhile.

import { hasCode } from '../proto/errors.ts'
import { ControlService } from '../proto/gen/tsswarm/v1/control.ts'
import type { Node, NodeSpec } from '../proto/gen/tsswarm/v1/objects.ts'
import { newId } from '../proto/lib/ids.ts'
import { getNode, incomplete } from './common.ts'
import type { CommandContext } from './context.ts'

const triesMax = 10

/**
 * Applies `change` to a node's spec. Returns the node as it was; undefined from `change` means nothing is to be done.
 * Status reports raise a node's version too, so a conflict is tried again from a fresh reading.
 */
export async function changeNode(
  ctx: CommandContext,
  reference: string,
  change: (spec: NodeSpec, node: Node) => NodeSpec | undefined,
): Promise<{ readonly node: Node; readonly changed: boolean }> {
  const client = await ctx.connect()
  for (let tries = 1; ; tries += 1) {
    const { node } = await getNode(client, reference)
    if (node?.spec === undefined) throw incomplete('node')
    const spec = change(node.spec, node)
    if (spec === undefined) return { node, changed: false }
    try {
      await client.call(ControlService.updateNode, {
        requestId: newId(ctx.random),
        nodeId: node.id,
        version: node.meta?.version ?? 0,
        spec,
      })
      return { node, changed: true }
    } catch (err) {
      if (!hasCode(err, 'OUT_OF_SEQUENCE') || tries === triesMax) throw err
    }
  }
}
