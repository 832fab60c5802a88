// Which images nobody needs. Pure; whether a container uses one is asked where it is removed.
import { hasLabel } from './image-filters.ts'
import type { StoredImage } from './store-index.ts'

/** What a prune is to take. */
export interface PruneWish {
  /** Also images that have a name. */
  readonly all: boolean
  /** Created before, ms since 1970; 0: any. */
  readonly untilMs: number
  /** KEY or KEY=VALUE, all of which must hold. */
  readonly labels: readonly string[]
  /** None of which may hold. */
  readonly otherLabels: readonly string[]
}

/** Whether the wish is for it; `labels` are those of the image's configuration. */
export function isPruned(
  image: StoredImage,
  labels: Readonly<Record<string, string>>,
  wish: PruneWish,
): boolean {
  if (!wish.all && image.names.length > 0) return false
  if (wish.untilMs > 0 && image.createdAtMs >= wish.untilMs) return false
  return (
    wish.labels.every((label) => hasLabel(labels, label)) &&
    !wish.otherLabels.some((label) => hasLabel(labels, label))
  )
}
