// Histories made up from a seed: clients run against a real object, so that they are linearizable, unless results are
// made wild.

import { type Choices, seededChoices } from './choices.ts'
import type { ListCall, ListOperation, ListResult } from './list-model.ts'
import { type NaiveObject, naiveList, naiveRegister } from './naive-checker.ts'
import type { Operation } from './operation.ts'
import type { RegisterCall, RegisterOperation, RegisterResult } from './register-model.ts'

export interface HistoryOptions {
  readonly seed: number
  readonly operations: number
  readonly clients: number
  readonly key?: string
  /** Registers: how many different values are written; default: each a new one. */
  readonly values?: number
  /** Some results are of nothing that was there. */
  readonly isWild?: boolean
}

export function registerHistory(options: HistoryOptions): RegisterOperation[] {
  const random = seededChoices(options.seed)
  const { values } = options
  let last = 0
  const value = (): number => {
    last += 1
    return values === undefined ? last : 1 + random.below(values)
  }
  const guess = (): number =>
    values === undefined ? Math.max(0, last - random.below(3)) : random.below(values + 1)
  const call = (): RegisterCall => {
    const kind = random.of(['write', 'write', 'read', 'read', 'compare-and-set'] as const)
    if (kind === 'read') return { kind }
    if (kind === 'write') return { kind, value: value() }
    return { kind, expected: guess(), value: value() }
  }
  const wild = (result: RegisterResult): RegisterResult =>
    result.kind === 'done' ? result : { kind: 'value', value: guess() }
  return new Maker({ object: naiveRegister, call, wild, random, options }).run()
}

export function listHistory(options: HistoryOptions): ListOperation[] {
  const random = seededChoices(options.seed)
  let last = 0
  const call = (): ListCall => {
    if (random.below(2) === 0) return { kind: 'read' }
    last += 1
    return { kind: 'append', value: last }
  }
  const wild = (result: ListResult): ListResult => {
    if (result.kind === 'done') return result
    const list = [...result.list]
    if (random.below(2) === 0) list.pop()
    else list.splice(random.below(list.length + 1), 0, 1 + random.below(last + 1))
    return { kind: 'list', list }
  }
  return new Maker({ object: naiveList, call, wild, random, options }).run()
}

interface Making<Call, Result, State> {
  readonly object: NaiveObject<Call, Result, State>
  readonly call: () => Call
  readonly wild: (result: Result) => Result
  readonly random: Choices
  readonly options: HistoryOptions
}

interface Open<Call, Result> {
  readonly id: number
  readonly call: Call
  readonly invoked: number
  /** It has taken effect, with this result. */
  effect: { readonly result: Result } | undefined
}

/** At each step something random happens: an invocation, an effect or a return. */
class Maker<Call extends { readonly kind: string }, Result, State> {
  readonly #making: Making<Call, Result, State>
  readonly #history: Operation<Call, Result>[] = []
  #open: Open<Call, Result>[] = []
  /** Of unknown outcome; may yet take effect. */
  #late: Open<Call, Result>[] = []
  #state: State
  #begun = 0
  #events = 0

  constructor(making: Making<Call, Result, State>) {
    this.#making = making
    this.#state = making.object.initial
  }

  run(): Operation<Call, Result>[] {
    const { random, options } = this.#making
    while (this.#begun < options.operations || this.#open.length > 0) {
      const choice = random.below(3)
      const some = this.#open[random.below(Math.max(1, this.#open.length))]
      const mayBegin = this.#begun < options.operations && this.#open.length < options.clients
      if (choice === 0 && mayBegin) this.#invoke()
      else if (choice === 1 && some !== undefined) this.#takeEffect(some)
      else if (choice === 2 && some !== undefined) this.#end(some)
      const late = random.below(6) === 0 ? this.#late.shift() : undefined
      if (late !== undefined) this.#takeEffect(late)
    }
    return this.#history
  }

  #invoke(): void {
    this.#events += 1
    const call = this.#making.call()
    this.#open.push({ id: this.#begun, call, invoked: this.#events, effect: undefined })
    this.#begun += 1
  }

  #takeEffect(operation: Open<Call, Result>): Result {
    if (operation.effect !== undefined) return operation.effect.result
    const { state, result } = this.#making.object.run(this.#state, operation.call)
    this.#state = state
    operation.effect = { result }
    return result
  }

  #end(operation: Open<Call, Result>): void {
    const { random, options, wild } = this.#making
    this.#open = this.#open.filter((other) => other !== operation)
    const { id, call, invoked } = operation
    const about = { id, key: options.key ?? 'k', call, invoked }
    this.#events += 1
    if (random.below(12) === 0) {
      this.#history.push({ ...about, outcome: { kind: 'unknown' } })
      if (random.below(2) === 0) this.#late.push(operation)
      return
    }
    const found = this.#takeEffect(operation)
    const result = options.isWild === true && random.below(4) === 0 ? wild(found) : found
    this.#history.push({ ...about, outcome: { kind: 'known', returned: this.#events, result } })
  }
}
