// The handlers of the control API over an in-memory store, with managers that are reachable or not as a test likes.

import type { ClusterView } from '../../manager/controlapi/cluster-view.ts'
import { type ControlApi, createControlApi } from '../../manager/controlapi/control-api.ts'
import type { Caller } from '../../manager/rpc/caller.ts'
import { createMemoryStore } from '../../manager/store/memory-store.ts'
import type { Store } from '../../manager/store/store.ts'
import { serviceSpecToProto } from '../../proto/codec/service.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { seededRandom } from '../../proto/lib/random.ts'
import {
  type Cluster,
  type Node,
  type NodeCondition,
  type NodeId,
  nodeId,
  raftId,
  type Task,
  type TaskSpecRecord,
} from '../../proto/objects/index.ts'
import { type ServiceSpecInput, serviceSpec } from '../../proto/spec/service-spec.ts'
import { aCluster, aNode, type NodeFacts } from './objects.ts'

export interface ControlWorld {
  readonly store: Store
  readonly api: ControlApi
  readonly caller: Caller
  readonly signal: AbortSignal
  /** Managers that do not answer. */
  readonly unreachable: Set<string>
  leader: string | undefined
  readBarriers: number
}

export const selfId = 'manager1'.padEnd(25, '0')

/** A cluster with one manager (this one) and nothing in it. */
export async function aControlWorld(): Promise<ControlWorld> {
  const random = seededRandom(7)
  const store = createMemoryStore({ clock: systemClock, random })
  const unreachable = new Set<string>()
  const state = { leader: selfId as string | undefined, readBarriers: 0 }
  const cluster: ClusterView = {
    selfNodeId: () => nodeId(selfId),
    leaderNodeId: () => (state.leader === undefined ? undefined : nodeId(state.leader)),
    readBarrier: async () => {
      state.readBarriers += 1
    },
    reachable: (id) => !unreachable.has(id),
  }
  let tokens = 0
  const api = createControlApi({
    store,
    cluster,
    clock: systemClock,
    random,
    newJoinToken: (rootCertPem) => {
      tokens += 1
      return `SWMTKN-1-${rootCertPem}-${tokens}`
    },
  })
  const object: Cluster = {
    ...aCluster({}),
    rootCaCertPem: 'root',
    rootCaKeyPem: 'secret key',
    workerJoinToken: 'worker token',
    managerJoinToken: 'manager token',
  }
  await store.update((tx) => tx.create('cluster', object))
  const world: ControlWorld = Object.assign(state, {
    store,
    api,
    caller: { kind: 'local-admin', nodeId: nodeId(selfId) } as const,
    signal: new AbortController().signal,
    unreachable,
  })
  await addNode(world, { id: selfId, hostname: 'm1', role: 'manager' })
  return world
}

/** Puts a node into the store; managers are members of Raft. */

/** The node says that this does not work there. */
export async function withConditions(
  world: ControlWorld,
  id: NodeId,
  conditions: readonly NodeCondition[],
): Promise<void> {
  await world.store.update((tx) => {
    const node = tx.get('nodes', id)
    if (node?.description === undefined) throw new Error(`no node ${id}`)
    tx.update('nodes', { ...node, description: { ...node.description, conditions } })
  })
}

export async function addNode(world: ControlWorld, facts: NodeFacts): Promise<Node> {
  const node = aNode(facts)
  const manager = {
    raftId: raftId(node.id),
    address: `${node.address}:2377`,
    raftAddress: 'x:2378',
  }
  return await world.store.update((tx) =>
    tx.create('nodes', { ...node, manager: node.role === 'manager' ? manager : undefined }),
  )
}

export async function addTask(world: ControlWorld, task: Task): Promise<Task> {
  return await world.store.update((tx) => tx.create('tasks', task))
}

export async function addSpec(world: ControlWorld, record: TaskSpecRecord): Promise<void> {
  await world.store.update((tx) => tx.create('taskSpecs', record))
}

export type ServiceWish = Omit<ServiceSpecInput, 'task'> & {
  readonly task?: Partial<Omit<ServiceSpecInput['task'], 'container'>>
  readonly container?: Partial<ServiceSpecInput['task']['container']>
}

/** A spec as a client sends it. */
export function specOf({ container, task, ...wish }: ServiceWish) {
  return serviceSpecToProto(
    serviceSpec.parse({ ...wish, task: { ...task, container: { image: 'nginx', ...container } } }),
  )
}

let requests = 0

/** A request id of its own. */
export function aRequestId(): string {
  requests += 1
  return `request-${requests}`
}

/** Creates a service and returns it as the API answers. */
export async function createService(world: ControlWorld, wish: ServiceWish) {
  const { service } = await world.api.createService(
    world.caller,
    { requestId: aRequestId(), spec: specOf(wish) },
    world.signal,
  )
  if (service === undefined) throw new Error('no service')
  return service
}

/** All messages of a list. */
export async function collect<T>(messages: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = []
  for await (const message of messages) all.push(message)
  return all
}
