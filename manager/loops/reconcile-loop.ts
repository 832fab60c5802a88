// The generic shell of a level-triggered loop: says which ids to look at, has a pure decision made about each, writes the plan under version
// checks, and looks again when somebody was faster. It knows nothing of what is decided.
import { hasCode, SwarmError } from '../../proto/errors.ts'
import { Bell } from '../../proto/lib/bell.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import { newId } from '../../proto/lib/ids.ts'
import { type NamedLoop, runAll } from '../../proto/lib/lifecycle.ts'
import type { Logger } from '../../proto/lib/log.ts'
import type { Random } from '../../proto/lib/random.ts'
import type { DecisionEnv, Plan, PlannedChange } from '../../proto/objects/index.ts'
import { rollBack } from '../controlapi/roll-back.ts'
import {
  type Change,
  type ReadTx,
  type Store,
  type Tx,
  WatchLagged,
  type WatchSelector,
} from '../store/store.ts'

export interface ReconcileDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

/** What one loop is about. Ids are the loop's own: of services, slots, nodes. */
export interface Reconciler {
  readonly name: string
  readonly watches: WatchSelector
  /** Everything is looked at this often, whatever happened. */
  readonly resyncMs: number
  /** The ids that a change concerns. */
  readonly dirtiedBy: (change: Change, tx: ReadTx) => Iterable<string>
  /** All ids there are; what is dirty at the start and at each resync. */
  readonly allIds: (tx: ReadTx) => Iterable<string>
  /** The decision about one id: reads a picture from the view, then decides purely. */
  readonly decide: (id: string, tx: ReadTx, env: DecisionEnv) => Plan
  /** The version of what a decision rests on: a plan is not written, and made anew, once that is another. Absent: what it changes alone counts. */
  readonly basisOf?: (id: string, tx: ReadTx) => number | undefined
}

/** Of one transaction of the store. */
const changesMax = 200
/** Written before the next ids are decided about, so that a plan is never old. */
const roundChangesMax = 2_000
/** Decided in one go; others run in between. */
const roundMs = 10
const commitsWaitingMax = 10_000
const retryMs = 100

/** Ids to look at, and when to look at others. */
class Agenda {
  readonly dirty = new Set<string>()
  readonly #wakeAtMs = new Map<string, number>()
  #nextMs = Number.POSITIVE_INFINITY

  /** Look at the id then; undefined: not before something changes. */
  wakeAt(id: string, atMs: number | undefined): void {
    if (atMs === undefined) this.#wakeAtMs.delete(id)
    else {
      this.#wakeAtMs.set(id, atMs)
      this.#nextMs = Math.min(this.#nextMs, atMs)
    }
  }

  /** Makes dirty what is due; returns after how long the next one is. */
  due(nowMs: number): number | undefined {
    if (nowMs >= this.#nextMs) {
      this.#nextMs = Number.POSITIVE_INFINITY
      for (const [id, atMs] of this.#wakeAtMs) {
        if (atMs > nowMs) this.#nextMs = Math.min(this.#nextMs, atMs)
        else {
          this.#wakeAtMs.delete(id)
          this.dirty.add(id)
        }
      }
    }
    return this.#nextMs === Number.POSITIVE_INFINITY ? undefined : this.#nextMs - nowMs
  }
}

interface Run {
  readonly deps: ReconcileDeps
  readonly reconciler: Reconciler
  readonly agenda: Agenda
  readonly bell: Bell
}

/** Runs while this manager leads. */
export function reconcileLoop(deps: ReconcileDeps, reconciler: Reconciler): NamedLoop {
  const run = async (signal: AbortSignal): Promise<void> => {
    const state = { deps, reconciler, agenda: new Agenda(), bell: new Bell() }
    await runAll(signal, [
      { name: `${reconciler.name} watch`, run: (own) => watchAll(state, own) },
      { name: `${reconciler.name} decide`, run: (own) => decideAll(state, own) },
    ])
  }
  return { name: reconciler.name, run }
}

/** Keeps the agenda filled. A watch that lagged is begun anew, with everything dirty. */
async function watchAll(
  { deps, reconciler, agenda, bell }: Run,
  signal: AbortSignal,
): Promise<void> {
  const { store, log } = deps
  while (!signal.aborted) {
    try {
      const commits = store.watch(reconciler.watches, { signal, bufferMax: commitsWaitingMax })
      markAll(store, reconciler, agenda)
      bell.ring()
      for await (const commit of commits) {
        store.view((tx) => {
          for (const change of commit.changes) {
            for (const id of reconciler.dirtiedBy(change, tx)) agenda.dirty.add(id)
          }
        })
        bell.ring()
      }
    } catch (err) {
      if (!(err instanceof WatchLagged)) throw err
      log.warn({ loop: reconciler.name, why: err.message }, 'loop looks at everything again')
    }
  }
}

function markAll(store: Store, reconciler: Reconciler, agenda: Agenda): void {
  store.view((tx) => {
    for (const id of reconciler.allIds(tx)) agenda.dirty.add(id)
  })
}

async function decideAll(state: Run, signal: AbortSignal): Promise<void> {
  const { deps, reconciler, agenda, bell } = state
  const { store, clock } = deps
  let resyncAtMs = clock.monotonicMs() + reconciler.resyncMs
  let pauseMs: number | undefined
  while (!signal.aborted) {
    const dueMs = agenda.due(store.view((tx) => tx.nowMs))
    if (agenda.dirty.size === 0 || pauseMs !== undefined) {
      const resyncMs = Math.max(0, resyncAtMs - clock.monotonicMs())
      await bell.wait(clock, Math.min(resyncMs, pauseMs ?? resyncMs, dueMs ?? resyncMs), signal)
    }
    if (clock.monotonicMs() >= resyncAtMs) {
      resyncAtMs = clock.monotonicMs() + reconciler.resyncMs
      markAll(store, reconciler, agenda)
    }
    pauseMs = await decideRound(state)
    // What is left was too much for one go: let others run.
    if (agenda.dirty.size > 0) await wait(clock, 0, signal)
  }
}

/** Decides about dirty ids and writes the plans. Returns how long to hold off when the store does not take them. */
async function decideRound(state: Run): Promise<number | undefined> {
  const plans = state.deps.store.view((tx) => decideSome(state, tx))
  const outcomes = await Promise.all(plans.map((plan) => write(state, plan)))
  return outcomes.includes('refused') ? retryMs : undefined
}

interface DecidedPlan {
  readonly id: string
  /** As of the decision. */
  readonly basis: number | undefined
  readonly changes: readonly PlannedChange[]
}

/** No await between reading and deciding: all of a round sees one state. */
function decideSome({ deps, reconciler, agenda }: Run, tx: ReadTx): readonly DecidedPlan[] {
  const { clock, random, log } = deps
  const env = {
    nowMs: tx.nowMs,
    wallMs: Math.floor(clock.wallMs()),
    newId: () => newId(random),
    random: () => random.float(),
  }
  const endMs = clock.monotonicMs() + roundMs
  const plans: DecidedPlan[] = []
  let changes = 0
  for (const id of agenda.dirty) {
    if (changes >= roundChangesMax || clock.monotonicMs() > endMs) break
    agenda.dirty.delete(id)
    const plan = reconciler.decide(id, tx, env)
    agenda.wakeAt(id, plan.wakeAtMs)
    for (const { fields, message } of plan.notes) log.info(fields, message)
    changes += plan.changes.length
    const basis = reconciler.basisOf?.(id, tx)
    if (plan.changes.length > 0) plans.push({ id, basis, changes: plan.changes })
  }
  return plans
}

/** `refused`: the store takes nothing now. The id is dirty again unless all was written. */
async function write(
  { deps, reconciler, agenda }: Run,
  { id, basis, changes }: DecidedPlan,
): Promise<'written' | 'conflict' | 'refused'> {
  try {
    for (let at = 0; at < changes.length; at += changesMax) {
      const part = changes.slice(at, at + changesMax)
      await deps.store.update((tx) => {
        // What the first part changes of it is the plan's own.
        if (at === 0 && reconciler.basisOf?.(id, tx) !== basis) throw outdated(id)
        for (const change of part) applyChange(tx, change)
      })
    }
    return 'written'
  } catch (err) {
    if (!(err instanceof SwarmError)) throw err
    agenda.dirty.add(id)
    deps.log.debug(
      { loop: reconciler.name, id, code: err.code },
      'plan not written, deciding again',
    )
    if (hasCode(err, 'OUT_OF_SEQUENCE', 'NOT_FOUND', 'ALREADY_EXISTS')) return 'conflict'
    if (hasCode(err, 'NOT_LEADER', 'OUTCOME_UNKNOWN', 'RESOURCE_EXHAUSTED')) return 'refused'
    throw err
  }
}

function outdated(id: string): SwarmError {
  return new SwarmError(
    'OUT_OF_SEQUENCE',
    `what was decided about ${id} rests on an earlier version`,
  )
}

/** Writes one planned change. Errors: as Tx. */
export function applyChange(tx: Tx, change: PlannedChange): void {
  if (change.kind === 'rollback') rollBack(tx, change)
  else if (change.kind === 'remove') tx.remove(change.table, change.id, change.version)
  else if (change.kind === 'create') tx.create(change.table, change.object)
  else if (change.table === 'tasks') tx.update('tasks', change.object)
  else if (change.table === 'nodes') tx.update('nodes', change.object)
  else tx.update('services', change.object)
}
