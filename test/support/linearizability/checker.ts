// Decides whether a history is linearizable: Wing and Gong's search as Lowe made it fast. The events are gone through
// in order with the set of all ways ("configurations") that explain what was seen so far; an operation is made to take
// effect just in time, when one must that returns; no configuration is visited twice; every key is checked by itself.
// Source: Wing, Gong: Testing and verifying concurrent objects (1993); Lowe: Testing for linearizability (2017);
// Horn, Kroening: Faster linearizability checking via P-compositionality (2015).
import { type Configuration, Configurations } from './configurations.ts'
import { explainViolation } from './explain.ts'
import type { Model, Specification } from './model.ts'
import { byKey, type Operation } from './operation.ts'

export interface CheckLimits {
  /** Configurations held at one moment; bounds memory. Default 200,000. */
  readonly configurationsMax?: number
  /** For the whole check. Default 60,000. */
  readonly deadlineMs?: number
}

/** `undecided`: a limit was reached; `text` says which, and where. */
export type Verdict =
  | {
      readonly kind: 'linearizable'
      readonly keys: number
      readonly operations: number
      /** Most configurations held at one moment: how hard it was. */
      readonly configurations: number
    }
  | { readonly kind: 'violation'; readonly key: string; readonly text: string }
  | { readonly kind: 'undecided'; readonly key: string; readonly text: string }

const configurationsDefaultMax = 200_000
const deadlineDefaultMs = 60_000
/** Configurations between two looks at the clock. */
const clockStride = 4096

/**
 * Checks a history of one kind of object, key by key, up to the first key that is not linearizable. Exponential in the
 * operations that overlap on one key at worst, linear in the length of the history.
 */
export function checkHistory<Call, Result, State>(
  model: Model<Call, Result, State>,
  history: Iterable<Operation<Call, Result>>,
  limits: CheckLimits = {},
): Verdict {
  const parts = byKey(history)
  const budget: Budget = {
    configurationsMax: limits.configurationsMax ?? configurationsDefaultMax,
    endsAtMs: performance.now() + (limits.deadlineMs ?? deadlineDefaultMs),
    visited: 0,
    most: 0,
  }
  let operations = 0
  for (const [key, part] of parts) {
    const failed = checkKey(model, key, part, budget)
    if (failed !== undefined) return failed
    operations += part.length
  }
  return { kind: 'linearizable', keys: parts.size, operations, configurations: budget.most }
}

interface Budget {
  readonly configurationsMax: number
  readonly endsAtMs: number
  visited: number
  most: number
}

interface Pending<Call, Result> {
  readonly operation: Operation<Call, Result>
  readonly bit: bigint
  readonly isKnown: boolean
  readonly isReadOnly: boolean
}

type Failed = Exclude<Verdict, { readonly kind: 'linearizable' }>

function checkKey<Call, Result, State>(
  model: Model<Call, Result, State>,
  key: string,
  history: readonly Operation<Call, Result>[],
  budget: Budget,
): Failed | undefined {
  const spec = model.prepare(history)
  const search = new Search(spec, budget)
  for (const { operation, isReturn } of eventsOf(spec.operations)) {
    if (!isReturn) {
      search.invoke(operation)
      continue
    }
    const before = search.configurations
    const ended = search.return(operation)
    if (ended === 'undecided') {
      const where = `${spec.describe(operation)} (#${operation.id})`
      const text = `${model.name} ${key}: given up at ${where}: ${search.why}`
      return { kind: 'undecided', key, text }
    }
    if (ended === 'violation') {
      const states = [...before].map(({ state }) => state)
      const text = explainViolation({
        name: model.name,
        key,
        spec,
        history,
        failed: operation,
        states,
      })
      return { kind: 'violation', key, text }
    }
  }
  return undefined
}

interface Event<Call, Result> {
  readonly operation: Operation<Call, Result>
  readonly at: number
  readonly isReturn: boolean
}

function eventsOf<Call, Result>(
  operations: readonly Operation<Call, Result>[],
): readonly Event<Call, Result>[] {
  const events: Event<Call, Result>[] = []
  for (const operation of operations) {
    const { invoked, outcome } = operation
    events.push({ operation, at: invoked, isReturn: false })
    if (outcome.kind === 'unknown') continue
    if (outcome.returned <= invoked) {
      throw new RangeError(`operation ${operation.id} returned before it was invoked`)
    }
    events.push({ operation, at: outcome.returned, isReturn: true })
  }
  return events.sort((a, b) => a.at - b.at)
}

/** The search over one key. */
class Search<Call, Result, State> {
  readonly #spec: Specification<Call, Result, State>
  readonly #budget: Budget
  readonly #pending = new Map<number, Pending<Call, Result>>()
  /** Bits of known operations that have returned are used again. */
  #freeBits: bigint[] = []
  #nextBit = 1n
  configurations: Configurations<State>
  /** Which limit was reached. */
  why = ''

  constructor(spec: Specification<Call, Result, State>, budget: Budget) {
    this.#spec = spec
    this.#budget = budget
    this.configurations = this.#none()
    this.configurations.add({ state: spec.initial, done: 0n, maybe: 0n })
  }

  invoke(operation: Operation<Call, Result>): void {
    const isKnown = operation.outcome.kind === 'known'
    const isReadOnly = this.#spec.isReadOnly(operation)
    this.#pending.set(operation.id, { operation, bit: this.#takeBit(), isKnown, isReadOnly })
    if (!isKnown || !isReadOnly) return
    const after = this.#none()
    for (const configuration of this.configurations) after.add(this.#withReads(configuration))
    this.configurations = after
  }

  return(operation: Operation<Call, Result>): 'ok' | 'violation' | 'undecided' {
    const pending = this.#pending.get(operation.id)
    if (pending === undefined) throw new Error(`operation ${operation.id} was not invoked`)
    const { bit } = pending
    const after = this.#none()
    const visited = this.#none()
    const stack: Configuration<State>[] = []
    const take = (configuration: Configuration<State>): void => {
      if ((configuration.done & bit) !== 0n) {
        after.add({ ...configuration, done: configuration.done & ~bit })
      } else if (visited.add(configuration)) {
        stack.push(configuration)
      }
    }
    for (const configuration of this.configurations) take(configuration)
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      if (this.#isOverBudget(after.size + visited.size)) return 'undecided'
      for (const follower of this.#followers(next)) take(follower)
    }
    if (after.size === 0) return 'violation'
    this.#budget.most = Math.max(this.#budget.most, after.size + visited.size)
    this.#pending.delete(operation.id)
    this.#freeBits.push(bit)
    this.configurations = after
    return 'ok'
  }

  /** One more of the pending operations that change the state has taken effect. */
  *#followers(from: Configuration<State>): Generator<Configuration<State>, void, undefined> {
    for (const { operation, bit, isKnown, isReadOnly } of this.#pending.values()) {
      if (isReadOnly || ((from.done | from.maybe) & bit) !== 0n) continue
      const state = this.#spec.step(from.state, operation)
      if (state === undefined) continue
      yield this.#withReads({
        state,
        done: isKnown ? from.done | bit : from.done,
        maybe: isKnown ? from.maybe : from.maybe | bit,
      })
    }
  }

  /** An operation that only reads takes effect as soon as it can: that takes nothing from the others. */
  #withReads(configuration: Configuration<State>): Configuration<State> {
    let { done } = configuration
    for (const { operation, bit, isKnown, isReadOnly } of this.#pending.values()) {
      if (!isReadOnly || !isKnown || (done & bit) !== 0n) continue
      if (this.#spec.step(configuration.state, operation) !== undefined) done |= bit
    }
    return done === configuration.done ? configuration : { ...configuration, done }
  }

  #takeBit(): bigint {
    const free = this.#freeBits.pop()
    if (free !== undefined) return free
    const bit = this.#nextBit
    this.#nextBit <<= 1n
    return bit
  }

  #isOverBudget(held: number): boolean {
    const budget = this.#budget
    budget.visited += 1
    if (held > budget.configurationsMax) {
      this.why = `more than ${budget.configurationsMax} ways are possible`
    } else if (budget.visited % clockStride === 0 && performance.now() > budget.endsAtMs) {
      this.why = 'the time for the check is over'
    }
    return this.why !== ''
  }

  #none(): Configurations<State> {
    return new Configurations((state) => this.#spec.stateKey(state))
  }
}
