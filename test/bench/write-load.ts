// Users that write while a fault is under way, and what they were told. Whoever was told that a write is accepted finds it
// later (`checkNoneLost`). Not the fault itself (failover-try.ts).
import { SwarmError } from '../../proto/errors.ts'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import type { BenchClient } from './cluster.ts'

const gapMs = 10
const probeGapMs = 20
const probesMax = 100
const acceptedWithinMs = 120_000
const writersEach = 2

export class WriteLoad {
  readonly #acknowledged: string[] = []
  readonly #writers: Promise<void>[] = []
  #isOver = false
  #acknowledgedAtMs: number | undefined
  #longestGapMs = 0
  #longestWriteMs = 0

  /** The longest time in which nobody was told that a write is accepted. */
  get longestGapMs(): number {
    return this.#longestGapMs
  }

  /** The longest that a write took which was repeated until it was accepted. */
  get longestWriteMs(): number {
    return this.#longestWriteMs
  }

  /** Writes that were told to be accepted, whoever told it. */
  get acknowledged(): readonly string[] {
    return this.#acknowledged
  }

  /** Users' writes: one after the other, each repeated by the client while its outcome is unknown. */
  keepWriting(clients: readonly BenchClient[]): void {
    for (const client of clients) {
      this.#start(async () => {
        const startMs = systemClock.monotonicMs()
        await this.#write(client)
        const ms = systemClock.monotonicMs() - startMs
        this.#longestWriteMs = Math.max(this.#longestWriteMs, ms)
      })
    }
  }

  /** Writes at one that may be gone: sent once, whatever comes of it. */
  keepTrying(client: BenchClient): void {
    this.#start(() => this.tryOnce(client).then(() => {}))
  }

  /** Whether one write, sent once, was said to be accepted. */
  async tryOnce(client: BenchClient): Promise<boolean> {
    try {
      await this.#write(client, { once: true, timeoutMs: 1_000 })
      return true
    } catch {
      return false
    }
  }

  /** Begins a new write every 20 ms, in turns at each client, until one is accepted. Errors: DEADLINE_EXCEEDED. */
  async firstAcceptedAtMs(clients: readonly BenchClient[]): Promise<number> {
    const endsAtMs = systemClock.monotonicMs() + acceptedWithinMs
    const open = new Set<Promise<void>>()
    let acceptedAtMs: number | undefined
    let refusal: unknown
    for (let at = 0; acceptedAtMs === undefined; at++) {
      const client = clients[at % clients.length]
      if (client !== undefined && open.size < probesMax) {
        const probe = this.#write(client, { once: true, timeoutMs: 10_000 })
          .then(
            () => {
              acceptedAtMs ??= systemClock.monotonicMs()
            },
            // Refused for want of a leader: a later one is accepted, or this is the cause below.
            (err: unknown) => {
              refusal = err
            },
          )
          .finally(() => open.delete(probe))
        open.add(probe)
      }
      if (systemClock.monotonicMs() > endsAtMs) {
        const text = `no write was accepted within ${acceptedWithinMs} ms of the fault`
        throw new SwarmError('DEADLINE_EXCEEDED', text, { cause: refusal })
      }
      await wait(systemClock, probeGapMs)
    }
    await Promise.all(open)
    return acceptedAtMs
  }

  /** Ends all writers when their present writes are answered. Errors: of a write that was repeated in vain. */
  async stop(): Promise<void> {
    this.#isOver = true
    await Promise.all(this.#writers)
  }

  /** Errors: DATA_LOSS with the names of acknowledged writes that are not there, or are there twice. */
  async checkNoneLost(client: BenchClient): Promise<void> {
    const names = await client.serviceNames()
    const present = new Set(names)
    const lost = this.#acknowledged.filter((name) => !present.has(name))
    if (lost.length === 0 && present.size === names.length) return
    const twice = names.filter((name, at) => names.indexOf(name) !== at)
    const text = `of ${this.#acknowledged.length} acknowledged writes are lost: ${lost}; there twice: ${twice}`
    throw new SwarmError('DATA_LOSS', text)
  }

  #start(write: () => Promise<void>): void {
    for (let i = 0; i < writersEach; i++) {
      const writer = this.#repeat(write)
      // Looked at when they are stopped; one that fails meanwhile must not end the process unheard.
      writer.catch(() => {})
      this.#writers.push(writer)
    }
  }

  async #repeat(write: () => Promise<void>): Promise<void> {
    while (!this.#isOver) {
      await write()
      await wait(systemClock, gapMs)
    }
  }

  async #write(
    client: BenchClient,
    options?: Parameters<BenchClient['createService']>[2],
  ): Promise<void> {
    const name = `w-${newId(systemRandom)}`
    await client.createService(name, 0, options)
    this.#acknowledged.push(name)
    const nowMs = systemClock.monotonicMs()
    this.#longestGapMs = Math.max(this.#longestGapMs, nowMs - (this.#acknowledgedAtMs ?? nowMs))
    this.#acknowledgedAtMs = nowMs
  }
}

/** Removes all that such loads have made. */
export async function removeWrites(client: BenchClient): Promise<void> {
  const names = (await client.serviceNames()).filter((name) => name.startsWith('w-'))
  const next = names.values()
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (const name of next) await client.removeService(name)
    }),
  )
}
