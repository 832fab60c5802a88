// One life of a simulated process: nothing it started runs after its death, and nothing runs while it is
// stopped. Its clock may run fast or slow.
import type { MonotonicClock, Timer } from '../driver/environment.ts'
import type { SimEvent, World } from './world.ts'

/** What a process' own code threw; the run fails with it. */
export class ProcessFault extends Error {
  readonly processName: string

  constructor(processName: string, cause: unknown) {
    super(`${processName} threw: ${cause instanceof Error ? cause.stack : String(cause)}`, {
      cause,
    })
    this.name = 'ProcessFault'
    this.processName = processName
  }
}

export class SimProcess implements MonotonicClock {
  readonly name: string
  /** Called after every piece of its code that it survived. */
  onRan: () => void = () => {}
  readonly #world: World
  #isAlive = true
  #isStopped = false
  /** What came while stopped. */
  #backlog: (() => void)[] = []
  /** The own clock: read `#baseMs` at world time `#sinceMs`, and runs at `#rate`. */
  #rate: number
  #baseMs: number
  #sinceMs: number

  constructor(name: string, world: World, rate: number) {
    this.name = name
    this.#world = world
    this.#rate = rate
    this.#sinceMs = world.nowMs
    this.#baseMs = world.random.below(1_000_000)
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  get isStopped(): boolean {
    return this.#isStopped
  }

  /** Runs code of the process now: not at all when it is dead, later when it is stopped. */
  run(code: () => void): void {
    if (!this.#isAlive) return
    if (this.#isStopped) {
      this.#backlog.push(code)
      return
    }
    try {
      code()
      if (this.#isAlive) this.onRan()
    } catch (err) {
      // Killed in the middle: what its code did after that never happened.
      if (!this.#isAlive && !(err instanceof ProcessFault)) return
      throw err instanceof ProcessFault ? err : new ProcessFault(this.name, err)
    }
  }

  /** Runs code of the process after a delay in world time. */
  after(delayMs: number, code: () => void): SimEvent {
    return this.#world.after(delayMs, () => this.run(code))
  }

  /** Ends it at once, as a crash would; nothing of it runs any more. */
  kill(): void {
    this.#isAlive = false
    this.#backlog = []
  }

  /** As SIGSTOP. The monotonic clock goes on. */
  stop(): void {
    this.#isStopped = true
  }

  /** Goes on after a stop: what was due meanwhile runs now. */
  resume(): void {
    this.#isStopped = false
    const backlog = this.#backlog
    this.#backlog = []
    for (const code of backlog) this.run(code)
  }

  /** From now on a second of the world is `rate` seconds here. */
  setRate(rate: number): void {
    this.#baseMs = this.monotonicMs()
    this.#sinceMs = this.#world.nowMs
    this.#rate = rate
  }

  monotonicMs(): number {
    return this.#baseMs + (this.#world.nowMs - this.#sinceMs) * this.#rate
  }

  setTimer(delayMs: number, fn: () => void): Timer {
    // Never early by a rounding error: who looks at the clock then would wait for nothing, forever.
    const event = this.after(delayMs / this.#rate + 0.001, fn)
    return { cancel: () => this.#world.cancel(event) }
  }
}
