// tsswarm image inspect
import type { Json } from '../../proto/docker/json.ts'
import { DaemonService } from '../../proto/gen/tsswarm/v1/daemon.ts'
import { defineCommand } from '../command.ts'
import { forEachArgument } from '../common.ts'
import { text } from '../flags.ts'
import { absentImageFlag } from '../image-flags.ts'
import { imageJson } from '../render/image-inspect.ts'
import { renderInspect } from '../render/inspect-format.ts'

export const command = defineCommand({
  name: 'image inspect',
  summary: 'Display detailed information on one or more images',
  args: { usage: 'IMAGE [IMAGE...]', min: 1, max: 1_000, completes: 'images' },
  flags: { format: text("Format output: 'json', or a Go template an object", { short: 'f' }) },
  absent: absentImageFlag,
  examples: [
    { what: 'All of it', command: 'tsswarm image inspect nginx:1.27' },
    {
      what: 'What it runs',
      command: "tsswarm image inspect -f '{{json .Config.Cmd}}' nginx:1.27",
    },
  ],
  run: async (ctx, { flags, args }) => {
    const client = await ctx.connect()
    const objects: Json[] = []
    const exit = await forEachArgument(ctx, args, async (reference) => {
      objects.push(imageJson(await client.call(DaemonService.inspectImage, { reference })))
    })
    ctx.stdout.write(renderInspect(objects, flags.format))
    return exit
  },
})
