// Requests that were carried out, with their results, so that a repeat is answered and not applied again. Replicated: it is changed by
// applying entries only, and by the same rule everywhere.

export interface DoneRequest {
  readonly id: string
  readonly method: string
  /** Undefined: the callback returned nothing. */
  readonly resultJson: string | undefined
  /** Cluster time. */
  readonly atMs: number
}

const keepMs = 10 * 60_000
const requestsMax = 10_000
/** Results are mostly small; a few large specs must not fill the memory. */
const charactersMax = 32 * 2 ** 20

export class RequestTable {
  readonly #byId = new Map<string, DoneRequest>()
  #characters = 0

  get size(): number {
    return this.#byId.size
  }

  get(id: string): DoneRequest | undefined {
    return this.#byId.get(id)
  }

  /** Oldest first. */
  values(): Iterable<DoneRequest> {
    return this.#byId.values()
  }

  add(request: DoneRequest): void {
    this.#delete(request.id)
    this.#byId.set(request.id, request)
    this.#characters += size(request)
    this.#evict(request.atMs)
  }

  #evict(nowMs: number): void {
    for (const oldest of this.#byId.values()) {
      const fits = this.#byId.size <= requestsMax && this.#characters <= charactersMax
      if (fits && oldest.atMs > nowMs - keepMs) return
      this.#delete(oldest.id)
    }
  }

  #delete(id: string): void {
    const request = this.#byId.get(id)
    if (request === undefined) return
    this.#byId.delete(id)
    this.#characters -= size(request)
  }
}

function size(request: DoneRequest): number {
  return request.id.length + request.method.length + (request.resultJson?.length ?? 0)
}
