// Gives tasks and services their addresses, and nodes their paths. Is told every change, keeps what is given and who waits, and
// returns what to write; whoever runs it writes, and says what was refused. Addresses of ended tasks are given again oldest
// first, and only after every node that holds the network has followed the commit that freed them.
import {
  clusterNetworks,
  isActive,
  isTerminal,
  type Network,
  type NetworkAddresses,
  type NetworkId,
  type Node,
  type NodeId,
  needsAddresses,
  networkId,
  type RemovedNode,
  type Service,
  type ServiceId,
  type SpecHash,
  type Task,
  type TaskId,
  TaskState,
} from '../../proto/objects/index.ts'
import type { TaskSpec } from '../../proto/spec/service-spec.ts'
import { isAsking, planConnections } from './connections.ts'
import { NetworkState } from './network-state.ts'
import { NodePaths } from './node-paths.ts'

/** The cluster as of now. */
export interface AllocationView {
  readonly nowMs: number
  readonly task: (id: TaskId) => Task | undefined
  readonly service: (id: ServiceId) => Service | undefined
  readonly node: (id: NodeId) => Node | undefined
  readonly taskSpec: (hash: SpecHash) => TaskSpec | undefined
  /** Up to which Raft index every node that holds the network has followed. */
  readonly ackedIndex: (id: NetworkId) => number
  /** In [0, 1). */
  readonly random: () => number
}

/** One row to write, under the version it has. */
export type Allocation =
  | { readonly kind: 'node'; readonly node: Node }
  | {
      readonly kind: 'service'
      readonly service: Service
      readonly taken: readonly NetworkAddresses[]
    }
  | { readonly kind: 'task'; readonly task: Task; readonly taken: readonly NetworkAddresses[] }

export interface AllocationSource {
  readonly networks: Iterable<Network>
  readonly nodes: Iterable<Node>
  readonly removedNodes: Iterable<RemovedNode>
  readonly services: Iterable<Service>
  readonly tasks: Iterable<Task>
}

type AllNetworks =
  | { readonly kind: 'all'; readonly states: readonly NetworkState[] }
  | { readonly kind: 'missing'; readonly why: string }

type AllGiven =
  | { readonly kind: 'given'; readonly addresses: readonly NetworkAddresses[] }
  | Lacking

interface Lacking {
  readonly kind: 'none'
  readonly why: string
  /** The network that has none; undefined: it is not there. */
  readonly at: NetworkState | undefined
}

const none: readonly NetworkAddresses[] = []
const sliceRows = 5_000

export class Allocator {
  readonly #networks = new Map<NetworkId, NetworkState>()
  readonly #paths = new NodePaths()
  readonly #nodes = new Set<NodeId>()
  readonly #services = new Set<ServiceId>()
  readonly #tasks = new Set<TaskId>()
  /** Running tasks that were connected to a network. */
  readonly #asking = new Set<TaskId>()
  /** Tasks whose network is not there; a new network makes them be looked at again. */
  readonly #lost = new Set<TaskId>()
  /** Where tasks wait for an address. */
  readonly #blockedAt = new Map<TaskId, NetworkState>()
  /** Services without a VIP: their tasks wait too. */
  readonly #blockedServices = new Map<ServiceId, Lacking>()

  putNode(before: Node | undefined, node: Node): void {
    if (node.path === undefined) this.#nodes.add(node.id)
    else {
      this.#nodes.delete(node.id)
      if (before?.path === undefined) this.#paths.claim(node.path)
    }
  }

  /**
   * Everything there is at the beginning; yields now and then. `changedIndex`: the Raft index at which the network last
   * changed, or a later one: who has followed that leads to nothing that is free now.
   */
  *learn(source: AllocationSource, changedIndex: (id: NetworkId) => number): Generator<void> {
    for (const network of source.networks) {
      this.#networks.set(network.id, new NetworkState(network, changedIndex(network.id)))
    }
    for (const node of source.nodes) this.putNode(undefined, node)
    for (const { mark } of source.removedNodes) this.#paths.keep(mark)
    for (const service of source.services) {
      this.#learn(service.endpoint.vips, service.createdAtMs)
      this.#lookAtService(service)
    }
    let rows = 0
    for (const task of source.tasks) {
      this.#learn(heldBy(task), task.createdAtMs)
      if (isWaiting(task)) this.#tasks.add(task.id)
      if (isAsking(task)) this.#asking.add(task.id)
      rows += 1
      if (rows % sliceRows === 0) yield
    }
  }

  dropNode(node: Node): void {
    this.#nodes.delete(node.id)
    if (node.path !== undefined) this.#paths.release(node.path)
  }

  /** A removed node's mark is kept until it is forgotten. */
  changeRemovedNode({ mark }: RemovedNode, isForgotten: boolean): void {
    if (isForgotten) this.#paths.free(mark)
    else this.#paths.keep(mark)
  }

  putNetwork(network: Network): void {
    if (this.#networks.has(network.id)) return
    this.#networks.set(network.id, new NetworkState(network, 0))
    for (const id of this.#lost) this.#tasks.add(id)
    this.#lost.clear()
  }

  dropNetwork(id: NetworkId): void {
    const state = this.#networks.get(id)
    if (state === undefined) return
    this.#networks.delete(id)
    for (const task of state.blockedTasks) {
      this.#unblockTask(task)
      this.#tasks.add(task)
    }
    for (const service of state.blockedServices) this.#unblock(service)
  }

  /** `atIndex`: of the commit. */
  changeService(before: Service | undefined, after: Service | undefined, atIndex: number): void {
    this.#move(before?.endpoint.vips ?? none, after?.endpoint.vips ?? none, atIndex)
    if (after !== undefined) this.#lookAtService(after)
    else if (before !== undefined) {
      this.#unblock(before.id)
      this.#services.delete(before.id)
    }
  }

  /** `atIndex`: of the commit. */
  changeTask(before: Task | undefined, after: Task | undefined, atIndex: number): void {
    // Nodes hear of a task's addresses when it has a node: before that nobody has to let go of them.
    const wasTold = before?.nodeId !== undefined || after?.nodeId !== undefined
    this.#move(heldBy(before), heldBy(after), wasTold ? atIndex : 0)
    if (after !== undefined && isAsking(after)) this.#asking.add(after.id)
    const wasWaiting = before !== undefined && isWaiting(before)
    if (after !== undefined && isWaiting(after)) {
      if (!wasWaiting) this.#tasks.add(after.id)
    } else if (wasWaiting) this.#forgetTask(before.id)
  }

  /** What to write now, at most so many rows. Call again until there is nothing. */
  plan(view: AllocationView, rowsMax: number): readonly Allocation[] {
    const plan: Allocation[] = []
    this.#planNodes(view, plan, rowsMax)
    this.#wakeServices(view)
    for (const id of this.#services) {
      if (plan.length >= rowsMax) break
      this.#services.delete(id)
      this.#planService(id, view, plan)
    }
    this.#planAsking(view, plan, rowsMax)
    this.#planBlocked(view, plan, rowsMax)
    for (const id of this.#tasks) {
      if (plan.length >= rowsMax) break
      this.#tasks.delete(id)
      this.#planTask(id, view, plan)
    }
    return plan
  }

  /** It was not written: the row changed meanwhile, or is gone. */
  refused(allocation: Allocation): void {
    switch (allocation.kind) {
      case 'node':
        if (allocation.node.path !== undefined) this.#paths.release(allocation.node.path)
        this.#nodes.add(allocation.node.id)
        return
      case 'service':
        this.#giveBack(allocation.taken)
        this.#services.add(allocation.service.id)
        return
      case 'task':
        this.#giveBack(allocation.taken)
        this.#forgetTask(allocation.task.id)
        this.#tasks.add(allocation.task.id)
        this.#asking.add(allocation.task.id)
        return
    }
  }

  #planNodes(view: AllocationView, plan: Allocation[], rowsMax: number): void {
    for (const id of this.#nodes) {
      if (plan.length >= rowsMax) return
      this.#nodes.delete(id)
      const node = view.node(id)
      if (node === undefined || node.path !== undefined) continue
      const path = this.#paths.give(view.random)
      if (path !== undefined) plan.push({ kind: 'node', node: { ...node, path } })
    }
  }

  #wakeServices(view: AllocationView): void {
    for (const state of this.#networks.values()) {
      if (state.blockedServices.size === 0) continue
      if (!state.hasNext(view.ackedIndex(state.network.id))) continue
      for (const id of state.blockedServices) this.#unblock(id)
    }
  }

  /** Tasks that wait, as many as can be served: a freed address does not cost a look at all of them. */
  /** What is freed soon is waited for. */
  #planAsking(view: AllocationView, plan: Allocation[], rowsMax: number): void {
    for (const id of [...this.#asking]) {
      if (plan.length >= rowsMax) return
      this.#asking.delete(id)
      const task = view.task(id)
      if (task === undefined || !isAsking(task)) continue
      const planned = planConnections(task, this.#networks, view.ackedIndex)
      if (planned.isWaiting) this.#asking.add(id)
      if (planned.task === undefined) continue
      plan.push({ kind: 'task', task: planned.task, taken: planned.taken })
    }
  }

  #planBlocked(view: AllocationView, plan: Allocation[], rowsMax: number): void {
    for (const state of this.#networks.values()) {
      let left = state.blockedTasks.size
      for (const id of state.blockedTasks) {
        if (plan.length >= rowsMax) return
        // One that is blocked again comes last.
        if (left === 0) break
        left -= 1
        if (!state.hasNext(view.ackedIndex(state.network.id))) break
        this.#unblockTask(id)
        this.#planTask(id, view, plan)
      }
    }
  }

  #planService(id: ServiceId, view: AllocationView, plan: Allocation[]): void {
    const service = view.service(id)
    if (service === undefined) return
    const networks = this.#networksOf(service.spec.task)
    if (networks.kind === 'missing') return
    const wanted = service.spec.endpointMode === 'vip' ? networks.states : []
    const kept = service.endpoint.vips.filter((vip) =>
      wanted.some(({ network }) => network.id === vip.networkId),
    )
    const lacking = wanted.filter(
      ({ network }) => !kept.some(({ networkId: known }) => known === network.id),
    )
    const given = giveOfAll(lacking, view)
    if (given.kind === 'none') {
      this.#blockedServices.set(id, given)
      given.at?.blockedServices.add(id)
      return
    }
    if (lacking.length === 0 && kept.length === service.endpoint.vips.length) return
    const vips = [...kept, ...given.addresses]
    const changed = { ...service, endpoint: { ...service.endpoint, vips } }
    plan.push({ kind: 'service', service: changed, taken: given.addresses })
  }

  #planTask(id: TaskId, view: AllocationView, plan: Allocation[]): void {
    const task = view.task(id)
    if (task === undefined || !isWaiting(task)) return
    const given = this.#addressesFor(task, view)
    if (given.kind === 'given') {
      const taken = given.addresses
      plan.push({ kind: 'task', task: ready(task, taken, view.nowMs), taken })
      return
    }
    if (given.at === undefined) this.#lost.add(id)
    else {
      this.#blockedAt.set(id, given.at)
      given.at.blockedTasks.add(id)
    }
    // It stays new, and says why.
    if (task.err !== given.why) {
      plan.push({ kind: 'task', task: { ...task, err: given.why }, taken: none })
    }
  }

  #addressesFor(task: Task, view: AllocationView): AllGiven {
    const spec = view.taskSpec(task.specHash)
    if (spec === undefined) return { kind: 'given', addresses: none }
    const networks = this.#networksOf(spec)
    if (networks.kind === 'missing') return { kind: 'none', why: networks.why, at: undefined }
    return this.#blockedServices.get(task.serviceId) ?? giveOfAll(networks.states, view)
  }

  #networksOf(spec: TaskSpec): AllNetworks {
    const states: NetworkState[] = []
    if (spec.ports.some(({ mode }) => mode === 'ingress')) {
      const ingress = [...this.#networks.values()].find(({ network }) => network.spec.isIngress)
      if (ingress === undefined) return { kind: 'missing', why: 'there is no ingress network' }
      states.push(ingress)
    }
    for (const { target } of clusterNetworks(spec)) {
      const state = this.#networks.get(networkId(target))
      if (state === undefined) return { kind: 'missing', why: `network ${target} does not exist` }
      if (!states.includes(state)) states.push(state)
    }
    return { kind: 'all', states }
  }

  /** Only services that have or may need VIPs. */
  #lookAtService(service: Service): void {
    const { endpoint, spec } = service
    if (endpoint.vips.length === 0 && !needsAddresses(spec.task)) return
    this.#unblock(service.id)
    this.#services.add(service.id)
  }

  #unblockTask(id: TaskId): void {
    this.#blockedAt.get(id)?.blockedTasks.delete(id)
    this.#blockedAt.delete(id)
  }

  #unblock(id: ServiceId): void {
    const blocked = this.#blockedServices.get(id)
    if (blocked === undefined) return
    this.#blockedServices.delete(id)
    blocked.at?.blockedServices.delete(id)
    this.#services.add(id)
  }

  #forgetTask(id: TaskId): void {
    this.#tasks.delete(id)
    this.#lost.delete(id)
    this.#unblockTask(id)
  }

  #learn(addresses: readonly NetworkAddresses[], createdAtMs: number): void {
    for (const one of addresses) {
      this.#networks.get(one.networkId)?.learn(one.addresses, createdAtMs)
    }
  }

  #giveBack(taken: readonly NetworkAddresses[]): void {
    for (const one of taken) this.#networks.get(one.networkId)?.giveBack(one.addresses)
  }

  /** What is only before is free, what is only after is taken. */
  #move(
    before: readonly NetworkAddresses[],
    after: readonly NetworkAddresses[],
    atIndex: number,
  ): void {
    if (before.length === 0 && after.length === 0) return
    for (const one of before) {
      if (!after.some((other) => isSame(one, other))) {
        this.#networks.get(one.networkId)?.release(one.addresses, atIndex)
      }
    }
    for (const one of after) this.#networks.get(one.networkId)?.claim(one.addresses)
  }
}

function isWaiting(task: Task): boolean {
  return task.state === TaskState.NEW && task.nodeId === undefined && isActive(task)
}

/** What is the task's own: until it has ended, or is not wanted any more before it had a node. */
function heldBy(task: Task | undefined): readonly NetworkAddresses[] {
  if (task === undefined || task.attachments.length === 0 || isTerminal(task.state)) return none
  return task.nodeId === undefined && !isActive(task) ? none : task.attachments
}

/** Of every network, or of none. */
function giveOfAll(states: readonly NetworkState[], view: AllocationView): AllGiven {
  const addresses: NetworkAddresses[] = []
  for (const state of states) {
    const given = state.give(view.ackedIndex(state.network.id))
    if (given.kind === 'given') {
      addresses.push(given.addresses)
      continue
    }
    for (const [i, one] of addresses.entries()) states[i]?.giveBack(one.addresses)
    return { kind: 'none', why: given.why, at: state }
  }
  return { kind: 'given', addresses }
}

function ready(task: Task, attachments: readonly NetworkAddresses[], nowMs: number): Task {
  return {
    ...task,
    state: TaskState.PENDING,
    stateAtMs: nowMs,
    appliedAtMs: nowMs,
    message: 'pending task scheduling',
    err: '',
    attachments,
  }
}

function isSame(a: NetworkAddresses, b: NetworkAddresses): boolean {
  if (a.networkId !== b.networkId || a.addresses.length !== b.addresses.length) return false
  return a.addresses.every((address, i) => address === b.addresses[i])
}
