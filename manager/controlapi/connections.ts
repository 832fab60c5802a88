// ConnectNetwork and DisconnectNetwork: what a running task is connected to beside the networks of its spec. They write the
// wish; addresses are the allocator's, the interface is made by the task's node, and the task's attachment says how far it is.
import { type ErrorCode, SwarmError } from '../../proto/errors.ts'
import type {
  ConnectNetworkRequest,
  ConnectNetworkResponse,
  DisconnectNetworkRequest,
} from '../../proto/gen/tsswarm/v1/control.ts'
import {
  type Connection,
  connectionsLevel,
  isToRun,
  localNetworksLevel,
  type Network,
  type NetworkAddresses,
  type Task,
  type TaskAttachment,
  TaskState,
  taskStateName,
} from '../../proto/objects/index.ts'
import { isLocalNetwork } from '../../proto/spec/network-spec.ts'
import { predefinedOf } from '../../proto/spec/predefined-networks.ts'
import { serviceName } from '../../proto/spec/text.ts'
import { checkWished } from '../allocator/wished-addresses.ts'
import type { ReadTx, Tx } from '../store/store.ts'
import { theCluster } from '../the-cluster.ts'
import type { ControlApi, ControlDeps } from './control-api.ts'
import { findNetwork, findTask } from './lookup.ts'
import { connectionOf, servicesOn, tasksOn } from './network-use.ts'
import { nodeLabel, taskName } from './views.ts'
import { repeatable } from './writing.ts'

type ConnectionHandlers = Pick<ControlApi, 'connectNetwork' | 'disconnectNetwork'>

/** Interfaces of one container, and names of one interface. */
const networksMax = 64
const aliasesMax = 64

export function connectionHandlers({ store }: ControlDeps): ConnectionHandlers {
  return {
    connectNetwork: async (_, request) => {
      const ids = await store.update(
        (tx) => connect(tx, request),
        repeatable(request.requestId, 'ConnectNetwork'),
      )
      return fromIds(ids)
    },
    disconnectNetwork: async (_, request) => {
      const ids = await store.update(
        (tx) => disconnect(tx, request),
        repeatable(request.requestId, 'DisconnectNetwork'),
      )
      return fromIds(ids)
    },
  }
}

/** A repeated request is answered with the text that it was answered with first. */
function toIds({ id: network }: Network, { id: task }: Task): string {
  return `${network} ${task}`
}

function fromIds(ids: string): ConnectNetworkResponse {
  const [networkId = '', taskId = ''] = ids.split(' ')
  return { networkId, taskId }
}

/**
 * Returns the ids. Errors: NOT_FOUND, AMBIGUOUS, FAILED_PRECONDITION, INVALID_ARGUMENT naming task, network, reason and
 * remedy.
 */
function connect(tx: Tx, request: ConnectNetworkRequest): string {
  const { task, network } = subjectsOf(tx, request)
  const refuse = refusal(tx, task, `cannot be connected to network "${network.spec.name}"`)
  requireAttachable(network, refuse)
  requireRunning(task, refuse)
  requireKnown(tx, task, network, refuse)
  requireOwnStack(tx, task, refuse)
  requireNew(task, network, refuse)
  const others = task.attachments.filter(({ networkId }) => networkId !== network.id)
  if (others.length >= networksMax) {
    throw refuse('FAILED_PRECONDITION', `: it is on ${networksMax} networks, and no task on more`)
  }
  const wish = checkWished(network, request.addresses, (address) => holderOf(tx, network, address))
  if (wish.kind === 'refused') throw refuse('INVALID_ARGUMENT', `: address ${wish.reason}`)
  const connection: Connection = {
    phase: 'asked',
    aliases: namesOf(tx, task, checkAliases(request.aliases, refuse)),
    wished: wish.addresses,
    err: '',
  }
  const attachments = [...others, { networkId: network.id, addresses: [], connection }]
  tx.update('tasks', { ...task, attachments })
  return toIds(network, task)
}

/** Returns the ids. Errors: NOT_FOUND, AMBIGUOUS, FAILED_PRECONDITION naming task, network, reason and remedy. */
function disconnect(tx: Tx, request: DisconnectNetworkRequest): string {
  const { task, network } = subjectsOf(tx, request)
  const refuse = refusal(tx, task, `cannot be disconnected from network "${network.spec.name}"`)
  const attachment = task.attachments.find(({ networkId }) => networkId === network.id)
  if (attachment === undefined || task.state > TaskState.RUNNING) {
    throw refuse('FAILED_PRECONDITION', ': it is not connected to it')
  }
  const { connection } = attachment
  if (connection === undefined) {
    const service = tx.get('services', task.serviceId)?.spec.name ?? task.serviceId
    throw refuse(
      'FAILED_PRECONDITION',
      `: its service is on it. Take that off with "tsswarm service update --network-rm ${network.spec.name} ${service}"`,
    )
  }
  const next = afterDisconnect(attachment, connection, request.force)
  const attachments = task.attachments.flatMap((one) => (one === attachment ? next : [one]))
  tx.update('tasks', { ...task, attachments })
  return toIds(network, task)
}

/** What no node can know of is gone at once. */
function afterDisconnect(
  attachment: NetworkAddresses,
  connection: Connection,
  isForced: boolean,
): readonly TaskAttachment[] {
  if (attachment.addresses.length === 0) return []
  const isDrained = isForced || connection.phase === 'drained'
  return [
    { ...attachment, connection: { ...connection, phase: isDrained ? 'drained' : 'leaving' } },
  ]
}

interface Subjects {
  readonly task: Task
  readonly network: Network
}

function subjectsOf(
  tx: ReadTx,
  request: { readonly network: string; readonly task: string },
): Subjects {
  const { featureLevel } = theCluster(tx)
  if (featureLevel < connectionsLevel) {
    throw new SwarmError(
      'FAILED_PRECONDITION',
      `tasks cannot be connected to networks: the cluster is at feature level ${featureLevel}, and that came with ` +
        `${connectionsLevel}. Upgrade tsswarm on all managers; the cluster moves on by itself`,
      { details: { featureLevel } },
    )
  }
  const task = findTask(tx, request.task)
  const predefined = predefinedOf(request.network)
  if (predefined !== undefined) {
    throw refusal(
      tx,
      task,
      `cannot be connected to or disconnected from network "${predefined.name}"`,
    )(
      'FAILED_PRECONDITION',
      ': it is predefined, and tasks are on it by their service alone. Name an attachable network',
    )
  }
  return { task, network: findNetwork(tx, request.network) }
}

type Refuse = (code: ErrorCode, why: string) => SwarmError

function refusal(tx: ReadTx, task: Task, what: string): Refuse {
  return (code, why) =>
    new SwarmError(code, `task "${taskName(tx, task)}" ${what}${why}`, {
      details: { taskId: task.id },
    })
}

function requireAttachable({ spec }: Network, refuse: Refuse): void {
  if (spec.isIngress) {
    throw refuse(
      'FAILED_PRECONDITION',
      ': it is the ingress network, which is for published ports alone',
    )
  }
  if (spec.isAttachable) return
  throw refuse(
    'FAILED_PRECONDITION',
    `: network "${spec.name}" is not attachable. Make one with "tsswarm network create --attachable NAME"`,
  )
}

function requireRunning(task: Task, refuse: Refuse): void {
  if (task.state !== TaskState.RUNNING || !isToRun(task)) {
    const is =
      task.state === TaskState.RUNNING
        ? 'it is being stopped'
        : `it is ${taskStateName(task.state)}`
    throw refuse('FAILED_PRECONDITION', `: ${is}, and only a running task can be`)
  }
}

/** By its node. */
function requireKnown(tx: ReadTx, task: Task, { spec }: Network, refuse: Refuse): void {
  const isLocal = isLocalNetwork(spec)
  const level = isLocal ? localNetworksLevel : connectionsLevel
  const node = task.nodeId === undefined ? undefined : tx.get('nodes', task.nodeId)
  if (node === undefined || (node.description?.featureLevel ?? 0) >= level) return
  const what = isLocal ? 'networks of the driver bridge' : 'it'
  throw refuse(
    'FAILED_PRECONDITION',
    `: its node ${nodeLabel(node)} runs a version that knows nothing of ${what}. Upgrade tsswarm there`,
  )
}

/** A container on the host's network, or on none, has no interfaces of its own. */
function requireOwnStack(tx: ReadTx, task: Task, refuse: Refuse): void {
  const spec = tx.get('taskSpecs', task.specHash)?.spec
  const lonely = spec?.networks.find(({ target }) => predefinedOf(target)?.isAlone === true)
  if (lonely === undefined) return
  throw refuse(
    'FAILED_PRECONDITION',
    `: its service is on network "${lonely.target}", which goes with no other`,
  )
}

function requireNew({ attachments }: Task, network: Network, refuse: Refuse): void {
  const known = attachments.find(({ networkId }) => networkId === network.id)
  if (known === undefined || known.connection?.phase === 'failed') return
  switch (known.connection?.phase) {
    case undefined:
      throw refuse('FAILED_PRECONDITION', ': it is on it already, as its whole service')
    case 'asked':
    case 'connected':
      throw refuse('FAILED_PRECONDITION', ': it is connected to it already')
    case 'leaving':
    case 'drained':
      throw refuse(
        'FAILED_PRECONDITION',
        ': it is being disconnected from it. Try again in a moment',
      )
  }
}

function checkAliases(aliases: readonly string[], refuse: Refuse): readonly string[] {
  if (aliases.length > aliasesMax) {
    throw refuse(
      'INVALID_ARGUMENT',
      `: alias is given ${aliases.length} times, ${aliasesMax} at most`,
    )
  }
  for (const alias of aliases) {
    const parsed = serviceName.safeParse(alias)
    if (!parsed.success) {
      const reason = parsed.error.issues[0]?.message ?? 'is no name'
      throw refuse('INVALID_ARGUMENT', `: alias ("${alias}") ${reason}`)
    }
  }
  return aliases
}

/** Its aliases, and the names that it has on networks of its service. */
function namesOf(tx: ReadTx, task: Task, aliases: readonly string[]): readonly string[] {
  const name = taskName(tx, task)
  return [...new Set([...aliases, name, `${name}.${task.id}`])]
}

/** Who has the address, in words. O(task specs + what is on the network). */
function holderOf(tx: ReadTx, network: Network, address: string): string | undefined {
  const has = (given: readonly NetworkAddresses[]): boolean =>
    given.some(
      ({ networkId, addresses }) => networkId === network.id && addresses.includes(address),
    )
  for (const task of tasksOn(tx, network)) {
    const connection = connectionOf(task, network)
    const isWished = connection?.phase !== 'failed' && connection?.wished.includes(address) === true
    if (has(task.attachments) || isWished) return `task "${taskName(tx, task)}"`
  }
  const service = servicesOn(tx, network).find(({ endpoint }) => has(endpoint.vips))
  return service && `service "${service.spec.name}", whose virtual address it is`
}
