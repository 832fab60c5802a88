// Choices from a seed, for histories and schedules that can be had again.
import { randomInt, seededRandom } from '../../../proto/lib/random.ts'

export interface Choices {
  /** A whole number in [0, bound). */
  below(bound: number): number
  /** In [from, to). */
  between(from: number, to: number): number
  /** One of the items. Throws without any. */
  of<T>(items: readonly T[]): T
  /** A copy in another order. */
  shuffled<T>(items: readonly T[]): T[]
}

export function seededChoices(seed: number): Choices {
  const random = seededRandom(seed)
  const below = (bound: number): number => randomInt(random, bound)
  return {
    below,
    between: (from, to) => from + random.float() * (to - from),
    of: <T>(items: readonly T[]): T => {
      if (items.length === 0) throw new RangeError('one of no items')
      return items[below(items.length)] as T
    },
    shuffled: (items) =>
      items
        .map((item) => ({ item, at: random.float() }))
        .sort((a, b) => a.at - b.at)
        .map(({ item }) => item),
  }
}
