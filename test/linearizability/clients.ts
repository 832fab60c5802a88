// Clients that work without end on registers and lists: each has one operation under way, at whichever member it
// believes to lead, or at another.
import { systemClock, wait } from '../../proto/lib/clock.ts'
import type { Choices } from '../support/linearizability/choices.ts'
import type { Cluster } from './cluster.ts'
import type { Host } from './host.ts'
import type { ObjectCall, ObjectKind } from './machine.ts'
import { NoAnswerError } from './member-process.ts'
import type { Recorder } from './recorder.ts'

export interface ClientsOptions {
  readonly cluster: Cluster
  readonly recorder: Recorder
  readonly choices: Choices
  readonly clients: number
  /** None of its operations is under way any more. */
  readonly onRetired: (key: string) => void
}

/** Keys of each kind in use at a time. */
const keysInUse = 2
/** Then a key is retired: bounds what is checked at once. */
const operationsPerKey = 250
const pauseMaxMs = 40
const deadlineMs = { min: 400, max: 2500 } as const

interface ActiveKey {
  readonly object: ObjectKind
  readonly key: string
  operations: number
  open: number
  lastValue: number
  /** The value that was last seen in a register. */
  seen: number
}

export class Clients {
  readonly #options: ClientsOptions
  #active: ActiveKey[] = []
  #keysMade = 0

  constructor(options: ClientsOptions) {
    this.#options = options
    for (let i = 0; i < keysInUse; i++)
      this.#active.push(this.#make('register'), this.#make('list'))
  }

  /** Resolves when all have ended what they were at, after the signal aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const numbers = Array.from({ length: this.#options.clients }, (_, i) => i + 1)
    await Promise.all(numbers.map((client) => this.#work(client, signal)))
  }

  /** Reads every key there ever was once more, on the members in turn. Throws unless all is read in time. */
  async readAll(withinMs = 60_000): Promise<void> {
    const { cluster, recorder } = this.#options
    let turn = 0
    for (const [key, { object }] of recorder.keys) {
      await cluster.until(
        `a last read of ${key}`,
        async () => {
          const { members } = cluster
          turn += 1
          const host = members[turn % members.length]
          return host?.isReady === true && (await this.#read(object, key, host))
        },
        withinMs,
      )
    }
  }

  async #read(object: ObjectKind, key: string, host: Host): Promise<boolean> {
    const { recorder } = this.#options
    const call = { kind: 'read' } as const
    const begun = recorder.begin({ object, key, call, client: 0, member: host.id ?? '?' })
    const answer = await host
      .call({ kind: 'call', object, key, call }, deadlineMs.max)
      .catch(() => undefined)
    if (answer?.kind === 'ok') recorder.ok(begun, answer.result)
    else recorder.unknown(begun)
    return answer?.kind === 'ok'
  }

  async #work(client: number, signal: AbortSignal): Promise<void> {
    const { choices, cluster } = this.#options
    let believed: Host | undefined
    while (!signal.aborted) {
      const ready = cluster.members.filter(({ isReady }) => isReady)
      if (ready.length > 0) {
        const active = choices.of(this.#active)
        const call = this.#call(active)
        const any = call.kind === 'read' ? choices.below(2) === 0 : choices.below(8) === 0
        const leader = believed !== undefined && ready.includes(believed) ? believed : undefined
        const host = leader === undefined || any ? choices.of(ready) : leader
        believed = await this.#operate(client, host, active, call)
      }
      await wait(systemClock, choices.between(0, pauseMaxMs), signal)
    }
  }

  /** Answers with who may lead. */
  async #operate(
    client: number,
    host: Host,
    active: ActiveKey,
    call: ObjectCall,
  ): Promise<Host | undefined> {
    const { recorder, choices, cluster } = this.#options
    const { object, key } = active
    active.open += 1
    const begun = recorder.begin({ object, key, call, client, member: host.id ?? '?' })
    try {
      const withinMs = choices.between(deadlineMs.min, deadlineMs.max)
      const answer = await host.call({ kind: 'call', object, key, call }, withinMs)
      if (answer.kind === 'failed') {
        recorder.failed(begun)
        return cluster.hostOf(answer.leader)
      }
      if (answer.kind === 'unknown') {
        recorder.unknown(begun)
        return undefined
      }
      recorder.ok(begun, answer.result)
      if (answer.result.kind === 'value') active.seen = answer.result.value
      else if (call.kind !== 'read') active.seen = call.value
      return call.kind === 'read' ? cluster.leader() : host
    } catch (err) {
      recorder.unknown(begun)
      if (!(err instanceof NoAnswerError)) throw err
      return undefined
    } finally {
      active.open -= 1
      this.#retired(active)
    }
  }

  #call(active: ActiveKey): ObjectCall {
    const { choices } = this.#options
    this.#count(active)
    if (choices.below(2) === 0) return { kind: 'read' }
    active.lastValue += 1
    const value = active.lastValue
    if (active.object === 'list') return { kind: 'append', value }
    if (choices.below(2) === 0) return { kind: 'write', value }
    return { kind: 'compare-and-set', expected: active.seen, value }
  }

  #count(active: ActiveKey): void {
    active.operations += 1
    if (active.operations < operationsPerKey) return
    this.#active = this.#active.map((other) =>
      other === active ? this.#make(active.object) : other,
    )
  }

  #retired(active: ActiveKey): void {
    if (active.open === 0 && !this.#active.includes(active)) this.#options.onRetired(active.key)
  }

  #make(object: ObjectKind): ActiveKey {
    this.#keysMade += 1
    const key = `${object}-${this.#keysMade}`
    return { object, key, operations: 0, open: 0, lastValue: 0, seen: 0 }
  }
}
