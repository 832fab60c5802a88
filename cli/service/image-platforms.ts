// Which platforms a service's tasks may be placed on: those for which the registry has its image, asked by the daemon that the command speaks
// to, as Docker's client does. Source: swarm-semantics 2 (Placement.Platforms), 3.1 (--no-resolve-image).
import { hasCode } from '../../proto/errors.ts'
import {
  DaemonService,
  type ResolveImageRequest,
  type ResolveImageResponse,
} from '../../proto/gen/tsswarm/v1/daemon.ts'
import type { ServiceSpec } from '../../proto/spec/service-spec.ts'
import type { Client } from '../client.ts'
import type { CommandContext } from '../context.ts'
import { authFor } from '../credentials.ts'

export type Platforms = ServiceSpec['task']['placement']['platforms']

/** A spec has room for so many. */
const platformsMax = 64
/** Longer than the daemon waits for a registry. */
const askMs = 30_000

/**
 * The platforms of the image; undefined: its registry does not say, which is warned of unless this host has the image, or the daemon
 * is of a version that does not ask. Errors: CANCELLED.
 */
export async function offeredPlatforms(
  ctx: CommandContext,
  client: Client,
  image: string,
): Promise<Platforms | undefined> {
  const answer = await askedOf(client, { reference: image, auth: await authFor(ctx.env, image) })
  if (answer === undefined) return undefined
  const { failure, isLocal, platforms } = answer
  if (failure === '') return platforms.slice(0, platformsMax)
  if (!isLocal) {
    ctx.stderr.write(
      `Warning: the registry does not say for which platforms it has ${image}: tasks go to nodes of any. ${failure}\n`,
    )
  }
  return undefined
}

/** Undefined: that is not for this call to tell. */
async function askedOf(
  client: Client,
  request: ResolveImageRequest,
): Promise<ResolveImageResponse | undefined> {
  try {
    return await client.call(DaemonService.resolveImage, request, { timeoutMs: askMs })
  } catch (err) {
    if (hasCode(err, 'CANCELLED')) throw err
    // Of what is no reference the managers' own refusal tells more.
    if (hasCode(err, 'UNSUPPORTED', 'INVALID_ARGUMENT')) return undefined
    const failure = err instanceof Error ? err.message : String(err)
    return { digest: '', platforms: [], failure, isLocal: false }
  }
}

/** Of a new service, or one whose image was changed; what the spec says itself stays. */
export async function withPlatforms(
  ctx: CommandContext,
  client: Client,
  spec: ServiceSpec,
): Promise<ServiceSpec> {
  if (spec.task.placement.platforms.length > 0) return spec
  return onPlatforms(spec, (await offeredPlatforms(ctx, client, spec.task.container.image)) ?? [])
}

export function onPlatforms(spec: ServiceSpec, platforms: Platforms): ServiceSpec {
  const { task } = spec
  return { ...spec, task: { ...task, placement: { ...task.placement, platforms } } }
}

/** Of a service that an update gives this image; `offered` undefined: nobody knows its platforms, so those of the former image say nothing. */
export function updatedPlatforms(
  before: ServiceSpec,
  after: ServiceSpec,
  offered: Platforms | undefined,
): ServiceSpec {
  const isSame = before.task.container.image === after.task.container.image
  return offered === undefined && isSame ? after : onPlatforms(after, offered ?? [])
}
