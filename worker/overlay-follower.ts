// Brings kernel and resolver to what this node knows of the overlay, and says how far both are: what was applied by one
// only is not applied. A name goes at once, and comes once the kernel leads there. Not for how it is heard (overlay-feed.ts).
import type { OverlayAck } from '../proto/gen/tsswarm/v1/dispatcher.ts'
import { type Clock, type Timer, wait } from '../proto/lib/clock.ts'
import { childController, type Loop } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'
import {
  compareStamps,
  type NetworkId,
  type NetworkView,
  type NodeId,
  type Stamp,
} from '../proto/objects/index.ts'
import { viewAt } from '../proto/objects/overlay.ts'
import type { ResolverProcess } from './network/dns/resolver-process.ts'
import type { NodeNetwork } from './network/node-network.ts'
import type { OverlayKnowledge } from './overlay-feed.ts'
import { namesWithin, viewsOnPaths } from './overlay-names.ts'
import type { OverlayProgress } from './session.ts'

export interface OverlayFollowerDeps {
  readonly nodeId: NodeId
  readonly network: Pick<NodeNetwork, 'setOverlay'>
  readonly resolver: Pick<ResolverProcess, 'setViews'>
  readonly clock: Clock
  readonly log: Logger
}

/** What was to be applied, as of when each network was so. */
interface Step {
  readonly number: number
  readonly epoch: number
  readonly stamps: ReadonlyMap<NetworkId, Stamp>
  readonly last: Stamp
  readonly views: readonly NetworkView[]
}

/** A network that last changed at `at` was still the same at `until`. */
interface Confirmed {
  readonly at: Stamp
  readonly until: Stamp
}

const retryMs = 1_000
/** That nothing changed is said at most this often: nobody waits for it but who has just begun to lead. */
const confirmMs = 200
/** What the resolver was given and has not told of; of more, the older ones are overtaken. */
const givenMax = 1_000
/** New names do not wait any longer for a kernel that does not get there: others of them may well be reached. */
const namesMs = 5_000

/** A kernel that is not there by then is not waited for. */
const followMs = 5_000

/** Resolves once kernel and resolver have followed anything since this daemon began, after 5 s, or when the signal aborts. */
export async function untilFollowed(
  progress: OverlayProgress,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  if (progress.current() !== undefined) return
  const { controller, release } = childController(signal)
  const stop = progress.onRise(() => {
    if (progress.current() !== undefined) controller.abort()
  })
  await wait(clock, followMs, controller.signal)
  stop()
  release()
}

export class OverlayFollower implements OverlayProgress {
  readonly #deps: OverlayFollowerDeps
  readonly #listeners = new Set<() => void>()
  /** By the stamp that the resolver was given: the step whose names it has with that. */
  readonly #told = new Map<Stamp, Step>()
  /** Views as this node has them, by what was told. */
  readonly #here = new WeakMap<NetworkView, NetworkView>()
  #latest: { readonly step: Step; readonly apply: () => Promise<void> } | undefined
  #wake: () => void = () => {}
  /** Of networks that are held. */
  readonly #confirmed = new Map<NetworkId, Confirmed>()
  #isConfirmDue = false
  #count = 0
  #inKernel: Step | undefined
  #inResolver: Step | undefined
  /** The last one whose names wait for nothing any more. */
  #open: Step | undefined
  /** What the resolver was given last. */
  #named: readonly NetworkView[] = []
  #waiting: Timer | undefined

  constructor(deps: OverlayFollowerDeps) {
    this.#deps = deps
  }

  /** Begins to apply it. Until all is known nothing is touched: the kernel may hold more of an earlier life of this daemon. */
  follow(now: OverlayKnowledge): void {
    const last = latest([now.pathsStamp, ...now.stamps.values()])
    if (!now.isComplete || last === undefined) return
    this.#count += 1
    const { paths, stamps } = now
    const views = viewsOnPaths(this.#viewsHere(now), paths)
    const step = { number: this.#count, epoch: last.epoch, stamps, last, views }
    for (const id of this.#confirmed.keys()) if (!stamps.has(id)) this.#confirmed.delete(id)
    const state = { nodeId: this.#deps.nodeId, paths, views }
    this.#latest = { step, apply: () => this.#deps.network.setOverlay(state, { ...last }) }
    this.#name()
    this.#wake()
  }

  /** Kernel and resolver get no more of a local network than this node has of it. Unchanged views are the same objects. */
  #viewsHere({ views }: OverlayKnowledge): readonly NetworkView[] {
    return [...views.values()].map((view) => {
      const known = this.#here.get(view)
      if (known !== undefined) return known
      const here = viewAt(view, this.#deps.nodeId)
      this.#here.set(view, here)
      return here
    })
  }

  /**
   * Tells the resolver the latest names, without those that the kernel may not lead to yet: they were told, or are of
   * `opened`. Before the first step is there, nothing: a resolver that outlived the daemon answers as before, and so leads
   * the kernel.
   */
  #name(opened: readonly NetworkView[] = []): void {
    const [step, open] = [this.#latest?.step, this.#open]
    if (step === undefined) return
    if (open === step) this.#stopWaiting()
    else this.#waiting ??= this.#deps.clock.setTimer(namesMs, () => this.#nameAnyway())
    if (open === undefined) return
    this.#named = open === step ? step.views : namesWithin(step.views, [this.#named, opened])
    // An object of its own: by it the resolver says that it has this.
    const stamp = { ...step.last }
    this.#told.set(stamp, open)
    for (const old of [...this.#told.keys()].slice(0, -givenMax)) this.#told.delete(old)
    this.#deps.resolver.setViews(this.#named, stamp)
  }

  #nameAnyway(): void {
    const step = this.#latest?.step
    this.#deps.log.warn({ ms: namesMs }, 'names are told that the kernel does not lead to yet')
    this.#stopWaiting()
    this.#open = step
    this.#name()
  }

  #stopWaiting(): void {
    this.#waiting?.cancel()
    this.#waiting = undefined
  }

  /** The kernel holds it: its names may be answered, but those that are gone again. */
  #opened(step: Step): void {
    this.#inKernel = step
    if (step.number > (this.#open?.number ?? 0)) {
      this.#open = step
      // What is still newer waits from now on.
      this.#stopWaiting()
      this.#name(step.views)
    }
    this.#tell()
  }

  /** The network is since `at` as it was told then, and still was at `until`: who follows the one follows the other. */
  confirm(id: NetworkId, at: Stamp, until: Stamp): void {
    if (compareStamps(this.#confirmed.get(id)?.until ?? at, until) >= 0) return
    this.#confirmed.set(id, { at, until })
    if (this.#isConfirmDue) return
    this.#isConfirmDue = true
    this.#deps.clock.setTimer(confirmMs, () => {
      this.#isConfirmDue = false
      this.#tell()
    })
  }

  /** This node is part of no cluster: nothing of the overlay is left in kernel and resolver. After `run` has ended. */
  async forget(): Promise<void> {
    const { nodeId, network, resolver, log } = this.#deps
    const stamp = { epoch: 0, index: 0 }
    this.#latest = undefined
    resolver.setViews([], stamp)
    await network.setOverlay({ nodeId, paths: [], views: [] }, stamp).catch((err: unknown) => {
      log.warn({ err }, 'overlay networks are left behind: the next comparison tries again')
    })
  }

  /** The resolver answers as of that stamp, which it was given here. */
  resolverReached(stamp: Stamp): void {
    const step = this.#told.get(stamp)
    if (step === undefined) return
    // Given before it, and so overtaken.
    for (const key of this.#told.keys()) {
      this.#told.delete(key)
      if (key === stamp) break
    }
    this.#inResolver = step
    this.#tell()
  }

  current(): OverlayAck | undefined {
    const [kernel, resolver] = [this.#inKernel, this.#inResolver]
    if (kernel === undefined || resolver === undefined) return undefined
    const { epoch, stamps } = kernel.number < resolver.number ? kernel : resolver
    const networks = [...stamps].map(([networkId, stamp]) => ({
      networkId,
      raftIndex: this.#untilOf(networkId, stamp).index,
    }))
    return { epoch, networks }
  }

  /** Up to when what was told at `at` is known to hold. */
  #untilOf(id: NetworkId, at: Stamp): Stamp {
    const confirmed = this.#confirmed.get(id)
    if (confirmed === undefined || compareStamps(confirmed.at, at) !== 0) return at
    return confirmed.until.epoch === at.epoch ? confirmed.until : at
  }

  onRise(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Applies the latest to the kernel, again until it is there. Until the signal aborts. */
  readonly run: Loop = async (signal) => {
    const { clock, log } = this.#deps
    const stop = (): void => this.#wake()
    signal.addEventListener('abort', stop, { once: true })
    while (!signal.aborted) {
      const latest = this.#latest
      if (latest === undefined || latest.step === this.#inKernel) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
        continue
      }
      try {
        await latest.apply()
        this.#opened(latest.step)
      } catch (err) {
        log.warn({ err }, 'the overlay networks are not as they are to be: tried again')
        await wait(clock, retryMs, signal)
      }
    }
    this.#stopWaiting()
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener()
  }
}

function latest(stamps: readonly (Stamp | undefined)[]): Stamp | undefined {
  return stamps.reduce((last, stamp) =>
    last === undefined || (stamp !== undefined && compareStamps(stamp, last) > 0) ? stamp : last,
  )
}
