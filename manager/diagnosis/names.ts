// Names of what nodes know by id only. Reads only.
import {
  isServing,
  isTerminal,
  type Node,
  type NodeId,
  type Service,
  type Task,
  TaskState,
  taskStateName,
} from '../../proto/objects/index.ts'
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

/** "2 of 3 tasks serve: web.1 on w1, web.2 on w2; not web.3 (starting)". */
export function servingText(tx: ReadTx, service: Service): string {
  const tasks = [...tx.find('tasks', 'byService', service.id)].filter(
    (task) => !isTerminal(task.state) && task.desiredState <= TaskState.REMOVE,
  )
  const serving = tasks.filter(isServing)
  const others = tasks.filter((task) => !isServing(task))
  const { name } = service.spec
  if (tasks.length === 0) return `service ${name} has no task`
  const serve = serving.map((task) => placedTask(tx, task.id))
  const not = others.map((task) => `${taskName(tx, task)} (${whyNot(task)})`)
  return (
    `service ${name}: ${serving.length} of ${tasks.length} tasks serve` +
    `${serve.length === 0 ? '' : `: ${listed(serve)}`}${not.length === 0 ? '' : `; not ${listed(not)}`}`
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
