// Which slots of which services are to be looked at, so that one task's end does not cost a look at a hundred thousand
// others. Only an economy: whoever has no note of a service looks at all of it.
import type { Place } from '../../proto/objects/index.ts'
import type { Scope } from '../orchestrator/service-view.ts'

interface Wake {
  readonly atMs: number
  readonly scope: Scope
}

/** More than these are joined into one look at everything. */
const wakesMax = 64

export class SlotAgenda {
  readonly #marked = new Map<string, Scope>()
  /** What the last plan was about, until it is known to be written. */
  readonly #unsettled = new Map<string, Scope>()
  readonly #wakes = new Map<string, Wake[]>()

  mark(service: string, place: Place | 'all'): void {
    const scope: Scope = place === 'all' ? 'all' : new Set([place])
    const known = this.#marked.get(service)
    this.#marked.set(service, known === undefined ? scope : joined(known, scope))
  }

  /** What to decide about now: whatever is marked, due, or not known to be written. */
  take(service: string, nowMs: number): Scope {
    const parts: Scope[] = []
    for (const map of [this.#marked, this.#unsettled]) {
      const scope = map.get(service)
      if (scope !== undefined) parts.push(scope)
      map.delete(service)
    }
    const wakes = this.#wakes.get(service) ?? []
    for (const wake of wakes) if (wake.atMs <= nowMs) parts.push(wake.scope)
    if (parts.length === 0) return 'all'
    return parts.reduce(joined)
  }

  /**
   * Takes note of what came of a decision about the scope. Returns when to decide again: for these slots
   * or for others that wait.
   */
  decided(
    service: string,
    scope: Scope,
    plan: { readonly isEmpty: boolean; readonly wakeAtMs: number | undefined },
  ): number | undefined {
    if (!plan.isEmpty) this.#unsettled.set(service, scope)
    const left = (this.#wakes.get(service) ?? []).filter((wake) => !covers(scope, wake.scope))
    if (plan.wakeAtMs !== undefined) left.push({ atMs: plan.wakeAtMs, scope })
    if (left.length === 0) {
      this.#wakes.delete(service)
      return undefined
    }
    const atMs = Math.min(...left.map((wake) => wake.atMs))
    this.#wakes.set(service, left.length > wakesMax ? [{ atMs, scope: 'all' }] : left)
    return atMs
  }
}

function joined(a: Scope, b: Scope): Scope {
  return a === 'all' || b === 'all' ? 'all' : new Set([...a, ...b])
}

function covers(whole: Scope, part: Scope): boolean {
  if (whole === 'all') return true
  if (part === 'all') return false
  for (const slot of part) if (!whole.has(slot)) return false
  return true
}
