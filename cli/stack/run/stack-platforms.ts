// The platforms of a stack's services, as their images' registries offer them (--resolve-image).
import type { Client } from '../../client.ts'
import type { CommandContext } from '../../context.ts'
import { choice } from '../../flags.ts'
import { offeredPlatforms, onPlatforms, type Platforms } from '../../service/image-platforms.ts'
import type { SwarmState } from '../plan-stack.ts'
import type { StackSpec } from '../stack-spec.ts'

const ways = ['always', 'changed', 'never'] as const
export type ResolveImage = (typeof ways)[number]

export const resolveImageFlag = choice(
  'When to ask registries for which platforms they have an image: always, changed (a new image only), never',
  ways,
  { shown: 'always' },
)

/** What is not asked, or not said, stays as it is as long as the image does. Each image is asked for once. */
export async function stackOnPlatforms(
  ctx: CommandContext,
  client: Client,
  stack: StackSpec,
  { services, way }: Pick<SwarmState, 'services'> & { readonly way: ResolveImage },
): Promise<StackSpec> {
  const live = new Map(services.map(({ spec }) => [spec.name.toLowerCase(), spec.task]))
  const isSame = ({ spec }: StackSpec['services'][number]): boolean =>
    live.get(spec.name.toLowerCase())?.container.image === spec.task.container.image
  const asked = stack.services.filter((service) => {
    if (way === 'never') return false
    return way === 'always' || !isSame(service)
  })
  const images = [...new Set(asked.map(({ spec }) => spec.task.container.image))]
  const offers = await Promise.all(images.map((image) => offeredPlatforms(ctx, client, image)))
  const offered = new Map(
    images.map((image, at): [string, Platforms | undefined] => [image, offers[at]]),
  )
  const onItsPlatforms = (service: StackSpec['services'][number]) => {
    const { spec } = service
    const kept = isSame(service)
      ? live.get(spec.name.toLowerCase())?.placement.platforms
      : undefined
    const platforms = offered.get(spec.task.container.image) ?? kept ?? []
    return { ...service, spec: onPlatforms(spec, platforms) }
  }
  return { ...stack, services: stack.services.map(onItsPlatforms) }
}
