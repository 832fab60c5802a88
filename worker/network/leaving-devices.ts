// Devices that go by themselves: the kernel takes away the end of a container's link some time after the container's own namespace,
// many at once. Until then they are no difference that somebody made. In memory only.
import type { Clock } from '../../proto/lib/clock.ts'
import type { ObservedItem } from './kernel-state.ts'

/** One that is there longer is kept by somebody who sits in the container's namespace. */
const leavingMs = 30_000
/** More are not remembered: those that began to go first are looked at again. */
const devicesMax = 10_000

export class LeavingDevices {
  readonly #clock: Clock
  /** Since when, the oldest first. */
  readonly #sinceMs = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(names: readonly string[]): void {
    const nowMs = this.#clock.monotonicMs()
    for (const [name, sinceMs] of this.#sinceMs) {
      if (nowMs - sinceMs < 2 * leavingMs && this.#sinceMs.size < devicesMax) break
      this.#sinceMs.delete(name)
    }
    for (const name of names) if (!this.#sinceMs.has(name)) this.#sinceMs.set(name, nowMs)
  }

  /** Without them and what hangs on them. */
  without(items: readonly ObservedItem[]): readonly ObservedItem[] {
    if (this.#sinceMs.size === 0) return items
    return items.filter(
      ({ key, fields }) => !this.#isLeaving(key.split(' ')[0]) && !this.#isLeaving(fields.dev),
    )
  }

  #isLeaving(name: string | undefined): boolean {
    const sinceMs = this.#sinceMs.get(name ?? '')
    return sinceMs !== undefined && this.#clock.monotonicMs() - sinceMs < leavingMs
  }
}
