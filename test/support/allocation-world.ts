// An allocator over plain maps: what it plans is applied at once, or refused when a test says so. No store, no loop.
import {
  type Allocation,
  type AllocationView,
  Allocator,
} from '../../manager/allocator/allocator.ts'
import { seededRandom } from '../../proto/lib/random.ts'
import {
  isTerminal,
  type Network,
  type Node,
  type NodeId,
  networkId,
  type Service,
  type ServiceId,
  type SpecHash,
  type Task,
  type TaskId,
} from '../../proto/objects/index.ts'
import type { TaskSpec } from '../../proto/spec/service-spec.ts'
import { aSpecRecord, type TaskSpecFacts } from './objects.ts'

export class AllocationWorld {
  readonly networks = new Map<string, Network>()
  readonly nodes = new Map<NodeId, Node>()
  readonly services = new Map<ServiceId, Service>()
  readonly tasks = new Map<TaskId, Task>()
  readonly specs = new Map<SpecHash, TaskSpec>()
  /** Up to which index all nodes have followed; default: everything. */
  readonly acked = new Map<string, number>()
  index = 1
  /** Whether a planned row does not fit any more. */
  refuses: (allocation: Allocation) => boolean = () => false
  #allocator = new Allocator()
  readonly #random = seededRandom(5)

  get allocator(): Allocator {
    return this.#allocator
  }

  /** A new leader: it knows what is in the maps only, and when networks last changed. */
  restart(changedIndex = this.index): void {
    this.#allocator = new Allocator()
    const source = {
      networks: this.networks.values(),
      nodes: this.nodes.values(),
      removedNodes: [],
      services: this.services.values(),
      tasks: this.tasks.values(),
    }
    for (const _ of this.#allocator.learn(source, () => changedIndex));
  }

  addSpec(hash: string, facts: TaskSpecFacts): void {
    const record = aSpecRecord(hash, facts)
    this.specs.set(record.hash, record.spec)
  }

  addNetwork(network: Network): void {
    this.networks.set(network.id, network)
    this.#allocator.putNetwork(network)
  }

  dropNetwork(id: string): void {
    this.networks.delete(id)
    this.#allocator.dropNetwork(networkId(id))
  }

  putNode(node: Node): void {
    const before = this.nodes.get(node.id)
    this.nodes.set(node.id, node)
    this.#allocator.putNode(before, node)
  }

  putService(service: Service): void {
    const before = this.services.get(service.id)
    this.index += 1
    this.services.set(service.id, service)
    this.#allocator.changeService(before, service, this.index)
  }

  dropService(service: Service): void {
    this.index += 1
    this.services.delete(service.id)
    this.#allocator.changeService(service, undefined, this.index)
  }

  putTask(task: Task): void {
    const before = this.tasks.get(task.id)
    this.index += 1
    this.tasks.set(task.id, task)
    this.#allocator.changeTask(before, task, this.index)
  }

  dropTask(task: Task): void {
    this.index += 1
    this.tasks.delete(task.id)
    this.#allocator.changeTask(task, undefined, this.index)
  }

  task(id: string): Task {
    const task = [...this.tasks.values()].find((one) => one.id === id)
    if (task === undefined) throw new Error(`there is no task ${id}`)
    return task
  }

  /** Plans and applies until there is nothing to do. Returns how many rows were written. */
  settle(rowsMax = 1_000): number {
    let rows = 0
    for (let rounds = 0; rounds < 10_000; rounds++) {
      const plan = this.#allocator.plan(this.#view(), rowsMax)
      if (plan.length === 0) return rows
      for (const allocation of plan) {
        if (this.refuses(allocation)) this.#allocator.refused(allocation)
        else this.#apply(allocation)
      }
      rows += plan.length
    }
    throw new Error('the allocator never comes to rest')
  }

  /** Who has each address: tasks that have not ended, and services. */
  holders(): ReadonlyMap<string, readonly string[]> {
    const holders = new Map<string, string[]>()
    const add = (who: string, id: string, addresses: readonly string[]): void => {
      for (const address of addresses) {
        const key = `${id} ${address}`
        holders.set(key, [...(holders.get(key) ?? []), who])
      }
    }
    for (const task of this.tasks.values()) {
      if (isTerminal(task.state)) continue
      for (const one of task.attachments) add(task.id, one.networkId, one.addresses)
    }
    for (const { id, endpoint } of this.services.values()) {
      for (const one of endpoint.vips) add(id, one.networkId, one.addresses)
    }
    return holders
  }

  #apply(allocation: Allocation): void {
    switch (allocation.kind) {
      case 'node':
        this.putNode(allocation.node)
        return
      case 'service':
        this.putService(allocation.service)
        return
      case 'task':
        this.putTask(allocation.task)
        return
    }
  }

  #view(): AllocationView {
    return {
      nowMs: 1_000,
      task: (id) => this.tasks.get(id),
      service: (id) => this.services.get(id),
      node: (id) => this.nodes.get(id),
      taskSpec: (hash) => this.specs.get(hash),
      ackedIndex: (id) => this.acked.get(id) ?? Number.POSITIVE_INFINITY,
      random: () => this.#random.float(),
    }
  }
}
