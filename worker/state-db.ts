// The agent's memory across restarts: what is assigned with its specs and stamp, the last status of each task, and
// the managers. A restarted daemon adopts its containers from it before any manager is reachable.
// Not the truth (that is the cluster's store): lost, it is rebuilt from the next full set.
import type { Logger } from '../proto/lib/log.ts'
import type { Assignments, SpecHash, TaskId, TaskStatus } from '../proto/objects/index.ts'
import { noAssignments } from './assignments.ts'
import type { StateFile } from './state-file.ts'
import {
  decodeRecords,
  encodeRecord,
  type ManagerAddress,
  type StateRecord,
} from './state-records.ts'

export interface AgentState {
  readonly assignments: Assignments
  readonly statuses: ReadonlyMap<TaskId, TaskStatus>
  readonly managers: readonly ManagerAddress[]
}

export interface StateDb {
  /** What was found at the start. */
  readonly restored: AgentState
  /** Whether `restored` surely is all that was assigned; if not, an unknown container may still be ours to keep. */
  readonly isComplete: boolean
  /** Durable when it resolves; so are all others. Errors: RESOURCE_EXHAUSTED, INTERNAL; the next write repairs. */
  saveAssignments(assignments: Assignments): Promise<void>
  saveStatuses(statuses: readonly TaskStatus[]): Promise<void>
  /** Drops the statuses of tasks of which no trace is left. */
  forget(ids: readonly TaskId[]): Promise<void>
  saveManagers(managers: readonly ManagerAddress[]): Promise<void>
  close(): Promise<void>
}

/** Reads the file and, when it is damaged, rewrites it. Errors: RESOURCE_EXHAUSTED, INTERNAL. */
export async function openStateDb(file: StateFile, log: Logger): Promise<StateDb> {
  const data = await file.read()
  const decoded = decodeRecords(data)
  const restored = decoded.records.reduce(withRecord, emptyState)
  const isWhole = decoded.isIntact || endsTorn(data)
  if (!decoded.isIntact) {
    log.warn({ bytes: data.length, isWhole }, 'agent database cut at its last whole record')
  }
  const writer = new StateWriter(file, restored, data.length)
  if (data.length === 0 || !decoded.isIntact) await writer.rewrite()
  return {
    restored,
    isComplete: isWhole && restored.assignments.stamp !== undefined,
    saveAssignments: (assignments) => writer.write(assignmentRecord(writer.state, assignments)),
    saveStatuses: (statuses) => writer.write({ kind: 'statuses', statuses }),
    forget: (ids) => writer.write({ kind: 'forgotten', ids }),
    saveManagers: (managers) => writer.write({ kind: 'managers', managers }),
    close: () => writer.close(),
  }
}

const emptyState: AgentState = { assignments: noAssignments, statuses: new Map(), managers: [] }

/** A crash tears only the last line, which then has no end; anything else is damage. */
function endsTorn(data: Uint8Array): boolean {
  const cut = data.lastIndexOf(10) + 1
  return cut < data.length && decodeRecords(data.subarray(0, cut)).isIntact
}

function withRecord(state: AgentState, record: StateRecord): AgentState {
  switch (record.kind) {
    case 'assigned':
      return { ...state, assignments: withAssigned(state.assignments, record) }
    case 'statuses': {
      const statuses = new Map(state.statuses)
      for (const status of record.statuses) statuses.set(status.taskId, status)
      return { ...state, statuses }
    }
    case 'forgotten': {
      const statuses = new Map(state.statuses)
      for (const id of record.ids) statuses.delete(id)
      return { ...state, statuses }
    }
    case 'managers':
      return { ...state, managers: record.managers }
  }
}

type AssignedRecord = Extract<StateRecord, { readonly kind: 'assigned' }>

function withAssigned(current: Assignments, record: AssignedRecord): Assignments {
  const tasks = new Map(record.whole ? [] : current.tasks)
  for (const task of record.update) tasks.set(task.id, task)
  for (const id of record.remove) tasks.delete(id)
  const specs = new Map(record.whole ? [] : current.specs)
  for (const { hash, spec } of record.specs) specs.set(hash, spec)
  const used = new Set<SpecHash>()
  for (const task of tasks.values()) used.add(task.specHash)
  for (const hash of specs.keys()) if (!used.has(hash)) specs.delete(hash)
  return { stamp: record.stamp, tasks, specs }
}

/** The difference between what is on disk and what shall be. */
function assignmentRecord({ assignments: old }: AgentState, next: Assignments): AssignedRecord {
  return {
    kind: 'assigned',
    whole: false,
    stamp: next.stamp,
    update: [...next.tasks.values()].filter((task) => old.tasks.get(task.id) !== task),
    remove: [...old.tasks.keys()].filter((id) => !next.tasks.has(id)),
    specs: [...next.specs]
      .filter(([hash]) => !old.specs.has(hash))
      .map(([hash, spec]) => ({ hash, spec })),
  }
}

const slackBytes = 256 * 1024

/** Group commit: what arrives while a write is in flight rides the next one. */
class StateWriter {
  /** What the file holds once all accepted writes are done. */
  state: AgentState
  readonly #file: StateFile
  #fileBytes: number
  #wholeBytes = 0
  #pending: StateRecord[] = []
  #inFlight: Promise<void> | undefined
  #queued: Promise<void> | undefined
  #isDamaged = false

  constructor(file: StateFile, state: AgentState, fileBytes: number) {
    this.#file = file
    this.state = state
    this.#fileBytes = fileBytes
  }

  write(record: StateRecord): Promise<void> {
    this.state = withRecord(this.state, record)
    this.#pending.push(record)
    if (this.#queued === undefined) {
      const previous = this.#inFlight ?? Promise.resolve()
      this.#queued = previous.then(
        () => this.#flush(),
        () => this.#flush(),
      )
    }
    return this.#queued
  }

  /** Writes the whole state anew. */
  async rewrite(): Promise<void> {
    const { assignments, statuses, managers } = this.state
    const whole = Buffer.concat([
      encodeRecord({
        kind: 'assigned',
        whole: true,
        stamp: assignments.stamp,
        update: [...assignments.tasks.values()],
        remove: [],
        specs: [...assignments.specs].map(([hash, spec]) => ({ hash, spec })),
      }),
      encodeRecord({ kind: 'statuses', statuses: [...statuses.values()] }),
      encodeRecord({ kind: 'managers', managers }),
    ])
    await this.#file.replace(whole)
    this.#fileBytes = whole.length
    this.#wholeBytes = whole.length
    this.#isDamaged = false
  }

  async close(): Promise<void> {
    await (this.#queued ?? this.#inFlight)?.catch(() => {})
    await this.#file.close()
  }

  #flush(): Promise<void> {
    this.#inFlight = this.#queued
    this.#queued = undefined
    const records = this.#pending
    this.#pending = []
    return this.#writeNow(records)
  }

  async #writeNow(records: readonly StateRecord[]): Promise<void> {
    if (this.#isDamaged) return this.rewrite()
    const data = Buffer.concat(records.map(encodeRecord))
    if (this.#fileBytes + data.length > 4 * this.#wholeBytes + slackBytes) return this.rewrite()
    try {
      await this.#file.append(data)
      this.#fileBytes += data.length
    } catch (err) {
      this.#isDamaged = true
      throw err
    }
  }
}
