// --with-registry-auth: the login of this user for an image's registry, to be sent to the managers.
import { registryOf } from '../../proto/lib/image-registry.ts'
import type { CommandContext } from '../context.ts'
import { authFor } from '../credentials.ts'
import { bool } from '../flags.ts'

export const registryAuthFlag = bool(
  "Let the service's tasks pull with your login for the registry of the image",
)

/** As requests carry it. Undefined: there is no login, which is warned of. Errors: FAILED_PRECONDITION. */
export async function authToSend(ctx: CommandContext, image: string): Promise<string | undefined> {
  const auth = await authFor(ctx.env, image)
  if (auth !== '') return auth
  ctx.stderr.write(`Warning: ${withoutLogin(registryOf(image))}\n`)
  return undefined
}

/** By image. A registry without a login is warned of once. Errors: FAILED_PRECONDITION. */
export async function authsToSend(
  ctx: CommandContext,
  images: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const auths = new Map<string, string>()
  const unknown = new Set<string>()
  for (const image of new Set(images)) {
    const auth = await authFor(ctx.env, image)
    if (auth === '') unknown.add(registryOf(image))
    else auths.set(image, auth)
  }
  for (const registry of unknown) ctx.stderr.write(`Warning: ${withoutLogin(registry)}\n`)
  return auths
}

function withoutLogin(registry: string): string {
  return `you are not logged in to ${registry}: no credentials are sent for it (tsswarm login ${registry})`
}
