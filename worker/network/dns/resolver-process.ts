// The daemon's side of the node's resolver: keeps one running, tells it the names, and knows how far it has them. Closing or
// losing this side leaves the resolver as it is.
import { rm } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'
import { createBackoff } from '../../../proto/lib/backoff.ts'
import { wait } from '../../../proto/lib/clock.ts'
import { childController } from '../../../proto/lib/lifecycle.ts'
import type { Logger } from '../../../proto/lib/log.ts'
import type { Random } from '../../../proto/lib/random.ts'
import type { Stamp } from '../../../proto/objects/assignment.ts'
import type { NetworkView } from '../../../proto/objects/overlay.ts'
import { findNamespace } from '../data-plane.ts'
import type { ControlConnection } from './control-connection.ts'
import { partsOf } from './control-messages.ts'
import { closeResolver, type Opening, type OpenOptions, openResolver } from './open-resolver.ts'
import type { ServerCounts } from './server.ts'
import { KnownViews, type ZoneChange } from './zone-change.ts'

export interface ResolverProcessOptions extends OpenOptions {
  readonly random: Random
  readonly log: Logger
  /** The resolver answers as of this stamp now. */
  readonly onApplied?: (stamp: Stamp) => void
}

export interface ResolverProcess {
  /**
   * Adopts the resolver that runs, has it replaced when it is of another version, or starts one. What an adopted one
   * knows stays until setViews. Errors: UNAVAILABLE, FAILED_PRECONDITION (no data plane).
   */
  start(): Promise<Opening>
  /**
   * Starts it again, with all it had, when it ends, and when the data plane it listens in was made anew. Runs until the
   * signal aborts.
   */
  run(signal: AbortSignal): Promise<void>
  /** From now on these are the networks of the node. Sends what differs from those given before. */
  setViews(views: readonly NetworkView[], stamp: Stamp): void
  /** The same for single changes, at a cost that depends on them alone. Only after setViews. */
  change(changes: readonly ZoneChange[], stamp: Stamp): void
  /** As of when the resolver answers; undefined before its first views. */
  applied(): Stamp | undefined
  /** Errors: UNAVAILABLE. */
  counts(): Promise<ServerCounts>
  /** Lets go of it; it serves on. */
  close(): void
  /** Ends it. */
  stop(): Promise<void>
  /** Ends it and removes its folder. Works without start. */
  purge(): Promise<void>
}

/** More are sent as a whole instead. */
const pendingMax = 20_000
const settleMs = 30_000
/** How often it is looked whether the data plane is another one. */
const lookMs = 2_000

export function createResolverProcess(options: ResolverProcessOptions): ResolverProcess {
  return new Supervisor(options)
}

class Supervisor implements ResolverProcess {
  readonly #options: ResolverProcessOptions
  readonly #known = new KnownViews()
  #connection: ControlConnection | undefined
  /** Where it listens; 0: where this process is. */
  #namespace = 0
  #pending: ZoneChange[] = []
  /** Undefined until the first views. */
  #stamp: Stamp | undefined
  #applied: Stamp | undefined
  #needsWhole = true
  #isSending = false

  constructor(options: ResolverProcessOptions) {
    this.#options = options
  }

  async start(): Promise<Opening> {
    const { how, connection, pid, namespace } = await openResolver(this.#options)
    this.#options.log.info({ how, pid }, 'resolver answers')
    this.#connection = connection
    this.#namespace = namespace
    this.#needsWhole = true
    void connection.closed.then(() => {
      if (this.#connection === connection) this.#connection = undefined
    })
    void this.#send()
    return how
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#options
    const backoff = createBackoff({ firstMs: 50, maxMs: 5_000, random })
    while (!signal.aborted) {
      const connection = this.#connection
      if (connection !== undefined) {
        const startedMs = clock.monotonicMs()
        await this.#untilLost(connection, signal)
        if (signal.aborted) return
        log.warn({}, 'resolver is lost')
        if (clock.monotonicMs() - startedMs > settleMs) backoff.reset()
      }
      await this.start().catch((err) => log.error({ err }, 'resolver cannot be started'))
      if (this.#connection === undefined) await wait(clock, backoff.nextMs(), signal)
    }
  }

  /** Until it has ended, is let go of or listens where nobody asks any more, or the signal aborts. */
  async #untilLost(connection: ControlConnection, signal: AbortSignal): Promise<void> {
    const { controller, release } = childController(signal)
    void connection.closed.then(() => controller.abort())
    while (!controller.signal.aborted) {
      await wait(this.#options.clock, lookMs, controller.signal)
      if (!controller.signal.aborted && (await this.#isElsewhere())) connection.close()
    }
    release()
  }

  async #isElsewhere(): Promise<boolean> {
    const { dataPlaneFile } = this.#options
    if (dataPlaneFile === undefined) return false
    const namespace = await findNamespace(dataPlaneFile).catch(() => undefined)
    return namespace !== undefined && namespace !== this.#namespace
  }

  setViews(views: readonly NetworkView[], stamp: Stamp): void {
    this.#enqueue(this.#known.update(views), stamp)
  }

  change(changes: readonly ZoneChange[], stamp: Stamp): void {
    this.#known.apply(changes)
    this.#enqueue(changes, stamp)
  }

  applied(): Stamp | undefined {
    return this.#applied
  }

  async counts(): Promise<ServerCounts> {
    const answer = await this.#connection?.request({ kind: 'counts' })
    if (answer?.kind === 'counts') return answer.counts
    throw new SwarmError('UNAVAILABLE', 'the resolver of this node does not run')
  }

  close(): void {
    this.#connection?.close()
    this.#connection = undefined
  }

  async stop(): Promise<void> {
    this.close()
    await closeResolver(this.#options)
  }

  async purge(): Promise<void> {
    await this.stop()
    await rm(this.#options.dir, { recursive: true, force: true })
  }

  #enqueue(changes: readonly ZoneChange[], stamp: Stamp): void {
    this.#stamp = stamp
    if (!this.#needsWhole) for (const change of changes) this.#pending.push(change)
    if (this.#pending.length > pendingMax) this.#needsWhole = true
    void this.#send()
  }

  /** One sender at a time; what comes meanwhile is sent together afterwards. */
  async #send(): Promise<void> {
    if (this.#isSending) return
    this.#isSending = true
    while (this.#hasMore()) {
      const connection = this.#connection
      if (connection === undefined) break
      await this.#sendOnce(connection).catch((err) => {
        // Closed by us, or followed by another that begins anew.
        if (this.#connection !== connection) return
        this.#options.log.warn({ err }, 'resolver was not told all names')
        this.close()
      })
    }
    this.#isSending = false
  }

  #hasMore(): boolean {
    return this.#stamp !== undefined && (this.#needsWhole || this.#stamp !== this.#applied)
  }

  async #sendOnce(connection: ControlConnection): Promise<void> {
    const stamp = this.#stamp
    if (stamp === undefined) return
    const isWhole = this.#needsWhole
    const changes = isWhole ? this.#known.all() : this.#pending
    this.#pending = []
    this.#needsWhole = false
    const parts = partsOf(changes)
    for (const [i, part] of parts.entries()) {
      const isLast = i === parts.length - 1
      await connection.request({ kind: 'apply', changes: part, isWhole, isLast, stamp })
    }
    // A new connection meanwhile begins anew.
    if (connection !== this.#connection) return
    this.#applied = stamp
    this.#options.onApplied?.(stamp)
  }
}
