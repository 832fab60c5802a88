// Sides that are measured in turn, and what their rounds say beside each other. Pure but for the measuring itself.
import { median, rounded } from '../raft/rounds.ts'

export interface Side<T> {
  readonly name: string
  readonly measure: () => Promise<T>
}

/** A B C A B C …: whatever else the machine does falls on all of them. The results of each side, by round. */
export async function inTurn<T>(
  sides: readonly Side<T>[],
  count: number,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, readonly T[]>> {
  const results = new Map(sides.map(({ name }) => [name, [] as T[]]))
  for (let round = 0; round < count && !signal.aborted; round++) {
    for (const { name, measure } of sides) results.get(name)?.push(await measure())
  }
  return results
}

/** Median of what each round of one side is of the same round of the other; undefined without the other. */
export function ratio(
  own: readonly number[],
  other: readonly number[] | undefined,
): number | undefined {
  if (other === undefined || other.length === 0) return undefined
  const each = own.flatMap((value, at) => {
    const beside = other[at]
    return beside === undefined ? [] : [value / beside]
  })
  return rounded(median(each))
}

/** All rounds, the least first. */
export function spread(values: readonly number[]): string {
  return [...values]
    .sort((a, b) => a - b)
    .map((value) => value.toFixed(1))
    .join(' ')
}
