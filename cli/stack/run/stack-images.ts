// The images of a stack's services, pinned to what their registries have and on the platforms of it (--resolve-image).
import type { Client } from '../../client.ts'
import type { CommandContext } from '../../context.ts'
import { choice } from '../../flags.ts'
import {
  asOffered,
  type ImageOffer,
  isSameImage,
  offeredImage,
  placedImage,
  withImage,
} from '../../service/image-offer.ts'
import type { SwarmState } from '../plan-stack.ts'
import type { StackSpec } from '../stack-spec.ts'

const ways = ['always', 'changed', 'never'] as const
export type ResolveImage = (typeof ways)[number]

export const resolveImageFlag = choice(
  'When to ask registries for digest and platforms of an image: always, changed (a new image only), never',
  ways,
  { shown: 'always' },
)

/** What is not asked, or not said, stays as it is as long as the image has its name. Each image is asked for once. */
export async function stackAsOffered(
  ctx: CommandContext,
  client: Client,
  stack: StackSpec,
  { services, way }: Pick<SwarmState, 'services'> & { readonly way: ResolveImage },
): Promise<StackSpec> {
  const live = new Map(services.map(({ spec }) => [spec.name.toLowerCase(), spec]))
  /** Of the same image; undefined: there is none. */
  const kept = ({ spec }: StackSpec['services'][number]) => {
    const before = live.get(spec.name.toLowerCase())
    const isSame =
      before !== undefined && isSameImage(before.task.container.image, spec.task.container.image)
    return isSame ? placedImage(before) : undefined
  }
  const asked = stack.services.filter((service) => {
    if (way === 'never') return false
    return way === 'always' || kept(service) === undefined
  })
  const images = [...new Set(asked.map(({ spec }) => spec.task.container.image))]
  const offers = await Promise.all(images.map((image) => offeredImage(ctx, client, image)))
  const offered = new Map(
    images.map((image, at): [string, ImageOffer | undefined] => [image, offers[at]]),
  )
  const asItIs = (service: StackSpec['services'][number]) => {
    const { spec } = service
    const offer = offered.get(spec.task.container.image)
    if (offer !== undefined) return { ...service, spec: asOffered(spec, offer) }
    const nothing = { image: spec.task.container.image, platforms: [] }
    return { ...service, spec: withImage(spec, kept(service) ?? nothing) }
  }
  return { ...stack, services: stack.services.map(asItIs) }
}
