// tsswarm plan service create|update|scale
import { serviceSpecFromProto, serviceSpecToProto } from '../../proto/codec/service.ts'
import { modeFromProto, modeToProto } from '../../proto/codec/service-mode.ts'
import type { PlanRequest } from '../../proto/gen/tsswarm/v1/control.ts'
import type { ServiceSpec } from '../../proto/gen/tsswarm/v1/objects.ts'
import { defineCommand } from '../command.ts'
import { getService, incomplete } from '../common.ts'
import type { CommandContext } from '../context.ts'
import type { Flags } from '../flags.ts'
import { parseFlags, usage } from '../parse-args.ts'
import { planFlags, printPlan } from '../plan-action.ts'
import { type CreateFlags, createFlags, createSpec } from '../service/create-spec.ts'
import { namingFlags } from '../service/flag-of-field.ts'
import { offeredImage, updatedImage, withOffer } from '../service/image-offer.ts'
import { scaledMode } from '../service/mode-flags.ts'
import { withNetworkIds } from '../service/network-ids.ts'
import { randomServiceName } from '../service/random-name.ts'
import { parseWish } from '../service/scale-wish.ts'
import { absentServiceFlag } from '../service/service-flags.ts'
import { type UpdateFlags, updateFlags, updateSpec } from '../service/update-spec.ts'

type Action = NonNullable<PlanRequest['action']>

export const command = defineCommand({
  name: 'plan service',
  summary: 'Show what creating, updating or scaling a service would do to tasks',
  description:
    'Takes what "tsswarm service create", "update" and "scale" take. Answered by the scheduler and the decisions themselves; nothing is changed. ' +
    'Exit code 1 when a task would find no node.',
  args: {
    usage: 'create|update|scale [OPTIONS] ARG...',
    min: 2,
    max: 10_000,
    stopAtFirst: true,
    completes: ['create', 'update', 'scale'],
    thenCompletes: 'services',
  },
  flags: planFlags,
  examples: [
    { what: 'Would ten replicas fit?', command: 'tsswarm plan service scale web=10' },
    {
      what: 'Where would the tasks of a new service go?',
      command: 'tsswarm plan service create --name db --reserve-memory 4G --replicas 3 postgres:17',
    },
    {
      what: 'What would a constraint move?',
      command: 'tsswarm plan service update --constraint-add node.labels.zone==east web',
    },
  ],
  run: async (ctx, { flags, args }) => {
    const [verb = '', ...rest] = args
    const action = await namingFlags(async () => await actionOf(ctx, verb, rest))
    return await namingFlags(async () => await printPlan(ctx, action, flags.format))
  },
})

async function actionOf(
  ctx: CommandContext,
  verb: string,
  words: readonly string[],
): Promise<Action> {
  switch (verb) {
    case 'create':
      return await creation(ctx, words)
    case 'update':
      return await update(ctx, words)
    case 'scale':
      return await scaling(ctx, words)
    default:
      throw usage(`"${verb}" cannot be planned: write create, update or scale, and what follows it`)
  }
}

async function creation(ctx: CommandContext, words: readonly string[]): Promise<Action> {
  const { flags, args } = parsed('create', createFlags, words)
  const surroundings = { env: ctx.env, newName: () => randomServiceName(ctx.random) }
  const asked = createSpec(flags as CreateFlags, args, surroundings)
  const resolves = flags['no-resolve-image'] !== true
  const spec = resolves ? await withOffer(ctx, await ctx.connect(), asked) : asked
  return { $case: 'create', value: serviceSpecToProto(spec) }
}

async function update(ctx: CommandContext, words: readonly string[]): Promise<Action> {
  const { flags, args } = parsed('update', updateFlags, words)
  const [reference = ''] = args
  if (flags['rollback'] === true) throw usage('flag --rollback cannot be planned')
  const client = await ctx.connect()
  const given = await withNetworkIds(client, flags as UpdateFlags)
  const spec = serviceSpecFromProto(await specOf(ctx, reference))
  const changed = updateSpec(spec, given, ctx.env)
  const { image } = given
  if (image === undefined) return updated(reference, serviceSpecToProto(changed))
  const isAsked = flags['no-resolve-image'] !== true
  const offer = isAsked ? await offeredImage(ctx, client, image) : undefined
  const wish = { before: spec, after: changed, offer, isAsked }
  return updated(reference, serviceSpecToProto(updatedImage(wish)))
}

async function scaling(ctx: CommandContext, words: readonly string[]): Promise<Action> {
  const { args } = parsed('scale', {}, words)
  const { name, replicas } = parseWish(args[0] ?? '')
  const spec = await specOf(ctx, name)
  const mode = modeToProto(scaledMode(modeFromProto(spec.mode), replicas))
  return updated(name, { ...spec, mode })
}

function updated(reference: string, spec: ServiceSpec): Action {
  return { $case: 'update', value: { reference, spec } }
}

async function specOf(ctx: CommandContext, reference: string): Promise<ServiceSpec> {
  const { service } = await getService(await ctx.connect(), reference)
  if (service?.spec === undefined) throw incomplete('service')
  return service.spec
}

/** As the command of that name reads them. */
function parsed(
  verb: 'create' | 'update' | 'scale',
  flags: Flags,
  words: readonly string[],
): { readonly flags: Record<string, unknown>; readonly args: readonly string[] } {
  const isCreate = verb === 'create'
  const given = parseFlags(flags, words, { stopAtFirst: isCreate, absent: absentServiceFlag })
  const isRight = isCreate ? given.args.length > 0 : given.args.length === 1
  if (!given.help && isRight) return given
  throw usage(
    `see "tsswarm service ${verb} --help" for what follows: ${isCreate ? 'an image' : 'one service'}`,
  )
}
