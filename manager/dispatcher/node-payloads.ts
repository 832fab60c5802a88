// Which secrets and configs one node is to have: those of its tasks that have not ended, and none besides; and which credentials of
// registries: those of tasks whose image is still to be pulled.
// Source: swarm-semantics 1.1 (dispatcher): sent only while a task with state up to RUNNING on the node refers to it.
import {
  type AssignedPayload,
  type AssignedTask,
  type PayloadId,
  payloadsOf,
  type ServiceId,
  type TaskId,
  TaskState,
  type UsedPayload,
} from '../../proto/objects/index.ts'
import type { TaskSpec } from '../../proto/spec/service-spec.ts'
import type { ReadTx } from '../store/store.ts'

export interface DuePayloads {
  /** All that the node is to have. */
  readonly ids: readonly PayloadId[]
  /** Those among them that it was not sent yet. */
  readonly fresh: readonly AssignedPayload[]
}

type NotedTask = Pick<AssignedTask, 'id' | 'state' | 'serviceId' | 'registryLoginId'>

export class NodePayloads {
  readonly #uses = new Map<TaskId, readonly UsedPayload[]>()
  /** The services of tasks that pull with credentials. */
  readonly #pulls = new Map<TaskId, ServiceId>()
  #sent = new Set<PayloadId>()

  /** The node is taken to have nothing. */
  clear(): void {
    this.#uses.clear()
    this.#pulls.clear()
    this.#sent.clear()
  }

  /** A task as it is now. */
  note({ id, state, ...task }: NotedTask, spec: TaskSpec | undefined): void {
    if (task.registryLoginId === undefined) this.#pulls.delete(id)
    else this.#pulls.set(id, task.serviceId)
    const uses = spec === undefined ? [] : payloadsOf(spec.container)
    if (uses.length === 0 || state > TaskState.RUNNING) this.#uses.delete(id)
    else this.#uses.set(id, uses)
  }

  forget(id: TaskId): void {
    this.#uses.delete(id)
    this.#pulls.delete(id)
  }

  /** Whether it pulls with credentials, as far as is known here. */
  isPulling(id: TaskId): boolean {
    return this.#pulls.has(id)
  }

  /** What is to be sent now; taken to be sent. What is gone from the store is left out. O(tasks with any of it). */
  due(tx: ReadTx): DuePayloads {
    const held = new Map<PayloadId, AssignedPayload>()
    for (const use of [...this.#uses.values()].flat()) {
      const payload = tx.get(use.kind === 'secret' ? 'secrets' : 'configs', use.source)
      if (payload === undefined) continue
      const { name, data, templateDriver } = payload.spec
      held.set(payload.id, { id: payload.id, name, data, templateDriver })
    }
    for (const serviceId of new Set(this.#pulls.values())) {
      const login = tx.get('registryLogins', serviceId)?.present
      if (login === undefined) continue
      const data = new Uint8Array(Buffer.from(login.auth))
      held.set(login.id, { id: login.id, name: login.registry, data, templateDriver: '' })
    }
    const fresh = [...held.values()].filter(({ id }) => !this.#sent.has(id))
    const ids = [...held.keys()]
    this.#sent = new Set(ids)
    return { ids, fresh }
  }
}
