// tsswarm service update
import { serviceSpecFromProto, serviceSpecToProto } from '../../proto/codec/service.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import { defineCommand } from '../command.ts'
import { printWarnings } from '../common.ts'
import type { CommandContext } from '../context.ts'
import { converge } from '../converge.ts'
import { usage } from '../parse-args.ts'
import { changeServiceWith, rollBackService } from '../service/change-service.ts'
import { namingFlags } from '../service/flag-of-field.ts'
import { offeredImage, updatedImage } from '../service/image-offer.ts'
import { withNetworkIds } from '../service/network-ids.ts'
import { authToSend } from '../service/registry-auth.ts'
import { absentServiceFlag } from '../service/service-flags.ts'
import { type UpdateFlags, updateFlags, updateSpec } from '../service/update-spec.ts'

export const command = defineCommand({
  name: 'service update',
  summary: 'Update a service',
  description:
    'What no flag names stays as it is. Tasks whose specification changed are replaced as --update-parallelism, --update-order and the ' +
    'like say: one at a time, the old one stopped first. A task that ends soon after its start pauses the update, or as --update-failure-action says.\n' +
    'Waits, unless --detach is given, until all tasks have been running for --update-monitor (a second where nothing is replaced or failures are not ' +
    'looked at); ends with exit code 1 and why when the update pauses or goes back.\n' +
    'Without --with-registry-auth it keeps the credentials for the registry of its image; with --rollback those of the spec before come back.',
  args: { usage: 'SERVICE', min: 1, max: 1, completes: 'services' },
  flags: updateFlags,
  absent: absentServiceFlag,
  examples: [
    {
      what: 'A new image, or what the registry has for its tag now',
      command: 'tsswarm service update --image nginx:1.28 web',
    },
    {
      what: 'Variables',
      command: 'tsswarm service update --env-add MODE=slow --env-rm DEBUG web',
    },
    { what: 'Onto another network', command: 'tsswarm service update --network-add back web' },
    {
      what: 'Two at a time, each new task first, and back if one of them fails',
      command:
        'tsswarm service update --update-parallelism 2 --update-order start-first --update-failure-action rollback --image nginx:1.28 web',
    },
    { what: 'Undo the last update', command: 'tsswarm service update --rollback web' },
    {
      what: 'Another password for its registry: tasks that come pull with your login',
      command: 'tsswarm service update --with-registry-auth web',
    },
    {
      what: 'Replace all tasks although nothing changed',
      command: 'tsswarm service update --force web',
    },
  ],
  run: async (ctx, { flags, args }) => {
    const [reference = ''] = args
    if (flags.rollback) refuseOthers(flags)
    const client = await ctx.connect()
    const named = await withNetworkIds(client, flags)
    const { image } = flags
    const isAsked = image !== undefined && !flags['no-resolve-image']
    const offer = isAsked ? await offeredImage(ctx, client, image) : undefined
    const { serviceId, warnings } = flags.rollback
      ? await rollBackService(ctx, client, reference)
      : await namingFlags(() =>
          changeServiceWith(ctx, client, reference, async (proto) => {
            const spec = serviceSpecFromProto(proto)
            const after = updateSpec(spec, named, ctx.env)
            const wish = { before: spec, after, offer, isAsked }
            const changed = image === undefined ? after : updatedImage(wish)
            return { spec: serviceSpecToProto(changed), ...(await login(ctx, flags, changed)) }
          }),
        )
    printWarnings(ctx, warnings)
    ctx.stdout.write(`${reference}\n`)
    if (!flags.detach) {
      const { quiet, rollback: isRollback } = flags
      await converge(ctx, client, { serviceId, name: reference, quiet, isRollback })
    }
    return 0
  },
})

/** Of the image that it has then. */
async function login(
  ctx: CommandContext,
  flags: UpdateFlags,
  { task }: ServiceSpec,
): Promise<{ readonly registryAuth?: string }> {
  if (!flags['with-registry-auth']) return {}
  const registryAuth = await authToSend(ctx, task.container.image)
  return registryAuth === undefined ? {} : { registryAuth }
}

/** Going back takes all of the previous spec. Errors: USAGE. */
function refuseOthers(flags: UpdateFlags): void {
  const given: Readonly<Record<string, unknown>> = flags
  for (const [name, { initial }] of Object.entries(updateFlags)) {
    if (['rollback', 'detach', 'quiet'].includes(name)) continue
    if (JSON.stringify(given[name]) === JSON.stringify(initial)) continue
    throw usage(`flag --${name} cannot be used with --rollback: go back first, then update again`)
  }
}
