// tsswarm node inspect
import { nodeFromProto } from '../../proto/codec/node.ts'
import type { Json } from '../../proto/docker/json.ts'
import { nodeJson } from '../../proto/docker/node-json.ts'
import type { NodeView } from '../../proto/gen/tsswarm/v1/control.ts'
import { defineCommand } from '../command.ts'
import { checkInspectFlags, forEachArgument, getNode, incomplete, inspectFlags } from '../common.ts'
import { renderInspect } from '../render/inspect-format.ts'
import { managerStatus } from '../render/node-list.ts'
import { prettyNode } from '../render/node-pretty.ts'

export const command = defineCommand({
  name: 'node inspect',
  summary: 'Display detailed information on one or more nodes',
  args: { usage: 'self|NODE [NODE...]', min: 1, max: 1_000, completes: 'nodes' },
  flags: inspectFlags,
  examples: [
    { what: 'This node, for people', command: 'tsswarm node inspect self --pretty' },
    {
      what: 'The address of a node',
      command: "tsswarm node inspect --format '{{.Status.Addr}}' worker-1",
    },
  ],
  run: async (ctx, { flags, args }) => {
    checkInspectFlags(flags)
    const client = await ctx.connect()
    const objects: Json[] = []
    const pretty: string[] = []
    const exit = await forEachArgument(ctx, args, async (reference) => {
      const view = await getNode(client, reference)
      if (flags.pretty) pretty.push(prettyNode(view))
      else objects.push(dockerNode(view))
    })
    ctx.stdout.write(flags.pretty ? pretty.join('\n') : renderInspect(objects, flags.format))
    return exit
  },
})

function dockerNode(view: NodeView): Json {
  if (view.node === undefined) throw incomplete('node')
  const status = managerStatus(view)
  return nodeJson(nodeFromProto(view.node), {
    leader: view.leader,
    reachability:
      status === 'Leader' || status === 'Reachable'
        ? 'reachable'
        : status === 'Unreachable'
          ? 'unreachable'
          : 'unknown',
  })
}
