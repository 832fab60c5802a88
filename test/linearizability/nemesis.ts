// Brings faults upon a cluster, several at once, by a schedule from a seed; lets it recover in between, and says how long
// that took.
import { systemClock, wait } from '../../proto/lib/clock.ts'
import type { Choices } from '../support/linearizability/choices.ts'
import type { Cluster } from './cluster.ts'
import { type FaultKind, faultKinds, faults, type Struck } from './faults.ts'

export interface NemesisOptions {
  readonly cluster: Cluster
  readonly choices: Choices
  readonly kinds?: readonly FaultKind[]
  /** Acknowledged mutations so far. */
  readonly mutations: () => number
  readonly say: (text: string) => void
}

export interface FaultCount {
  begun: number
  /** Of which the effect was seen. */
  proven: number
}

/** So long may the cluster take to work again once all is healed. */
const recoveryMaxMs = 60_000
/** Acknowledged mutations by which it is seen to work. */
const mutationsToRecover = 10
const healthyMs = { min: 500, max: 2000 } as const
const faultyMs = { min: 1000, max: 4000 } as const
const staggerMaxMs = 800
const atOnceMax = 3

export class Nemesis {
  readonly #options: NemesisOptions
  readonly counts = new Map<FaultKind, FaultCount>()
  /** From the end of the faults to the first acknowledged mutation, each time. */
  readonly recoveriesMs: number[] = []
  #deck: FaultKind[] = []

  constructor(options: NemesisOptions) {
    this.#options = options
  }

  /** Whether each kind struck. */
  get isComplete(): boolean {
    const { kinds = faultKinds } = this.#options
    return kinds.every((kind) => (this.counts.get(kind)?.proven ?? 0) > 0)
  }

  /** Until the signal aborts; then all is healed. Throws when the cluster does not recover. */
  async run(signal: AbortSignal): Promise<void> {
    const { choices } = this.#options
    while (!signal.aborted) {
      await wait(systemClock, choices.between(healthyMs.min, healthyMs.max), signal)
      if (!signal.aborted) await this.#episode(signal)
    }
  }

  async #episode(signal: AbortSignal): Promise<void> {
    const { choices, say } = this.#options
    const struck: { readonly kind: FaultKind; readonly fault: Struck }[] = []
    const kinds = this.#draw(1 + choices.below(atOnceMax))
    for (const kind of kinds) {
      const fault = await faults[kind](this.#options)
      this.#count(kind).begun += 1
      say(`${kind}: ${fault.text}`)
      struck.push({ kind, fault })
      await wait(systemClock, choices.between(0, staggerMaxMs), signal)
    }
    await wait(systemClock, choices.between(faultyMs.min, faultyMs.max), signal)
    for (const { kind, fault } of choices.shuffled(struck)) {
      await fault.heal()
      say(`${kind}: healed`)
    }
    await this.#recover()
    for (const { kind, fault } of struck) {
      if (await fault.isProven()) {
        this.#count(kind).proven += 1
      } else {
        say(`${kind}: without effect`)
        this.#deck.unshift(kind)
      }
    }
  }

  async #recover(): Promise<void> {
    const { cluster, mutations, say } = this.#options
    const startMs = performance.now()
    const before = mutations()
    await cluster.until(
      'a write after all faults were healed',
      async () => mutations() > before,
      recoveryMaxMs,
    )
    const tookMs = Math.round(performance.now() - startMs)
    this.recoveriesMs.push(tookMs)
    say(`recovered in ${tookMs} ms`)
    const works = async (): Promise<boolean> => mutations() >= before + mutationsToRecover
    await cluster.until('more writes after all faults were healed', works, recoveryMaxMs)
  }

  /** Every kind comes up once before any comes again. */
  #draw(count: number): readonly FaultKind[] {
    const { choices, kinds = faultKinds } = this.#options
    const drawn = new Set<FaultKind>()
    while (drawn.size < Math.min(count, kinds.length)) {
      if (this.#deck.length === 0) this.#deck = choices.shuffled(kinds)
      const next = this.#deck.find((kind) => !drawn.has(kind))
      if (next === undefined) break
      this.#deck = this.#deck.filter((kind) => kind !== next)
      drawn.add(next)
    }
    return [...drawn]
  }

  #count(kind: FaultKind): FaultCount {
    const count = this.counts.get(kind) ?? { begun: 0, proven: 0 }
    this.counts.set(kind, count)
    return count
  }
}
