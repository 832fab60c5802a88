// What this process writes to the kernel's network, or wrote just now: what monitors tell of anything else, somebody else did.
import type { Clock } from '../../proto/lib/clock.ts'
import type { NamespaceName } from './kernel-state.ts'
import { serviceChainName } from './service-chains.ts'

/** So many chains are remembered, and longer than any echo takes. */
const chainsMax = 1_000
const rememberedMs = 10_000

interface Writes {
  running: number
  endedAtMs: number
}

export class RecentWrites {
  readonly #clock: Clock
  readonly #byNamespace = new Map<NamespaceName, Writes>()
  /** When what was last written to each chain ended. */
  readonly #chains = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async during<T>(namespace: NamespaceName, write: () => Promise<T>): Promise<T> {
    const writes = this.#of(namespace)
    writes.running += 1
    try {
      return await write()
    } finally {
      writes.running -= 1
      writes.endedAtMs = this.#clock.monotonicMs()
    }
  }

  /** Of the data plane. `commands`: as nft reads them. */
  async duringChains<T>(commands: string, write: () => Promise<T>): Promise<T> {
    const chains = commands.match(serviceChainName) ?? []
    this.#noteChains(chains, Number.POSITIVE_INFINITY)
    try {
      return await write()
    } finally {
      this.#noteChains(chains, this.#clock.monotonicMs())
    }
  }

  within(namespace: NamespaceName, ms: number): boolean {
    const { running, endedAtMs } = this.#of(namespace)
    return running > 0 || this.#clock.monotonicMs() - endedAtMs < ms
  }

  chainWithin(chain: string, ms: number): boolean {
    const endedAtMs = this.#chains.get(chain) ?? Number.NEGATIVE_INFINITY
    return this.#clock.monotonicMs() - endedAtMs < ms
  }

  #of(namespace: NamespaceName): Writes {
    const known = this.#byNamespace.get(namespace)
    if (known !== undefined) return known
    const writes = { running: 0, endedAtMs: Number.NEGATIVE_INFINITY }
    this.#byNamespace.set(namespace, writes)
    return writes
  }

  #noteChains(chains: readonly string[], endedAtMs: number): void {
    for (const chain of chains) this.#chains.set(chain, endedAtMs)
    if (this.#chains.size <= chainsMax) return
    const nowMs = this.#clock.monotonicMs()
    for (const [chain, atMs] of this.#chains) {
      if (nowMs - atMs > rememberedMs) this.#chains.delete(chain)
    }
  }
}
