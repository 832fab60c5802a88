// Which services depend on which, by name, so that a change of one makes the loop look at those that may wait for it. Only an
// economy of the loop: it is filled anew with each look at everything.
import type { Service } from '../../proto/objects/index.ts'

export class Dependents {
  readonly #byName = new Map<string, Set<string>>()
  readonly #namesOf = new Map<string, readonly string[]>()

  put({ id, spec }: Service): void {
    this.drop(id)
    const names = spec.task.dependsOn.map(({ service }) => service.toLowerCase())
    if (names.length === 0) return
    this.#namesOf.set(id, names)
    for (const name of names) {
      const ids = this.#byName.get(name)
      if (ids === undefined) this.#byName.set(name, new Set([id]))
      else ids.add(id)
    }
  }

  drop(id: string): void {
    for (const name of this.#namesOf.get(id) ?? []) {
      const ids = this.#byName.get(name)
      ids?.delete(id)
      if (ids?.size === 0) this.#byName.delete(name)
    }
    this.#namesOf.delete(id)
  }

  /** Ids of the services that wait for this one, if they wait. */
  of({ spec }: Service): Iterable<string> {
    if (this.#byName.size === 0) return []
    return this.#byName.get(spec.name.toLowerCase()) ?? []
  }
}
