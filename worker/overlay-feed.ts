// What this node knows of overlay networks, kept fresh: over the bus, and from any manager where the bus left something out. Not for what
// is done with it (network/).

import type { FeedAction } from '../proto/bus/feed.ts'
import {
  type Answer,
  type BusReader,
  FeedSet,
  type FeedTiming,
  type Question,
} from '../proto/bus/feed-set.ts'
import {
  type OverlayChange,
  type OverlayWhole,
  overlayCodec,
} from '../proto/bus/overlay-subjects.ts'
import { networkIdOf, networkSubject, pathsSubject } from '../proto/bus/subjects.ts'
import { stampFromProto } from '../proto/codec/assignment.ts'
import { networkViewFromProto, nodePathFromProto } from '../proto/codec/overlay.ts'
import { SwarmError } from '../proto/errors.ts'
import type { FetchOverlayPart, FetchOverlayRequest } from '../proto/gen/tsswarm/v1/dispatcher.ts'
import type { Clock } from '../proto/lib/clock.ts'
import type { Loop } from '../proto/lib/lifecycle.ts'
import type { Logger } from '../proto/lib/log.ts'
import { type Random, randomInt } from '../proto/lib/random.ts'
import {
  changedNetworkView,
  changedNodePaths,
  type NetworkId,
  type NetworkView,
  type NodePath,
  networkId,
  type Stamp,
} from '../proto/objects/index.ts'
import type { ManagerAddress } from './state-records.ts'

export interface OverlayTransport {
  /** Errors while reading: whatever the manager answered, DEADLINE_EXCEEDED, UNAVAILABLE. */
  fetchOverlay(
    manager: ManagerAddress,
    request: FetchOverlayRequest,
    signal: AbortSignal,
  ): AsyncIterable<FetchOverlayPart>
}

/** All that is known, each part as of its own moment. A part that did not change is the same object as before. */
export interface OverlayKnowledge {
  readonly paths: readonly NodePath[]
  readonly views: ReadonlyMap<NetworkId, NetworkView>
  /** When the node paths last changed, and each network, also one that is gone; what is not in it was not told yet. */
  readonly pathsStamp: Stamp | undefined
  readonly stamps: ReadonlyMap<NetworkId, Stamp>
  /** All that is held was told: before that, what is missing is not gone but unknown. */
  readonly isComplete: boolean
}

export interface OverlayFeedDeps {
  readonly bus: BusReader
  readonly transport: OverlayTransport
  /** The manager that the session is with, to be asked first. */
  readonly sessionManager: () => ManagerAddress | undefined
  readonly managers: () => readonly ManagerAddress[]
  /** Told after each change; must be quick. */
  readonly onKnowledge: (now: OverlayKnowledge) => void
  /** A network that last changed at `at` has not changed up to `until`; must be quick. */
  readonly onConfirmed?: (id: NetworkId, at: Stamp, until: Stamp) => void
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly timing?: Partial<FeedTiming>
}

const nothing: OverlayKnowledge = {
  paths: [],
  views: new Map(),
  pathsStamp: undefined,
  stamps: new Map(),
  isComplete: false,
}

export class OverlayFeed {
  readonly #deps: OverlayFeedDeps
  readonly #set: FeedSet<OverlayChange, OverlayWhole>
  #known = nothing
  #held: ReadonlySet<NetworkId> = new Set()
  /** Asked last without success. */
  #failed: ManagerAddress | undefined

  constructor(deps: OverlayFeedDeps) {
    this.#deps = deps
    this.#set = new FeedSet<OverlayChange, OverlayWhole>({
      ...deps,
      codec: overlayCodec,
      fetch: (questions, signal) => this.#fetch(questions, signal),
      apply: (subject, action) => this.#apply(subject, action),
      onAsOf: (subject, asOf) => this.#confirm(subject, asOf),
    })
    this.#set.hold([pathsSubject])
  }

  get known(): OverlayKnowledge {
    return this.#known
  }

  /** How often something was missed, and fetched. */
  get counts(): FeedSet<OverlayChange, OverlayWhole>['counts'] {
    return this.#set.counts
  }

  /** These networks from now on, and no others; node paths always. */
  hold(networks: Iterable<NetworkId>): void {
    const wanted = new Set(networks)
    if (wanted.size === this.#held.size && [...wanted].every((id) => this.#held.has(id))) return
    this.#held = wanted
    this.#set.hold([pathsSubject, ...[...wanted].map(networkSubject)])
    const { views, stamps } = this.#known
    this.#know({ views: only(views, wanted), stamps: only(stamps, wanted) })
  }

  readonly run: Loop = (signal) => this.#set.run(signal)

  /** A session with a manager began: what was missed before is asked for at once. */
  renew(): void {
    this.#failed = undefined
    this.#set.renew()
  }

  #know(next: Partial<OverlayKnowledge>): void {
    const now = { ...this.#known, ...next }
    const isComplete =
      now.pathsStamp !== undefined && [...this.#held].every((id) => now.stamps.has(id))
    this.#known = { ...now, isComplete }
    this.#deps.onKnowledge(this.#known)
  }

  #apply(subject: string, action: FeedAction<OverlayChange, OverlayWhole>): void {
    const { stamp } = action
    if (subject === pathsSubject) {
      const paths = pathsAfter(this.#known.paths, action)
      if (paths === undefined) this.#set.distrust(subject)
      else this.#know({ paths, pathsStamp: stamp })
      return
    }
    const id = networkIdOf(subject)
    const result = viewAfter(this.#known.views.get(id), action)
    if (result === undefined) {
      this.#set.distrust(subject)
      return
    }
    const views = new Map(this.#known.views)
    if (result.view === undefined) views.delete(id)
    else views.set(id, result.view)
    this.#know({ views, stamps: new Map(this.#known.stamps).set(id, stamp) })
  }

  #confirm(subject: string, until: Stamp): void {
    if (subject === pathsSubject) return
    const id = networkIdOf(subject)
    const at = this.#known.stamps.get(id)
    if (at !== undefined) this.#deps.onConfirmed?.(id, at, until)
  }

  async #fetch(
    questions: readonly Question[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Answer<OverlayWhole>>> {
    const manager = this.#pick()
    if (manager === undefined) throw new SwarmError('UNAVAILABLE', 'no manager is known')
    const answers = new Map<string, Answer<OverlayWhole>>()
    this.#failed = manager
    const parts = this.#deps.transport.fetchOverlay(manager, requestOf(questions), signal)
    for await (const part of parts) {
      const subject = part.id === '' ? pathsSubject : networkSubject(networkId(part.id))
      const answer = answerOf(part)
      if (answer !== undefined) answers.set(subject, answer)
    }
    this.#failed = undefined
    return answers
  }

  /** The session's, whose connection is warm, unless it has just failed. */
  #pick(): ManagerAddress | undefined {
    const { sessionManager, managers, random } = this.#deps
    const failed = this.#failed?.address
    const warm = sessionManager()
    if (warm !== undefined && warm.address !== failed) return warm
    const all = managers()
    const others = all.filter(({ address }) => address !== failed)
    return others[randomInt(random, others.length)] ?? all[0]
  }
}

function only<K, V>(map: ReadonlyMap<K, V>, keys: ReadonlySet<K>): ReadonlyMap<K, V> {
  return new Map([...map].filter(([key]) => keys.has(key)))
}

/** Undefined: the change has nothing to stand on. */
function pathsAfter(
  paths: readonly NodePath[],
  action: FeedAction<OverlayChange, OverlayWhole>,
): readonly NodePath[] | undefined {
  if (action.kind === 'replace') return action.whole.kind === 'paths' ? action.whole.paths : []
  const { change } = action
  return change.kind === 'paths' ? changedNodePaths(paths, change.change) : undefined
}

/** Undefined: the change has nothing to stand on, as when the network was not this node's before. */
function viewAfter(
  view: NetworkView | undefined,
  action: FeedAction<OverlayChange, OverlayWhole>,
): { readonly view: NetworkView | undefined } | undefined {
  if (action.kind === 'replace') {
    return { view: action.whole.kind === 'network' ? action.whole.view : undefined }
  }
  const { change } = action
  if (view === undefined || change.kind !== 'network') return undefined
  return { view: changedNetworkView(view, change.change) }
}

function requestOf(questions: readonly Question[]): FetchOverlayRequest {
  const networks = questions
    .filter(({ subject }) => subject !== pathsSubject)
    .map(({ subject, asOf }) => ({ id: networkIdOf(subject), asOf }))
  const paths = questions.find(({ subject }) => subject === pathsSubject)
  return { networks, paths: paths && { id: '', asOf: paths.asOf } }
}

/** Errors: INVALID_ARGUMENT for missing fields. */
function answerOf(part: FetchOverlayPart): Answer<OverlayWhole> | undefined {
  const stamp = stampFromProto(part.stamp, 'FetchOverlayPart', 'stamp')
  const asOf = stampFromProto(part.asOf, 'FetchOverlayPart', 'as_of')
  const whole = (state: OverlayWhole): Answer<OverlayWhole> => ({
    stamp,
    asOf,
    state: { kind: 'whole', whole: state },
  })
  switch (part.kind?.$case) {
    case undefined:
      return undefined
    case 'unchanged':
      return { stamp, asOf, state: { kind: 'unchanged' } }
    case 'notHeld':
      return whole({ kind: 'none' })
    case 'view':
      return whole({ kind: 'network', view: networkViewFromProto(part.kind.value) })
    case 'paths':
      return whole({ kind: 'paths', paths: part.kind.value.paths.map(nodePathFromProto) })
  }
}
