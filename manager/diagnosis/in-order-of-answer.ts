// Many questions, a few at a time, answered in the order in which the answers come.

/** `ask` must not reject but for what ends it all. Leaving the loop asks nobody further. */
export async function* inOrderOfAnswer<T, R>(
  items: readonly T[],
  atOnceMax: number,
  ask: (item: T) => Promise<R>,
): AsyncGenerator<R, void, undefined> {
  const open = new Map<number, Promise<readonly [number, R]>>()
  let next = 0
  while (next < items.length || open.size > 0) {
    for (const item of items.slice(next, next + atOnceMax - open.size)) {
      const at = next
      next += 1
      open.set(
        at,
        ask(item).then((answer) => [at, answer] as const),
      )
    }
    const [at, answer] = await Promise.race(open.values())
    open.delete(at)
    yield answer
  }
}
