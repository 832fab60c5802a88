// How often one asker may ask: a bucket of tokens each, so that one container cannot take the resolver from the others.

export interface RateLimit {
  /** Tokens that come back in a second. */
  readonly perSecond: number
  /** Tokens at most, and at first. */
  readonly burst: number
  /** Askers remembered; beyond that the one that asked first is forgotten, and starts anew. */
  readonly askersMax: number
}

interface Bucket {
  tokens: number
  atMs: number
}

export class RateLimiter {
  readonly #limit: RateLimit
  readonly #buckets = new Map<string, Bucket>()

  constructor(limit: RateLimit) {
    this.#limit = limit
  }

  /** Takes a token of the asker's; false: it has none. `nowMs`: monotonic. */
  takes(asker: string, nowMs: number): boolean {
    const bucket = this.#buckets.get(asker) ?? this.#admit(asker, nowMs)
    const { perSecond, burst } = this.#limit
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) * perSecond) / 1000)
    bucket.atMs = nowMs
    if (bucket.tokens < 1) return false
    bucket.tokens -= 1
    return true
  }

  #admit(asker: string, nowMs: number): Bucket {
    if (this.#buckets.size >= this.#limit.askersMax) {
      const [oldest] = this.#buckets.keys()
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    const bucket = { tokens: this.#limit.burst, atMs: nowMs }
    this.#buckets.set(asker, bucket)
    return bucket
  }
}
