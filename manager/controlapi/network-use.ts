// What of the store is on a network: which services and tasks, and how many of its addresses are theirs.
import {
  type Connection,
  isActive,
  isTerminal,
  type Network,
  type NetworkId,
  type Service,
  type Task,
} from '../../proto/objects/index.ts'
import { AddressPool } from '../allocator/address-pool.ts'
import { connectedTasks, networksOfSpec } from '../overlay/network-views.ts'
import type { ReadTx } from '../store/store.ts'
import { taskName } from './views.ts'

/** Services whose present spec has it. O(task specs + these services). */
export function servicesOn(tx: ReadTx, network: Network): readonly Service[] {
  return specsOn(tx, network).flatMap((hash) => [...tx.find('services', 'bySpec', hash)])
}

/** Tasks that are on it or are going to be, and have not ended. O(task specs + tasks with these specs). */
export function* tasksOn(tx: ReadTx, network: Network): Iterable<Task> {
  for (const task of connectedTasks(tx, network.id)) if (!isTerminal(task.state)) yield task
  for (const hash of specsOn(tx, network)) {
    for (const task of tx.find('tasks', 'bySpec', hash)) {
      const isConnected = connectionOf(task, network) !== undefined
      if (isTerminal(task.state) || isConnected) continue
      if (task.nodeId !== undefined || isActive(task)) yield task
    }
  }
}

/** Undefined: it is on it by its spec, or not at all. */
export function connectionOf({ attachments }: Task, { id }: Network): Connection | undefined {
  return attachments.find((one) => one.networkId === id)?.connection
}

export interface NetworkUse {
  readonly services: readonly Service[]
  readonly tasks: number
  /** Of each subnet, in the order of the network's. */
  readonly pools: readonly {
    readonly subnet: string
    readonly used: number
    readonly size: number
  }[]
}

/** O(task specs + what is on it). */
export function useOf(tx: ReadTx, network: Network): NetworkUse {
  const pools = network.subnets.map((subnet) => new AddressPool(subnet, 0))
  const claim = (given: Task['attachments']): boolean => {
    const own = given.find(({ networkId }) => networkId === network.id)
    for (const address of own?.addresses ?? []) for (const pool of pools) pool.claim(address)
    return own !== undefined
  }
  let tasks = 0
  for (const task of tasksOn(tx, network)) if (claim(task.attachments)) tasks += 1
  const services = servicesOn(tx, network)
  for (const { endpoint } of services) claim(endpoint.vips)
  const uses = pools.map(({ subnet, used, usedOutside, size }) => ({
    subnet: subnet.subnet,
    used: used + usedOutside,
    size: size + usedOutside,
  }))
  return { services, tasks, pools: uses }
}

/** Who uses it, in words; undefined: nobody. */
export function userOf(tx: ReadTx, network: Network): string | undefined {
  const [service] = servicesOn(tx, network)
  if (service !== undefined) return `service "${service.spec.name}"`
  for (const task of tasksOn(tx, network)) {
    const isConnected = connectionOf(task, network) !== undefined
    const how = isConnected ? 'was connected to it' : 'has not stopped yet'
    return `task ${taskName(tx, task)}, which ${how}`
  }
  return undefined
}

function specsOn(tx: ReadTx, { id, spec: { isIngress } }: Network): readonly string[] {
  const ingress: NetworkId | undefined = isIngress ? id : undefined
  const hashes: string[] = []
  for (const { hash, spec } of tx.all('taskSpecs')) {
    if (networksOfSpec(spec, ingress).has(id)) hashes.push(hash)
  }
  return hashes
}
