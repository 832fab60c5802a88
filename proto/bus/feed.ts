// What one reader of a subject knows, and what it does with what it hears: changes that may be lost, doubled or out of order, tips, and
// whole states that it fetched. Not for sockets and timers (feed-set.ts). Pure.
//
// A subject changes rarely, the cluster often: a state holds for an interval of the cluster's history, from its last change on. A
// change leads from any moment in which its publisher's earlier state held, so a reader whose interval meets that one can take it.
import { compareStamps, type Stamp } from '../objects/assignment.ts'

export interface FeedState<C> {
  /** When the state that the reader has was made; undefined: it has none. */
  readonly at: Stamp | undefined
  /** It has not changed since, up to here. */
  readonly until: Stamp | undefined
  /** The latest change that was heard of. */
  readonly heard: Stamp | undefined
  /** What came too early, oldest first. */
  readonly waiting: readonly HeardChange<C>[]
  /** The reader may have missed something that nobody will tell it of. */
  readonly isDoubtful: boolean
}

export interface HeardChange<C> {
  readonly kind: 'change'
  /** The publisher's earlier state held from `previous` up to the moment before `first`. */
  readonly previous: Stamp
  readonly first: Stamp
  readonly stamp: Stamp
  readonly asOf: Stamp
  readonly change: C
}

export type Heard<C, W> =
  | HeardChange<C>
  | { readonly kind: 'whole'; readonly stamp: Stamp; readonly asOf: Stamp; readonly whole: W }
  | { readonly kind: 'tip'; readonly stamp: Stamp; readonly asOf: Stamp }

export type FeedEvent<C, W> =
  | Heard<C, W>
  /** The answer to a question that named `until`. */
  | { readonly kind: 'unchanged'; readonly stamp: Stamp; readonly asOf: Stamp }
  /** Asking begins; what is missed from now on is not in the answer for certain. */
  | { readonly kind: 'asking' }
  /** Asking came to nothing, the connection was lost, or it is time to compare. */
  | { readonly kind: 'doubt' }

export type FeedAction<C, W> =
  | { readonly kind: 'apply'; readonly change: C; readonly stamp: Stamp }
  | { readonly kind: 'replace'; readonly whole: W; readonly stamp: Stamp }

export interface FeedStep<C, W> {
  readonly state: FeedState<C>
  /** In this order. */
  readonly actions: readonly FeedAction<C, W>[]
}

/** More came too early than is worth keeping: the whole state has it all. */
export const waitingMax = 256

export const newFeed: FeedState<never> = {
  at: undefined,
  until: undefined,
  heard: undefined,
  waiting: [],
  isDoubtful: true,
}

/** Whether the reader should ask for the whole state. */
export function isFetchDue(state: FeedState<unknown>): boolean {
  const { until, heard, isDoubtful } = state
  return isDoubtful || until === undefined || (heard !== undefined && isAfter(heard, until))
}

/** What the event makes of the state. */
export function stepFeed<C, W>(state: FeedState<C>, event: FeedEvent<C, W>): FeedStep<C, W> {
  switch (event.kind) {
    case 'asking':
      return { state: { ...state, isDoubtful: false }, actions: [] }
    case 'doubt':
      return { state: { ...state, isDoubtful: true }, actions: [] }
    case 'unchanged':
      return settle(confirm(state, event), [])
    case 'tip':
      return settle(confirm(heardOf(state, event.stamp), event), [])
    case 'whole':
      return takeWhole(heardOf(state, event.stamp), event)
    case 'change':
      return takeChange(heardOf(state, event.stamp), event)
  }
}

function isAfter(a: Stamp, b: Stamp): boolean {
  return compareStamps(a, b) > 0
}

function later(a: Stamp | undefined, b: Stamp): Stamp {
  return a === undefined || isAfter(b, a) ? b : a
}

function heardOf<C>(state: FeedState<C>, stamp: Stamp): FeedState<C> {
  return { ...state, heard: later(state.heard, stamp) }
}

/** Somebody says that nothing changed between two moments: if the reader's state held at the first, it still does at the second. */
function confirm<C>(
  state: FeedState<C>,
  { stamp, asOf }: { readonly stamp: Stamp; readonly asOf: Stamp },
): FeedState<C> {
  const { at, until } = state
  if (at === undefined || until === undefined) return state
  if (isAfter(stamp, until) || isAfter(at, asOf)) return state
  return { ...state, until: later(until, asOf) }
}

function takeWhole<C, W>(
  state: FeedState<C>,
  { stamp, asOf, whole }: Heard<C, W> & { readonly kind: 'whole' },
): FeedStep<C, W> {
  const { at, until } = state
  const isNew = until === undefined || isAfter(stamp, until)
  if (!isNew) {
    // The state it has, or an older one: it is put in place all the same where it is the same, which mends what went wrong here.
    if (at === undefined || isAfter(at, asOf)) return { state, actions: [] }
    const next = confirm(state, { stamp, asOf })
    return settle(next, [{ kind: 'replace', whole, stamp: at }])
  }
  const next = { ...state, at: stamp, until: later(stamp, asOf) }
  return settle(next, [{ kind: 'replace', whole, stamp }])
}

function takeChange<C, W>(state: FeedState<C>, heard: HeardChange<C>): FeedStep<C, W> {
  if (fits(state, heard)) return settle(applied(state, heard), [applyOf(heard)])
  const { until } = state
  if (until !== undefined && !isAfter(heard.stamp, until)) return { state, actions: [] }
  const waiting = [...state.waiting, heard].sort((a, b) => compareStamps(a.stamp, b.stamp))
  return {
    state: { ...state, waiting: waiting.length > waitingMax ? [] : waiting },
    actions: [],
  }
}

function fits<C>({ at, until }: FeedState<C>, heard: HeardChange<C>): boolean {
  if (at === undefined || until === undefined) return false
  const isNew = isAfter(heard.first, at) && isAfter(heard.stamp, until)
  return isNew && !isAfter(heard.previous, until)
}

function applied<C>(
  state: FeedState<C>,
  { stamp, asOf }: { readonly stamp: Stamp; readonly asOf: Stamp },
): FeedState<C> {
  return { ...state, at: stamp, until: later(stamp, asOf) }
}

function applyOf<C>({ change, stamp }: HeardChange<C>) {
  return { kind: 'apply', change, stamp } as const
}

/** Takes what had come too early and fits now; drops what is known. */
function settle<C, W>(start: FeedState<C>, first: readonly FeedAction<C, W>[]): FeedStep<C, W> {
  const actions = [...first]
  let state = start
  const rest: HeardChange<C>[] = []
  for (const heard of start.waiting) {
    if (fits(state, heard)) {
      actions.push(applyOf(heard))
      state = applied(state, heard)
    } else if (state.until === undefined || isAfter(heard.stamp, state.until)) rest.push(heard)
  }
  return { state: { ...state, waiting: rest }, actions }
}
