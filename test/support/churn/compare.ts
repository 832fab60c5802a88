// Whether what a kernel holds is what the store said: of each fact that was so for a while, for news takes its time. Pure.
import { desiredFacts } from './desired-facts.ts'
import type { Picture } from './picture.ts'

/** When the kernel was read, on the wall clock. */
export interface Moment {
  readonly fromMs: number
  readonly toMs: number
}

/** Of a container that has ended: it goes with the container's namespace, which the kernel takes apart when it gets to it. */
const goesByItself = /^neighbour \S+$/

/**
 * What must be there and is not, and what is there and must not be, in words; of facts that no picture contradicts from
 * `settledMs` before the reading until after it. `pictures` in order, the last one made after the reading.
 */
export function differences(
  observed: ReadonlySet<string>,
  pictures: readonly Picture[],
  nodeId: string,
): readonly string[] {
  const all = pictures.map((picture) => desiredFacts(picture, nodeId))
  const [first, ...others] = all
  if (first === undefined) throw new Error('there is nothing to compare with')
  const isNeeded = (fact: string, reasons: ReadonlySet<string>): boolean =>
    [...reasons].some((reason) => others.every(({ must }) => must.get(fact)?.has(reason) === true))
  const missing = [...first.must]
    .filter(([fact, reasons]) => !observed.has(fact) && isNeeded(fact, reasons))
    .map(([fact]) => fact)
  const foreign = [...observed].filter(
    (fact) => !goesByItself.test(fact) && all.every(({ may }) => !may.has(fact)),
  )
  return [...missing.map((fact) => `lacks ${fact}`), ...foreign.map((fact) => `has ${fact}`)]
}

/** The pictures that tell of the time from `settledMs` before the reading until it; undefined: not all are there yet. */
export function picturesOf(
  moment: Moment,
  settledMs: number,
  pictures: readonly Picture[],
): readonly Picture[] | undefined {
  const last = pictures.findIndex(({ fromMs }) => fromMs >= moment.toMs)
  const first = pictures.findLastIndex(({ toMs }) => toMs <= moment.fromMs - settledMs)
  return last < 0 || first < 0 ? undefined : pictures.slice(first, last + 1)
}
