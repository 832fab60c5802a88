// Who a user means by the source and the destination of a trace. Reads only.
import { hasCode, SwarmError } from '../../proto/errors.ts'
import {
  type EndpointProtocol,
  isServing,
  type Node,
  type NodeId,
  type Service,
  type Task,
  TaskState,
  taskStateName,
} from '../../proto/objects/index.ts'
import { formatIp, parseIp } from '../../proto/spec/ip.ts'
import { findNode, findService, findTask } from '../controlapi/lookup.ts'
import { taskName } from '../controlapi/views.ts'
import type { ReadTx } from '../store/store.ts'
import { taskAt } from './names.ts'

export type TraceSource =
  | { readonly kind: 'task'; readonly task: Task; readonly node: Node; readonly name: string }
  | { readonly kind: 'node'; readonly node: Node }
  /** Something outside of the cluster. */
  | { readonly kind: 'outside'; readonly address: string }

/** Errors: NOT_FOUND, AMBIGUOUS, FAILED_PRECONDITION (a task that does not run). */
export function findSource(tx: ReadTx, reference: string, selfId: NodeId): TraceSource {
  const address = parseIp(reference)
  if (address !== undefined) return sourceAt(tx, formatIp(address))
  const [node] = tx.find('nodes', 'byName', reference.toLowerCase())
  if (node !== undefined || reference === 'self') {
    return { kind: 'node', node: findNode(tx, reference, selfId) }
  }
  const service = found(() => findService(tx, reference))
  if (service !== undefined && service.spec.name === reference) return taskOfService(tx, service)
  const task = found(() => findTask(tx, reference))
  if (task !== undefined) return taskSource(tx, task)
  const byId = found(() => findNode(tx, reference, selfId))
  if (byId !== undefined) return { kind: 'node', node: byId }
  throw new SwarmError(
    'NOT_FOUND',
    `no such task, service or node: ${reference}: see "tsswarm service ps" and "tsswarm node ls", or give the address of a container`,
  )
}

function sourceAt(tx: ReadTx, address: string): TraceSource {
  const task = taskAt(tx, address)
  if (task !== undefined) return taskSource(tx, task)
  const node = nodeAt(tx, address)
  return node === undefined ? { kind: 'outside', address } : { kind: 'node', node }
}

export function nodeAt(tx: ReadTx, address: string): Node | undefined {
  for (const node of tx.all('nodes')) {
    if (node.address === address || node.description?.dataPathAddress === address) return node
  }
  return undefined
}

function taskOfService(tx: ReadTx, service: Service): TraceSource {
  for (const task of tx.find('tasks', 'byService', service.id)) {
    if (isServing(task)) return taskSource(tx, task)
  }
  const text = `no task of service ${service.spec.name} runs: a trace begins at a running container. See "tsswarm service ps ${service.spec.name}"`
  throw new SwarmError('FAILED_PRECONDITION', text)
}

function taskSource(tx: ReadTx, task: Task): TraceSource {
  const name = taskName(tx, task)
  const node = task.nodeId === undefined ? undefined : tx.get('nodes', task.nodeId)
  if (node === undefined || task.state !== TaskState.RUNNING) {
    const text = `task ${name} does not run (${taskStateName(task.state)}): a trace begins at a running container`
    throw new SwarmError('FAILED_PRECONDITION', text)
  }
  return { kind: 'task', task, node, name }
}

/** What is there under that name; undefined: nothing. Errors: AMBIGUOUS, INVALID_ARGUMENT. */
export function found<T>(find: () => T): T | undefined {
  try {
    return find()
  } catch (err) {
    if (hasCode(err, 'NOT_FOUND')) return undefined
    throw err
  }
}

export interface Destination {
  /** A name, a reference or an address; empty: the source's node. */
  readonly host: string
  /** 0: none. */
  readonly port: number
  /** Undefined: not said here. */
  readonly protocol?: EndpointProtocol
}

const protocols: readonly EndpointProtocol[] = ['tcp', 'udp', 'sctp']

/** Errors: INVALID_ARGUMENT. */
export function protocolNamed(text: string): EndpointProtocol {
  const protocol = protocols.find((one) => one === text)
  if (protocol !== undefined) return protocol
  const message = `protocol "${text}" cannot be traced: it is tcp, udp or sctp`
  throw new SwarmError('INVALID_ARGUMENT', message)
}

/** "web:80/udp" and what is below with a protocol behind its port. Errors: INVALID_ARGUMENT. */
export function parseDestination(text: string): Destination {
  const [, end, name] = /^(.*:\d+)\/(.*)$/.exec(text) ?? []
  if (end === undefined || name === undefined) return parseEnd(text)
  return { ...parseEnd(end), protocol: protocolNamed(name) }
}

/** "web", "web:80", "10.0.1.2", "10.0.1.2:80", "[fd00::2]:80", "fd00::2", ":8080". Errors: INVALID_ARGUMENT. */
function parseEnd(text: string): Destination {
  if (parseIp(text) !== undefined) return { host: text, port: 0 }
  const [, bracketed, named = '', digits] =
    /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(text) ?? []
  const host = bracketed ?? named
  const port = digits === undefined ? 0 : Number(digits)
  const isAddress = bracketed === undefined || parseIp(bracketed) !== undefined
  const isPort = digits === undefined || (port >= 1 && port <= 65_535)
  if (isAddress && isPort && (host !== '' || port > 0)) return { host, port }
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `destination "${text}" is none: give NAME, NAME:PORT, ADDRESS, ADDRESS:PORT, [IPv6]:PORT, or :PORT for a published port of the source's node, each PORT with /udp or /sctp where it is not of TCP`,
  )
}
