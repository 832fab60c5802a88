// Turns roles into what is announced: a leader only after an entry of its own term was applied.
import type { NodeId, Term } from '../core/types.ts'
import type { Leadership } from './outcomes.ts'

export class LeadershipWatch {
  readonly #id: NodeId
  readonly #announce: (leadership: Leadership) => void
  #last: Leadership = { role: 'follower', leader: undefined, term: 0 }
  /** Leading, but what earlier leaders committed may not be applied yet. */
  #elected: Leadership | undefined

  constructor(id: NodeId, announce: (leadership: Leadership) => void) {
    this.#id = id
    this.#announce = announce
  }

  changed(now: Leadership): void {
    this.#elected = undefined
    if (now.role !== 'leader') {
      this.#tell(now)
      return
    }
    this.#elected = { ...now, leader: this.#id }
    this.#tell({ role: 'candidate', leader: undefined, term: now.term })
  }

  /** An entry of this term was applied. */
  applied(term: Term): void {
    const elected = this.#elected
    if (elected?.term !== term) return
    this.#elected = undefined
    this.#tell(elected)
  }

  #tell(now: Leadership): void {
    const { role, leader, term } = this.#last
    if (role === now.role && leader === now.leader && term === now.term) return
    this.#last = now
    this.#announce(now)
  }
}
