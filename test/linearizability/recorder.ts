// The history of a run as it happens, with one clock and one order of events: that of this process.
import { type CheckLimits, checkHistory, type Verdict } from '../support/linearizability/checker.ts'
import { type ListOperation, listModel } from '../support/linearizability/list-model.ts'
import type { Operation } from '../support/linearizability/operation.ts'
import { type RegisterOperation, registerModel } from '../support/linearizability/register-model.ts'
import type { ObjectCall, ObjectKind, ObjectResult } from './machine.ts'

/** An operation that was begun and has not ended. */
export interface Begun {
  readonly object: ObjectKind
  readonly key: string
  readonly call: ObjectCall
  readonly id: number
  readonly client: number
  readonly member: string
  readonly invoked: number
  readonly invokedMs: number
}

export type Ended = Operation<ObjectCall, ObjectResult>

export interface RecorderOptions {
  /** Wrong on purpose: what may have taken effect is taken for a failure. */
  readonly takesUnknownForFailed?: boolean
}

export interface Counts {
  readonly ok: number
  readonly failed: number
  readonly unknown: number
}

interface KeyHistory {
  readonly object: ObjectKind
  readonly operations: Ended[]
}

export class Recorder {
  readonly #options: RecorderOptions
  readonly #startMs = performance.now()
  readonly #keys = new Map<string, KeyHistory>()
  readonly #counts = { ok: 0, failed: 0, unknown: 0 }
  #events = 0
  #lastId = 0
  /** Acknowledged operations that change something. */
  mutations = 0

  constructor(options: RecorderOptions = {}) {
    this.#options = options
  }

  /** Since the start of the run. */
  get nowMs(): number {
    return performance.now() - this.#startMs
  }

  get counts(): Counts {
    return this.#counts
  }

  get keys(): ReadonlyMap<string, KeyHistory> {
    return this.#keys
  }

  /** Before the request leaves. */
  begin(about: Omit<Begun, 'id' | 'invoked' | 'invokedMs'>): Begun {
    if (!this.#keys.has(about.key)) {
      this.#keys.set(about.key, { object: about.object, operations: [] })
    }
    this.#lastId += 1
    this.#events += 1
    return { ...about, id: this.#lastId, invoked: this.#events, invokedMs: this.nowMs }
  }

  /** After the answer came. */
  ok(begun: Begun, result: ObjectResult): void {
    this.#events += 1
    this.#counts.ok += 1
    if (begun.call.kind !== 'read') this.mutations += 1
    const outcome = { kind: 'known', returned: this.#events, result } as const
    this.#keep(begun, { outcome, returnedMs: this.nowMs })
  }

  /** It had no effect and will have none: no part of the history. */
  failed(_begun: Begun): void {
    this.#counts.failed += 1
  }

  unknown(begun: Begun): void {
    // A read that was not answered has no effect that anybody could see.
    if (begun.call.kind === 'read') {
      this.#counts.failed += 1
      return
    }
    this.#counts.unknown += 1
    if (this.#options.takesUnknownForFailed === true) return
    this.#keep(begun, { outcome: { kind: 'unknown' } })
  }

  /** Of one key, none of whose operations is under way. */
  check(key: string, limits: CheckLimits = {}): Verdict {
    const { object, operations = [] } = this.#keys.get(key) ?? {}
    // A key holds one kind of object, and only that kind's calls are made on it.
    return object === 'list'
      ? checkHistory(listModel, operations as readonly ListOperation[], limits)
      : checkHistory(registerModel, operations as readonly RegisterOperation[], limits)
  }

  #keep({ object: _, ...about }: Begun, ended: Pick<Ended, 'outcome' | 'returnedMs'>): void {
    this.#keys.get(about.key)?.operations.push({ ...about, ...ended })
  }
}
