// What a change of the store is called among the cluster's events. The words are Docker's; `task` is ours, for what has no container yet.

import type { ClusterEvent } from '../../proto/gen/tsswarm/v1/control.ts'
import { isSameValue } from '../../proto/lib/same-value.ts'
import {
  type Access,
  isTerminal,
  type Network,
  type NetworkId,
  type Node,
  placeOf,
  type Service,
  type Task,
  TaskState,
  taskStateName,
} from '../../proto/objects/index.ts'
import type { Change, ReadTx } from '../store/store.ts'

/** An event as far as the change tells; when it was is the commit's. */
export type EventFacts = Pick<ClusterEvent, 'type' | 'action' | 'actorId' | 'attributes'>

type Attributes = Readonly<Record<string, string>>

/** In order. Empty for what users do not see. `tx` is the state after the commit, for names. */
export function eventsOfChange(tx: ReadTx, change: Change): readonly EventFacts[] {
  switch (change.table) {
    case 'services':
      return serviceEvents(change)
    case 'nodes':
      return nodeEvents(change)
    case 'networks':
      return networkEvents(change)
    case 'secrets':
      return payloadEvents('secret', change)
    case 'configs':
      return payloadEvents('config', change)
    case 'tasks':
      return taskEvents(tx, change)
    case 'accesses':
      return change.kind === 'create' ? accessEvents(tx, change.object) : []
    case 'cluster': {
      const isNew = change.kind === 'update' && !isSameValue(change.old.spec, change.object.spec)
      const { id, spec } = change.object
      return isNew ? [event('cluster', 'update', id, { name: spec.name })] : []
    }
    default:
      return []
  }
}

function event(type: string, action: string, actorId: string, attributes: Attributes): EventFacts {
  return { type, action, actorId, attributes }
}

function serviceEvents(change: Change<'services'>): readonly EventFacts[] {
  const { id, spec } = change.object
  const name = { name: spec.name }
  if (change.kind !== 'update') return [event('service', change.kind, id, name)]
  const { old } = change
  // Addresses that it was given are nothing that a user did.
  if (isSameValue(old.spec, spec)) return []
  const differences = {
    ...difference('name', old.spec.name, spec.name),
    ...difference('replicas', replicasOf(old), replicasOf(change.object)),
    ...difference('image', old.spec.task.container.image, spec.task.container.image),
  }
  return [event('service', 'update', id, { ...name, ...differences })]
}

function replicasOf({ spec: { mode } }: Service): string {
  return mode.kind === 'replicated' ? String(mode.replicas) : ''
}

function nodeEvents(change: Change<'nodes'>): readonly EventFacts[] {
  const node = change.object
  const name = { name: hostnameOf(node) }
  if (change.kind !== 'update') return [event('node', change.kind, node.id, name)]
  const { old } = change
  const differences = {
    ...difference('name', hostnameOf(old), hostnameOf(node)),
    ...difference('state', old.state, node.state),
    ...difference('availability', old.spec.availability, node.spec.availability),
    ...difference('role', old.role, node.role),
    ...difference('desiredrole', old.spec.role, node.spec.role),
    ...difference('addr', old.address, node.address),
  }
  const isOther = Object.keys(differences).length > 0 || !isSameValue(old.spec, node.spec)
  const updates = isOther ? [event('node', 'update', node.id, { ...name, ...differences })] : []
  return [...updates, ...pruneEvents(old, node)]
}

/** Images that the node removed by itself, as it tells. */
function pruneEvents(old: Node, node: Node): readonly EventFacts[] {
  const told = (one: Node): readonly string[] =>
    (one.description?.conditions ?? [])
      .filter(({ code }) => code === 'IMAGES_REMOVED')
      .map(({ message }) => message)
  const before = told(old)
  return told(node)
    .filter((message) => !before.includes(message))
    .map((message) => event('image', 'prune', node.id, { name: hostnameOf(node), message }))
}

function hostnameOf(node: Node): string {
  return node.description?.hostname ?? node.id
}

function networkEvents(change: Change<'networks'>): readonly EventFacts[] {
  const { id, spec }: Network = change.object
  if (change.kind === 'update' && isSameValue(change.old.spec, spec)) return []
  return [event('network', change.kind, id, { name: spec.name, type: spec.driver })]
}

/** A version is a row: other data makes a new one. */
function payloadEvents(
  type: 'secret' | 'config',
  { kind, object }: Change<'secrets'> | Change<'configs'>,
): readonly EventFacts[] {
  const { id, spec, revision } = object
  return [event(type, kind, id, { name: spec.name, revision: String(revision) })]
}

function taskEvents(tx: ReadTx, change: Change<'tasks'>): readonly EventFacts[] {
  const task = change.object
  const old = change.kind === 'update' ? change.old : undefined
  const states = {
    ...difference('state', old && taskStateName(old.state), taskStateName(task.state)),
    ...difference(
      'desiredstate',
      old && taskStateName(old.desiredState),
      taskStateName(task.desiredState),
    ),
    ...difference('node', old?.nodeId, task.nodeId),
  }
  const connections = connectionEvents(tx, task, old)
  if (old !== undefined && Object.keys(states).length === 0) {
    return [...containerEvents(tx, { task, old, isRemoved: false }), ...connections]
  }
  const attributes = { ...taskAttributes(tx, task), ...states, ...given('err', task.err) }
  const isRemoved = change.kind === 'remove'
  const containers = containerEvents(tx, { task, old, isRemoved })
  return [event('task', change.kind, task.id, attributes), ...containers, ...connections]
}

/** Of networks that it was connected to while it ran. */
function connectionEvents(tx: ReadTx, task: Task, old: Task | undefined): readonly EventFacts[] {
  const [before, after] = [connectedTo(old), connectedTo(task)]
  const about = (action: string, id: NetworkId): EventFacts => {
    const network = tx.get('networks', id)
    const name = network?.spec.name ?? id
    const type = network?.spec.driver ?? 'overlay'
    const { containerId: container } = task
    return event('network', action, id, { ...taskAttributes(tx, task), container, name, type })
  }
  return [
    ...after.filter((id) => !before.includes(id)).map((id) => about('connect', id)),
    ...before.filter((id) => !after.includes(id)).map((id) => about('disconnect', id)),
  ]
}

function connectedTo(task: Task | undefined): readonly NetworkId[] {
  if (task === undefined || isTerminal(task.state)) return none
  return task.attachments.flatMap(({ networkId, connection }) => {
    const phase = connection?.phase
    return phase === undefined || phase === 'asked' || phase === 'failed' ? [] : [networkId]
  })
}

const none: readonly NetworkId[] = []

function containerEvents(
  tx: ReadTx,
  facts: { readonly task: Task; readonly old: Task | undefined; readonly isRemoved: boolean },
): readonly EventFacts[] {
  const { task, old, isRemoved } = facts
  const { containerId } = task
  if (containerId === '') return []
  const attributes = taskAttributes(tx, task)
  const about = (action: string, more: Attributes = {}): EventFacts =>
    event('container', action, containerId, { ...attributes, ...more })
  if (isRemoved) return [about('destroy')]
  const events: EventFacts[] = []
  if (old?.containerId !== containerId) events.push(about('create'))
  const isRunning = (one: Task | undefined): boolean => one?.state === TaskState.RUNNING
  if (isRunning(task) && !isRunning(old)) events.push(about('start'))
  if (isTerminal(task.state) && !(old !== undefined && isTerminal(old.state))) {
    const exitCode = given('exitCode', task.exitCode === undefined ? '' : String(task.exitCode))
    events.push(about('die', exitCode))
  }
  return events
}

/** Nothing of a task that is gone by now: its names are not known. */
function accessEvents(tx: ReadTx, access: Access): readonly EventFacts[] {
  const task = tx.get('tasks', access.taskId)
  if (task === undefined) return []
  const { action, attributes, clientNodeId, clientUser } = access
  const client = tx.get('nodes', clientNodeId)
  return [
    event('container', action, task.containerId, {
      ...taskAttributes(tx, task),
      ...attributes,
      'client.node.id': clientNodeId,
      'client.node.name': client === undefined ? clientNodeId : hostnameOf(client),
      'client.user': clientUser,
    }),
  ]
}

function taskAttributes(tx: ReadTx, task: Task): Attributes {
  const service = tx.get('services', task.serviceId)
  const spec = tx.get('taskSpecs', task.specHash)?.spec
  const serviceName = service?.spec.name ?? task.serviceId
  const name = `${serviceName}.${placeOf(task)}.${task.id}`
  return {
    ...spec?.container.labels,
    ...given('image', spec?.container.image ?? ''),
    name,
    'com.docker.swarm.node.id': task.nodeId ?? '',
    'com.docker.swarm.service.id': task.serviceId,
    'com.docker.swarm.service.name': serviceName,
    'com.docker.swarm.task': '',
    'com.docker.swarm.task.id': task.id,
    'com.docker.swarm.task.name': name,
  }
}

/** `key.old` and `key.new` where they differ; of something new only the latter. */
function difference(key: string, old: string | undefined, now: string | undefined): Attributes {
  if (old === now || (now ?? '') === '') return {}
  return { ...(old === undefined ? {} : { [`${key}.old`]: old }), [`${key}.new`]: now ?? '' }
}

function given(key: string, value: string): Attributes {
  return value === '' ? {} : { [key]: value }
}
