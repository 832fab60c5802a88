// Crashes that wait for their moment in a member's own code: one for each kind of moment.
import type { CrashMoment } from './fault.ts'

interface Armed {
  left: number
  readonly spring: () => void
}

export class CrashTrap {
  readonly #armed = new Map<CrashMoment, Armed>()

  /** Springs at the moment after `skip` of its kind. What was armed for that kind before is not any more. */
  arm(moment: CrashMoment, skip: number, spring: () => void): void {
    this.#armed.set(moment, { left: skip, spring })
  }

  disarm(): void {
    this.#armed.clear()
  }

  /** The member died of something else. Moments amid a snapshot are so rare that they are waited for in its next life. */
  died(): void {
    for (const moment of [...this.#armed.keys()]) {
      if (moment !== 'snapshot') this.#armed.delete(moment)
    }
  }

  met(moment: CrashMoment): void {
    const armed = this.#armed.get(moment)
    if (armed === undefined) return
    armed.left -= 1
    if (armed.left >= 0) return
    this.#armed.delete(moment)
    armed.spring()
  }
}
