// The replicated state: registers and lists by key. Each member applies the same entries; whoever proposed one is told
// what it did.
import { createHash } from 'node:crypto'
import type { CommittedEntry, SnapshotPoint, StateMachine } from '../../manager/raft/raft-handle.ts'
import type { ListCall, ListResult } from '../support/linearizability/list-model.ts'
import {
  type RegisterCall,
  type RegisterResult,
  registerInitial,
} from '../support/linearizability/register-model.ts'

export type ObjectCall = RegisterCall | ListCall
export type ObjectResult = RegisterResult | ListResult
export type Mutation =
  | { readonly kind: 'write' | 'append'; readonly value: number }
  | { readonly kind: 'compare-and-set'; readonly expected: number; readonly value: number }
export type ObjectKind = 'register' | 'list'

interface Entry {
  readonly key: string
  readonly call: Mutation
  /** Only so that the log grows as with real entries. */
  readonly padding: string
}

interface Saved {
  readonly registers: readonly (readonly [string, number])[]
  readonly lists: readonly (readonly [string, readonly number[]])[]
}

/** How many entries back a proposer can still ask. */
const resultsMax = 4096
const padding = 'x'.repeat(120)

export function encodeEntry(key: string, call: Mutation): Uint8Array {
  const entry: Entry = { key, call, padding }
  return new TextEncoder().encode(JSON.stringify(entry))
}

export class ObjectMachine implements StateMachine {
  #registers = new Map<string, number>()
  #lists = new Map<string, readonly number[]>()
  readonly #results = new Map<number, ObjectResult>()
  index = 0
  restores = 0

  apply(entries: readonly CommittedEntry[]): void {
    for (const { index, data } of entries) {
      if (index !== this.index + 1) throw new Error(`entry ${index} after ${this.index}`)
      this.index = index
      if (data.length === 0) continue
      const { key, call } = JSON.parse(new TextDecoder().decode(data)) as Entry
      this.#results.set(index, this.#run(key, call))
      this.#results.delete(index - resultsMax)
    }
  }

  read(kind: ObjectKind, key: string): ObjectResult {
    if (kind === 'list') return { kind: 'list', list: this.#lists.get(key) ?? [] }
    return { kind: 'value', value: this.#registers.get(key) ?? registerInitial }
  }

  /** What the entry at index did; undefined when it was not applied here by itself or is long ago. */
  resultAt(index: number): ObjectResult | undefined {
    return this.#results.get(index)
  }

  snapshot(): AsyncIterable<Uint8Array> {
    // Outside of the generator, whose body runs only when the first chunk is wanted, entries later.
    return encoded({ registers: [...this.#registers], lists: [...this.#lists] })
  }

  async restore(at: SnapshotPoint, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const all: Uint8Array[] = []
    for await (const chunk of chunks) all.push(chunk)
    const saved = JSON.parse(Buffer.concat(all).toString('utf8')) as Saved
    this.#registers = new Map(saved.registers)
    this.#lists = new Map(saved.lists)
    this.#results.clear()
    this.index = at.index
    this.restores += 1
  }

  /** Equal for equal contents. */
  digest(): string {
    const sorted = <T>(map: ReadonlyMap<string, T>): readonly (readonly [string, T])[] =>
      [...map].sort(([a], [b]) => (a < b ? -1 : 1))
    const contents = JSON.stringify([sorted(this.#registers), sorted(this.#lists)])
    return createHash('sha256').update(contents).digest('hex')
  }

  #run(key: string, call: Mutation): ObjectResult {
    switch (call.kind) {
      case 'append':
        this.#lists.set(key, [...(this.#lists.get(key) ?? []), call.value])
        return { kind: 'done' }
      case 'compare-and-set': {
        const value = this.#registers.get(key) ?? registerInitial
        if (value !== call.expected) return { kind: 'value', value }
        this.#registers.set(key, call.value)
        return { kind: 'done' }
      }
      case 'write':
        this.#registers.set(key, call.value)
        return { kind: 'done' }
    }
  }
}

async function* encoded(saved: Saved): AsyncGenerator<Uint8Array, void, undefined> {
  yield new TextEncoder().encode(JSON.stringify(saved))
}
