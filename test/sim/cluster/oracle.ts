// What must hold in every run, checked at every commit that any manager applies: one leader a term, equal entries everywhere, observed task
// states that only grow, one running task a slot or node, a place of a job done once, every change of a service made once, no container
// that nobody wanted yet. What schedules, dependencies and volumes promise is in rules/.

import { DiskError, LogFailedError } from 'raft-ts'
import type { SimProcess } from 'raft-ts/testing'
import type { Leadership } from '../../../manager/raft/raft-handle.ts'
import type { ReplicatedStore } from '../../../manager/store/replicated-store.ts'
import type { Change, Commit, ReadTx } from '../../../manager/store/store.ts'
import { canonicalJson } from '../../../proto/lib/canonical-json.ts'
import {
  isActive,
  isRollback,
  placeOf,
  type Service,
  type Task,
  TaskState,
} from '../../../proto/objects/index.ts'
import { CronRule } from './rules/cron-rule.ts'
import { DependencyRule } from './rules/dependency-rule.ts'
import { JoinRule } from './rules/join-rule.ts'
import type { Findings, Reached, Rule } from './rules/rule.ts'
import { UpdateRule } from './rules/update-rule.ts'
import { VolumeRule } from './rules/volume-rule.ts'

/** Something that must never happen, happened. */
export class Violation extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'Violation'
  }
}

export class Oracle {
  readonly #leaders = new Map<number, string>()
  /** By Raft index: what the entry changed, as the first manager to apply it saw it. */
  readonly #entries = new Map<number, string>()
  /** Label `seq` of each service, as committed. */
  readonly #seqs = new Map<string, number>()
  /** Places of runs of jobs that ended well. */
  readonly #done = new Set<string>()
  /** Tasks that may be started: somebody wanted them to run, at one time. */
  readonly #mayRun = new Set<string>()
  readonly #findings: Findings = {
    fail: (what) => this.fail(what),
    note: (what, times = 1) => this.reached.set(what, (this.reached.get(what) ?? 0) + times),
  }
  readonly #rules: readonly Rule[]
  /** How often the run came to what. */
  readonly reached = new Map<Reached, number>()
  #newestIndex = 0
  #violation: Error | undefined
  commits = 0
  elections = 0

  constructor() {
    this.#rules = [
      new CronRule(this.#findings),
      new DependencyRule(this.#findings),
      new VolumeRule(this.#findings),
      new JoinRule(this.#findings),
      new UpdateRule(this.#findings),
    ]
  }

  /** Throws the first violation. */
  check(): void {
    if (this.#violation !== undefined) throw this.#violation
  }

  /** The committed `seq` of a service that was ever there. */
  seqOf(service: string): number | undefined {
    return this.#seqs.get(service)
  }

  leadership(host: string, { role, term }: Leadership): void {
    if (role !== 'leader') return
    const known = this.#leaders.get(term)
    if (known === undefined) this.elections += 1
    if (known !== undefined && known !== host)
      this.fail(`${known} and ${host} both lead in term ${term}`)
    this.#leaders.set(term, host)
  }

  /** Sees everything that this store applies, for the life of its process. */
  observe(host: string, process: SimProcess, store: ReplicatedStore): void {
    store.onCommit((commit) => {
      if (commit === undefined || !process.isAlive) return
      store.view((tx) => this.#committed(host, commit, tx))
    })
  }

  /** A host starts the container of a task. */
  containerStarts(host: string, task: string): void {
    if (this.#mayRun.has(task)) return
    this.fail(`the container of task ${task} is started on ${host} before it is wanted to run`)
  }

  /** A daemon ended by itself. */
  processFailed(process: string, err: unknown): void {
    if (isOfDisk(err)) return
    const text = err instanceof Error ? (err.stack ?? err.message) : String(err)
    this.fail(`the daemon ${process} failed: ${text}`)
  }

  fail(what: Error | string): void {
    this.#violation ??= typeof what === 'string' ? new Violation(what) : what
  }

  #committed(host: string, { index, changes }: Commit, tx: ReadTx): void {
    this.commits += 1
    const summary = changes.map(summaryOf).join('\n')
    const known = this.#entries.get(index)
    if (known !== undefined && known !== summary) {
      this.fail(`entry ${index} is another on ${host}:\n${summary}\n-- elsewhere:\n${known}`)
    }
    this.#entries.set(index, summary)
    for (const change of changes) if (change.table === 'tasks') this.#checkTask(host, change)
    if (index <= this.#newestIndex) return
    this.#newestIndex = index
    for (const change of changes) {
      if (change.table === 'services') this.#checkService(change)
      else if (change.table === 'tasks') this.#checkNewTask(change, tx)
    }
    for (const rule of this.#rules) rule.committed(changes, tx)
  }

  #checkTask(host: string, change: Change<'tasks'>): void {
    if (change.kind !== 'update') return
    const { old, object } = change
    if (object.state < old.state) {
      this.fail(`task ${object.id} went from state ${old.state} back to ${object.state} on ${host}`)
    }
    this.#checkHealth(host, old, object)
    if (old.nodeId !== undefined && object.nodeId !== old.nodeId) {
      this.fail(`task ${object.id} moved from ${old.nodeId} to ${object.nodeId}`)
    }
  }

  /** A task that is asked runs once it is healthy, and is never less far than it was. */
  #checkHealth(host: string, old: Task, { id, state, health }: Task): void {
    if (state === TaskState.RUNNING && health?.state === 'starting') {
      this.fail(`task ${id} runs on ${host} before it is healthy`)
    }
    const order = ['starting', 'healthy', 'unhealthy']
    const [was, is] = [old.health, health].map((one) => order.indexOf(one?.state ?? ''))
    if (was !== undefined && is !== undefined && is < was) {
      this.fail(`task ${id} was ${old.health?.state} and is ${health?.state} again on ${host}`)
    }
  }

  #checkNewTask(change: Change<'tasks'>, tx: ReadTx): void {
    const { kind, object } = change
    if (object.desiredState >= TaskState.RUNNING) this.#mayRun.add(object.id)
    if (isOwner(object)) this.#checkPlace(object, tx)
    if (kind === 'create') this.#checkJob(object)
    if (kind === 'update') this.#noteHealth(change.old, object)
    this.#noteDone(change)
  }

  #noteHealth({ health: was }: Task, { health: is }: Task): void {
    if (is === undefined || is.state === was?.state || is.state === 'starting') return
    this.#findings.note(is.state)
  }

  /** A place has one owner that is wanted and runs, but while one takes over from another that serves until then. */
  #checkPlace(task: Task, tx: ReadTx): void {
    const { serviceId, jobIteration } = task
    const slot = placeOf(task)
    const running = [...tx.find('tasks', 'bySlot', `${serviceId}/${slot}`)].filter(
      (other) => isOwner(other) && other.jobIteration === jobIteration,
    )
    if (running.length > (isTakenOver(running, tx) ? 2 : 1)) {
      const who = running.map(({ id, nodeId }) => `${id} on ${nodeId}`).join(', ')
      this.fail(`slot ${slot} of ${serviceId} is run by ${who}`)
    }
  }

  /** What ended well in a run of a job is not run again. */
  #checkJob(task: Task): void {
    if (!this.#done.has(runPlace(task))) return
    this.fail(`task ${task.id} runs ${runPlace(task)} again, which had ended well`)
  }

  #noteDone({ kind, object }: Change<'tasks'>): void {
    if (kind === 'remove' || object.jobIteration === undefined) return
    if (object.state !== TaskState.COMPLETE || this.#done.has(runPlace(object))) return
    this.#findings.note('job task done')
    this.#done.add(runPlace(object))
  }

  #noteUpdate({ updateStatus: was }: Service, { updateStatus: is }: Service): void {
    if (is?.state === 'completed' && was?.state !== is.state)
      this.#findings.note('update completed')
  }

  /**
   * Clients count the changes of a service in a label: none may be missing, none applied twice. What a service goes back to was
   * counted; that it is the spec of before is looked at elsewhere.
   */
  #checkService(change: Change<'services'>): void {
    const { spec } = change.object
    const seq = seqLabel(change.object)
    const before = this.#seqs.get(spec.name)
    if (change.kind === 'remove') this.#seqs.set(spec.name, -1)
    else if (change.kind === 'update' && isOfLeader(change.old, change.object))
      this.#noteUpdate(change.old, change.object)
    else if (change.kind === 'create' || !goesBack(change.old, change.object)) {
      const wanted = change.kind === 'create' ? 1 : (before ?? 0) + 1
      if (seq !== wanted) {
        this.fail(`service ${spec.name} went from change ${before ?? 'none'} to ${seq}`)
      }
      this.#seqs.set(spec.name, seq)
    }
  }
}

/** The leader notes how an update goes, or a job. What a user writes becomes the spec, and what was there the previous one. */
function isOfLeader(old: Service, now: Service): boolean {
  // Costs less than the whole, and is what is another nearly always.
  if (seqLabel(old) !== seqLabel(now)) return false
  return isSame(old.spec, now.spec) && isSame(old.previousSpec, now.previousSpec)
}

function goesBack(old: Service, now: Service): boolean {
  return !isRollback(old) && isRollback(now)
}

function isSame(one: unknown, other: unknown): boolean {
  return one === other || canonicalJson(one) === canonicalJson(other)
}

/** A manager whose disk fails ends: that is wanted. */
function isOfDisk(err: unknown): boolean {
  if (err instanceof DiskError || err instanceof LogFailedError) return true
  return err instanceof Error && err.cause !== undefined && isOfDisk(err.cause)
}

export function seqLabel({ spec }: Service): number {
  return Number(spec.labels.seq ?? 0)
}

function isOwner(task: Task): boolean {
  return task.state === TaskState.RUNNING && isActive(task)
}

/** Moved, or with start-first updated. */
function isTakenOver(owners: readonly Task[], tx: ReadTx): boolean {
  if (owners.some(({ reason }) => reason === 'rebalance')) return true
  const [first] = owners
  // Of a service that was removed meanwhile it is not known.
  const order = first && (tx.get('services', first.serviceId)?.spec.update.order ?? 'start-first')
  return order === 'start-first' && new Set(owners.map((one) => one.specVersion)).size > 1
}

function runPlace(task: Task): string {
  return `${task.serviceId}/${task.jobIteration}/${placeOf(task)}`
}

function summaryOf({ kind, table, object }: Change): string {
  const { id, version } = object as { readonly id?: string; readonly version?: number }
  const more = table === 'tasks' ? taskSummary(object as Task) : ''
  return `${kind} ${table} ${id} v${version}${more}`
}

function taskSummary(task: Task): string {
  return ` ${task.state}/${task.desiredState} ${task.nodeId ?? '-'} ${task.updatedAtMs}`
}
