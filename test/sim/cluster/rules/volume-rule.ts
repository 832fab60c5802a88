// Volumes of one slot: once a container was made with such a volume, the slot's tasks go to a node that has it. It is forgotten only when
// no task of the slot is left and no node tells of it.
import type { Change, ReadTx } from '../../../../manager/store/store.ts'
import type { NodeId, Task, TaskId } from '../../../../proto/objects/index.ts'
import type { Findings, Rule } from './rule.ts'

/** Where a task that has no node yet may go, as far as anybody could have known since it was made. */
interface Allowed {
  isAnywhere: boolean
  readonly nodes: Set<NodeId>
}

export class VolumeRule implements Rule {
  readonly #findings: Findings
  /** Nodes on which tasks of a slot had its volume, as the cluster knows from them. */
  readonly #homes = new Map<string, Set<NodeId>>()
  readonly #waiting = new Map<TaskId, { readonly task: Task; readonly allowed: Allowed }>()

  constructor(findings: Findings) {
    this.#findings = findings
  }

  committed(changes: readonly Change[], tx: ReadTx): void {
    const tasks = changes.filter(
      (change): change is Change<'tasks'> =>
        change.table === 'tasks' && (change.object as Task).slotVolumes.length > 0,
    )
    for (const { kind, object } of tasks) {
      if (kind === 'create') {
        const allowed = { isAnywhere: false, nodes: new Set<NodeId>() }
        this.#waiting.set(object.id, { task: object, allowed })
      } else if (kind === 'remove') this.#removed(object, tx)
    }
    for (const { task, allowed } of this.#waiting.values()) this.#allow(task, allowed, tx)
    for (const { kind, object } of tasks) if (kind !== 'remove') this.#placed(object)
  }

  #allow({ slotVolumes }: Task, allowed: Allowed, tx: ReadTx): void {
    for (const volume of slotVolumes) {
      const known = this.#homes.get(volume) ?? holdersOf(volume, tx)
      if (known.size === 0) allowed.isAnywhere = true
      for (const node of known) allowed.nodes.add(node)
    }
  }

  #placed({ id, nodeId, slotVolumes, containerId, ranAtMs }: Task): void {
    if (nodeId === undefined) return
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    for (const volume of slotVolumes) {
      if (waiting !== undefined && waiting.allowed.nodes.size > 0) {
        this.#findings.note('task goes where its volume is')
        if (!this.#homes.has(volume)) this.#findings.note('volume of a slot that came back')
      }
      if (containerId === '' && ranAtMs === 0) continue
      const homes = this.#homes.get(volume) ?? new Set()
      this.#homes.set(volume, homes.add(nodeId))
    }
    if (waiting === undefined || waiting.allowed.isAnywhere) return
    if (waiting.allowed.nodes.has(nodeId)) return
    const there = [...waiting.allowed.nodes].join(', ')
    this.#findings.fail(`task ${id} goes to ${nodeId}, its volume ${slotVolumes} is on ${there}`)
  }

  /** With the last task of the slot goes what the cluster knows from tasks. */
  #removed({ id, serviceId, slot, slotVolumes }: Task, tx: ReadTx): void {
    this.#waiting.delete(id)
    for (const _ of tx.find('tasks', 'bySlot', `${serviceId}/${slot}`)) return
    for (const volume of slotVolumes) this.#homes.delete(volume)
  }
}

function holdersOf(volume: string, tx: ReadTx): ReadonlySet<NodeId> {
  const nodes = new Set<NodeId>()
  for (const { id, description } of tx.all('nodes')) {
    if (description?.slotVolumes?.includes(volume) === true) nodes.add(id)
  }
  return nodes
}
