// tsswarm service scale
import { modeFromProto, modeToProto } from '../../proto/codec/service-mode.ts'
import { defineCommand } from '../command.ts'
import { forEachArgument } from '../common.ts'
import { converge } from '../converge.ts'
import { bool } from '../flags.ts'
import { changeService } from '../service/change-service.ts'
import { scaledMode } from '../service/mode-flags.ts'
import { parseWish } from '../service/scale-wish.ts'

export const command = defineCommand({
  name: 'service scale',
  summary: 'Scale one or multiple replicated services',
  args: {
    usage: 'SERVICE=REPLICAS [SERVICE=REPLICAS...]',
    min: 1,
    max: 1_000,
    completes: 'services',
  },
  flags: {
    detach: bool('Exit immediately instead of waiting for the service to converge', { short: 'd' }),
  },
  examples: [
    { what: 'Ten replicas', command: 'tsswarm service scale web=10' },
    {
      what: 'Two services at once, without waiting',
      command: 'tsswarm service scale -d web=3 api=5',
    },
  ],
  run: async (ctx, { flags, args }) => {
    // All are read before the first is carried out.
    args.map(parseWish)
    const client = await ctx.connect()
    const scaled = new Map<string, string>()
    const exit = await forEachArgument(ctx, args, async (argument) => {
      const { name, replicas } = parseWish(argument)
      const { serviceId } = await changeService(ctx, client, name, (spec) => ({
        ...spec,
        mode: modeToProto(scaledMode(modeFromProto(spec.mode), replicas)),
      }))
      ctx.stdout.write(`${name} scaled to ${replicas}\n`)
      scaled.set(serviceId, name)
    })
    if (flags.detach) return exit
    for (const [serviceId, name] of scaled) {
      if (!ctx.signal.aborted) await converge(ctx, client, { serviceId, name, quiet: false })
    }
    return exit
  },
})
