// Queues whose front is done first.

/** Removes items from the front as long as they are done, and returns them in order. */
export function shiftWhile<T>(queue: T[], isDone: (item: T) => boolean): readonly T[] {
  let done = 0
  for (const item of queue) {
    if (!isDone(item)) break
    done += 1
  }
  return done === 0 ? [] : queue.splice(0, done)
}
