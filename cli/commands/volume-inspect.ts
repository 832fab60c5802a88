// tsswarm volume inspect

import type { Json } from '../../proto/docker/json.ts'
import { SwarmError } from '../../proto/errors.ts'
import { defineCommand } from '../command.ts'
import { forEachArgument } from '../common.ts'
import type { CommandContext } from '../context.ts'
import { text } from '../flags.ts'
import { renderInspect } from '../render/inspect-format.ts'
import { type VolumeOfNode, volumeJson } from '../render/volume-list.ts'
import { asksNodes, forEachAnswer, type VolumeNodeFlags, volumeNodeFlags } from '../volume-nodes.ts'

export const command = defineCommand({
  name: 'volume inspect',
  summary: 'Display detailed information on one or more volumes',
  description: 'UsedBy names the containers that use it, those that have ended too.',
  args: { usage: 'VOLUME [VOLUME...]', min: 1, max: 1_000, completes: 'volumes' },
  flags: {
    format: text("Format output: 'json', or a Go template an object", { short: 'f' }),
    ...volumeNodeFlags,
  },
  examples: [
    { what: 'A volume of this host', command: 'tsswarm volume inspect data' },
    {
      what: 'Where it is, on every node that has it',
      command: "tsswarm volume inspect --all-nodes -f '{{.Node}} {{.Mountpoint}}' data",
    },
  ],
  run: async (ctx, { flags, args }) => {
    const objects: Json[] = []
    let exit = 0
    const failed = await forEachArgument(ctx, args, async (name) => {
      const found = await find(ctx, flags, name)
      exit = Math.max(exit, found.exit)
      objects.push(...found.volumes.map(volumeJson))
    })
    ctx.stdout.write(renderInspect(objects, flags.format))
    return Math.max(exit, failed)
  },
})

/** Of nodes, those that have it: one that has not is no failure of its own. Errors: NOT_FOUND. */
async function find(
  ctx: CommandContext,
  flags: VolumeNodeFlags,
  name: string,
): Promise<{ readonly volumes: readonly VolumeOfNode[]; readonly exit: number }> {
  const volumes: VolumeOfNode[] = []
  const question = asksNodes(flags)
    ? ({ $case: 'list', value: {} } as const)
    : ({ $case: 'inspect', value: { names: [name] } } as const)
  const exit = await forEachAnswer(ctx, flags, question, ({ node, reply }) => {
    for (const volume of reply.volumes) if (volume.name === name) volumes.push({ node, volume })
  })
  if (volumes.length > 0) return { volumes, exit }
  throw new SwarmError('NOT_FOUND', `get ${name}: no such volume on any node that answered`)
}
