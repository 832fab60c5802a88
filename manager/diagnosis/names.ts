// Names of what nodes know by id only. Reads only.
import {
  isServing,
  isTerminal,
  type Network,
  type Node,
  type NodeId,
  type Service,
  type Task,
  TaskState,
  taskStateName,
} from '../../proto/objects/index.ts'
import { ipInRange, parseIpRange } from '../../proto/spec/ip.ts'
import { isLocalNetwork } from '../../proto/spec/network-spec.ts'
import { taskName } from '../controlapi/views.ts'
import type { ReadTx } from '../store/store.ts'

export function hostName(node: Node): string {
  return node.description?.hostname || node.id
}

/** A node that is gone is known by its id alone. */
export function nodeName(tx: ReadTx, id: NodeId | string): string {
  const node = tx.get('nodes', id)
  return node === undefined ? id : hostName(node)
}

/** "web.3 on w1"; undefined: there is no such task (any more). */
export function placedTask(tx: ReadTx, id: string): string | undefined {
  const task = tx.get('tasks', id)
  if (task === undefined) return undefined
  return `${taskName(tx, task)}${task.nodeId === undefined ? '' : ` on ${nodeName(tx, task.nodeId)}`}`
}

export function networkName(tx: ReadTx, id: string): string {
  return tx.get('networks', id)?.spec.name ?? id
}

/** The task that has the address; of several that had it one after another, the one that did not end. */
export function taskAt(tx: ReadTx, address: string): Task | undefined {
  let found: Task | undefined
  for (const task of tx.all('tasks')) {
    if (isTerminal(task.state)) continue
    if (task.attachments.some((one) => one.addresses.includes(address))) found = task
  }
  return found
}

/** The service whose virtual address it is. */
export function serviceAt(tx: ReadTx, address: string): Service | undefined {
  for (const service of tx.all('services')) {
    if (service.endpoint.vips.some((one) => one.addresses.includes(address))) return service
  }
  return undefined
}

/** The network whose subnet the address is of. */
export function networkAt(tx: ReadTx, address: string): Network | undefined {
  for (const network of tx.all('networks')) {
    const isOf = network.subnets.some(({ subnet }) => {
      const range = parseIpRange(subnet)
      return range !== undefined && ipInRange(range, address)
    })
    if (isOf) return network
  }
  return undefined
}

/** Why nobody there answers at the address, or by the name of the service: they are on other nodes. Undefined: not for that. */
export function whyElsewhere(
  tx: ReadTx,
  node: Node,
  { network, task, service }: Elsewhere,
): string | undefined {
  if (network === undefined || !isLocalNetwork(network.spec)) return undefined
  const local = `network ${network.spec.name} is local to each node`
  if (task?.nodeId !== undefined && task.nodeId !== node.id) {
    const there = `${taskName(tx, task)} is on ${nodeName(tx, task.nodeId)}`
    return `${local}: ${there}, and the packet ends on ${hostName(node)}`
  }
  if (service === undefined || tasksOf(tx, service, node).length > 0) return undefined
  return `${local}, and ${hostName(node)} has no task of service ${service.spec.name}`
}

export interface Elsewhere {
  readonly network: Network | undefined
  readonly task?: Task | undefined
  readonly service?: Service | undefined
}

/** The service that publishes the port on every node. */
export function serviceOfPort(
  tx: ReadTx,
  protocol: string,
  publishedPort: number,
): Service | undefined {
  for (const service of tx.all('services')) {
    const ports = service.endpoint.ports
    if (ports.some((one) => one.protocol === protocol && one.publishedPort === publishedPort)) {
      return service
    }
  }
  return undefined
}

/** "2 of 3 tasks serve: web.1 on w1, web.2 on w2; not web.3 (starting)". `only`: of that node, on a network that is local. */
export function servingText(tx: ReadTx, service: Service, only?: OnlyAt): string {
  const tasks = tasksOf(tx, service, only?.node)
  const serving = tasks.filter(isServing)
  const others = tasks.filter((task) => !isServing(task))
  const where =
    only === undefined
      ? ''
      : ` on ${hostName(only.node)}, as network ${only.network.spec.name} is local to each node`
  const name = `${service.spec.name}${where}`
  if (tasks.length === 0) return `service ${name} has no task`
  const serve = serving.map((task) => placedTask(tx, task.id))
  const not = others.map((task) => `${taskName(tx, task)} (${whyNot(task)})`)
  return (
    `service ${name}: ${serving.length} of ${tasks.length} tasks serve` +
    `${serve.length === 0 ? '' : `: ${listed(serve)}`}${not.length === 0 ? '' : `; not ${listed(not)}`}`
  )
}

export interface OnlyAt {
  readonly node: Node
  readonly network: Network
}

function tasksOf(tx: ReadTx, { id }: Service, node: Node | undefined): readonly Task[] {
  return [...tx.find('tasks', 'byService', id)].filter(
    (task) =>
      !isTerminal(task.state) &&
      task.desiredState <= TaskState.REMOVE &&
      (node === undefined || task.nodeId === node.id),
  )
}

function whyNot({ state, desiredState, health, err, message, nodeId }: Task): string {
  if (desiredState <= TaskState.COMPLETE && health?.state === 'unhealthy') return 'it is unhealthy'
  if (state === TaskState.RUNNING) return 'it is to stop'
  if (desiredState > TaskState.COMPLETE) return `${taskStateName(state)}, and to stop`
  const isProbed = state === TaskState.STARTING && health?.state === 'starting'
  const probed = isProbed ? 'not healthy yet' : ''
  const why = err || (nodeId === undefined ? message : probed)
  return `${taskStateName(state)}${why === '' ? '' : `: ${why}`}`
}

const listedMax = 10

function listed(texts: readonly (string | undefined)[]): string {
  const shown = texts.slice(0, listedMax).join(', ')
  return texts.length > listedMax ? `${shown} and ${texts.length - listedMax} more` : shown
}
