// depends_on: no task of a version is let start before all that its service depends on was so far, at one moment since that version, or one
// after it, was there. Later tasks of that version wait for nobody, nor do those of a version that is the same as one that may start and
// still has tasks. The words are the specification's, not the reconciler's.
import type { Change, ReadTx } from '../../../../manager/store/store.ts'
import {
  isActive,
  placeOf,
  type Service,
  type Task,
  TaskState,
} from '../../../../proto/objects/index.ts'
import type { DependencySpec } from '../../../../proto/spec/service-spec.ts'
import type { Findings, Rule } from './rule.ts'

export class DependencyRule implements Rule {
  readonly #findings: Findings
  /** The newest version of each service that may start. */
  readonly #open = new Map<string, number>()
  /** Hashes of those, of the ones before, and of tasks that started with them. */
  readonly #opened = new Map<string, Set<string>>()
  /** The present versions that may not. */
  readonly #closed = new Map<string, Service>()

  constructor(findings: Findings) {
    this.#findings = findings
  }

  committed(changes: readonly Change[], tx: ReadTx): void {
    for (const { table, kind, object } of changes) {
      if (table !== 'services') continue
      const service = object as Service
      this.#closed.delete(service.id)
      if (kind === 'remove' || service.spec.task.dependsOn.length === 0) continue
      if (this.#isOpen(service)) continue
      if (this.#isAsBefore(service, tx)) this.#letStart(service)
      else this.#closed.set(service.id, service)
    }
    for (const service of this.#closed.values()) {
      if (service.spec.task.dependsOn.every((one) => isMet(one, tx))) this.#letStart(service)
    }
    for (const change of changes) {
      if (change.table === 'tasks' && change.kind !== 'remove') this.#task(change, tx)
    }
  }

  #isOpen({ id, specVersion }: Pick<Service, 'id' | 'specVersion'>): boolean {
    return specVersion <= (this.#open.get(id) ?? 0)
  }

  #isAsBefore({ id, specHash }: Service, tx: ReadTx): boolean {
    if (this.#opened.get(id)?.has(specHash) !== true) return false
    return [...tx.find('tasks', 'byService', id)].some(
      (task) => task.specHash === specHash && isActive(task),
    )
  }

  #letStart({ id, specVersion, specHash }: Service): void {
    this.#open.set(id, specVersion)
    this.#opened.set(id, (this.#opened.get(id) ?? new Set()).add(specHash))
    this.#closed.delete(id)
  }

  #task(change: Exclude<Change<'tasks'>, { readonly kind: 'remove' }>, tx: ReadTx): void {
    const task = change.object
    const was = change.kind === 'update' ? change.old.desiredState : TaskState.NEW
    if (change.kind === 'create' && task.waitsFor !== '') {
      this.#findings.note('task waits for a service')
    }
    if (!mayStart(task) || was >= TaskState.RUNNING) return
    const service = tx.get('services', task.serviceId)
    if (service === undefined || service.spec.task.dependsOn.length === 0) return
    if (change.kind === 'update' && change.old.waitsFor !== '') {
      this.#findings.note('task starts after it waited')
    }
    if (this.#isOpen({ id: service.id, specVersion: task.specVersion })) {
      this.#opened.get(service.id)?.add(task.specHash)
      return
    }
    const names = service.spec.task.dependsOn.map((one) => `${one.service} ${one.condition}`)
    this.#findings.fail(
      `task ${task.id} of ${service.spec.name} may start before ${names.join(', ')}`,
    )
  }
}

/** Not one that is to go away again. */
function mayStart({ desiredState }: Task): boolean {
  return desiredState === TaskState.RUNNING || desiredState === TaskState.COMPLETE
}

/** In each of its places a task of its present spec that is so far. */
function isMet({ service: name, condition }: DependencySpec, tx: ReadTx): boolean {
  const [service] = tx.find('services', 'byName', name.toLowerCase())
  if (service === undefined) return false
  const places = new Set<unknown>()
  for (const task of tx.find('tasks', 'byService', service.id)) {
    if (task.specHash === service.specHash && isSoFar(task, condition, service)) {
      places.add(placeOf(task))
    }
  }
  const { mode } = service.spec
  if (mode.kind === 'replicated') return places.size >= mode.replicas
  if (mode.kind === 'replicated-job') return places.size >= mode.completions
  return places.size > 0
}

function isSoFar(
  { state, ranAtMs, jobIteration }: Task,
  condition: DependencySpec['condition'],
  { jobStatus }: Service,
): boolean {
  switch (condition) {
    case 'started':
      return ranAtMs > 0 || (state >= TaskState.STARTING && state <= TaskState.COMPLETE)
    case 'healthy':
      return state === TaskState.RUNNING
    case 'completed_successfully':
      return state === TaskState.COMPLETE && jobIteration === jobStatus?.iteration
  }
}
