// Secrets and configs of this node's tasks, and credentials with which their images are pulled, in memory only: nothing here is ever
// written. After a restart of the daemon it is empty until a manager has told what the node is to have.
import { SwarmError } from '../proto/errors.ts'
import type { AssignedPayload, PayloadId, UsedPayload } from '../proto/objects/index.ts'

export interface PayloadSource {
  /**
   * What a task uses, by id; waits for a manager as long as none has told what this node is to have.
   * Errors: NOT_FOUND for what the cluster no longer has, CANCELLED.
   */
  need(
    uses: readonly UsedPayload[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, AssignedPayload>>
  /**
   * Credentials by id; waits as `need` does. Undefined: the cluster no longer has them. Errors: CANCELLED.
   */
  login(id: PayloadId, signal: AbortSignal): Promise<AssignedPayload | undefined>
}

export class PayloadStore implements PayloadSource {
  readonly #held = new Map<PayloadId, AssignedPayload>()
  readonly #waiting = new Set<() => void>()
  #isTold = false

  receive(payload: AssignedPayload): void {
    this.#held.set(payload.id, payload)
    this.#wake()
  }

  /** A manager has told all that this node is to have: the rest is forgotten. */
  keepOnly(ids: readonly PayloadId[]): void {
    const kept = new Set(ids)
    for (const id of [...this.#held.keys()]) if (!kept.has(id)) this.#held.delete(id)
    this.#isTold = true
    this.#wake()
  }

  async need(
    uses: readonly UsedPayload[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, AssignedPayload>> {
    for (;;) {
      const found = new Map<string, AssignedPayload>()
      for (const [id, payload] of this.#held) {
        if (uses.some(({ source }) => source === id)) found.set(id, payload)
      }
      const missing = uses.find(({ source }) => !found.has(source))
      if (missing === undefined) return found
      if (this.#isTold) throw gone(missing)
      await this.#told(signal)
    }
  }

  async login(id: PayloadId, signal: AbortSignal): Promise<AssignedPayload | undefined> {
    for (;;) {
      const found = this.#held.get(id)
      if (found !== undefined || this.#isTold) return found
      await this.#told(signal)
    }
  }

  async #told(signal: AbortSignal): Promise<void> {
    await this.#changed(signal)
    if (signal.aborted) throw new SwarmError('CANCELLED', 'no longer waiting for secrets')
  }

  #wake(): void {
    for (const waiter of [...this.#waiting]) waiter()
  }

  #changed(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#waiting.add(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }
}

function gone({ kind, name, source }: UsedPayload): SwarmError {
  return new SwarmError(
    'NOT_FOUND',
    `${kind} "${name}" (${source}) is no longer there: make it anew and update the service with --${kind}-rm and --${kind}-add`,
    { details: { kind, id: source } },
  )
}
