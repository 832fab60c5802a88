// A crash that waits for its moment in a member's own code.
import type { CrashMoment } from './fault.ts'

export class CrashTrap {
  #armed: { readonly moment: CrashMoment; left: number; readonly spring: () => void } | undefined

  /** Springs at the moment after `skip` of its kind. What was armed before is not any more. */
  arm(moment: CrashMoment, skip: number, spring: () => void): void {
    this.#armed = { moment, left: skip, spring }
  }

  disarm(): void {
    this.#armed = undefined
  }

  met(moment: CrashMoment): void {
    const armed = this.#armed
    if (armed?.moment !== moment) return
    armed.left -= 1
    if (armed.left >= 0) return
    this.#armed = undefined
    armed.spring()
  }
}
