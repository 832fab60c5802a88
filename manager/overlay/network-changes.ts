// What one commit changed in the views of networks and in the paths of nodes, so that it is told once and costs what it is about.
import { isSameValue } from '../../proto/lib/same-value.ts'
import {
  type Network,
  type NetworkId,
  type NodeId,
  type NodePath,
  networkId,
  type OverlayNetwork,
  type Service,
  type ServiceEndpoint,
  type ServiceId,
  type Task,
  type TaskEndpoint,
  type TaskId,
} from '../../proto/objects/index.ts'
import type { Change, ReadTx } from '../store/store.ts'
import {
  dataPathPort,
  networksOfSpec,
  networkView,
  nodePath,
  overlayNetwork,
  serviceEndpoint,
  taskEndpoint,
} from './network-views.ts'

/** On top of the view of before: what is put replaces what was there. */
export interface NetworkChange {
  readonly networkId: NetworkId
  /** The network is gone, and all that was on it. */
  readonly isRemoved: boolean
  /** Undefined: as before. */
  readonly network: OverlayNetwork | undefined
  readonly putServices: readonly ServiceEndpoint[]
  readonly dropServices: readonly ServiceId[]
  readonly putTasks: readonly TaskEndpoint[]
  readonly dropTasks: readonly TaskId[]
}

export interface PathChange {
  readonly put: readonly NodePath[]
  readonly drop: readonly NodeId[]
}

interface Draft {
  network: OverlayNetwork | undefined
  isRemoved: boolean
  readonly services: Map<ServiceId, ServiceEndpoint | undefined>
  readonly tasks: Map<TaskId, TaskEndpoint | undefined>
}

/**
 * The networks whose views differ after the commit. `changes` must hold those of networks, services and tasks; `tx` is
 * the state after the commit or a later one. Networks are never changed, only made and removed. O(changes).
 */
export function networkChanges(tx: ReadTx, changes: readonly Change[]): readonly NetworkChange[] {
  const drafts = new Map<NetworkId, Draft>()
  const draft = (id: NetworkId): Draft => {
    const known = drafts.get(id)
    if (known !== undefined) return known
    const made = { network: undefined, isRemoved: false, services: new Map(), tasks: new Map() }
    drafts.set(id, made)
    return made
  }
  const ingress = ingressOf(tx, changes)
  for (const change of changes) {
    if (change.table === 'networks') {
      // Whatever was on it before is gone with it.
      drafts.delete(change.object.id)
      const made = draft(change.object.id)
      made.isRemoved = change.kind === 'remove'
      if (!made.isRemoved) fill(made, tx, change.object)
    } else if (change.table === 'services') changeService(change, { tx, ingress, draft })
    else if (change.table === 'tasks') changeTask(change, { tx, ingress, draft })
  }
  return [...drafts].map(([id, made]) => finish(id, made))
}

/** Undefined: the paths are as before. */
export function pathChanges(tx: ReadTx, changes: readonly Change[]): PathChange | undefined {
  const port = dataPathPort(tx)
  const paths = new Map<NodeId, NodePath | undefined>()
  for (const change of changes) {
    if (change.table !== 'nodes') continue
    const before = change.kind === 'create' ? undefined : nodePath(beforeOf(change), port)
    const after = change.kind === 'remove' ? undefined : nodePath(change.object, port)
    if (!isSameValue(before, after)) paths.set(change.object.id, after)
  }
  if (paths.size === 0) return undefined
  const put = [...paths.values()].filter((path) => path !== undefined)
  return { put, drop: [...paths].flatMap(([id, path]) => (path === undefined ? [id] : [])) }
}

/** Services may have published ports before there was an ingress network again. */
function fill(draft: Draft, tx: ReadTx, network: Network): void {
  draft.network = overlayNetwork(network)
  const view = networkView(tx, network.id)
  for (const service of view?.services ?? []) draft.services.set(service.serviceId, service)
  for (const task of view?.tasks ?? []) draft.tasks.set(task.taskId, task)
}

interface Drafting {
  readonly tx: ReadTx
  readonly ingress: NetworkId | undefined
  readonly draft: (id: NetworkId) => Draft
}

/** Also of a network that was removed since, and of one that these changes make. */
function ingressOf(tx: ReadTx, changes: readonly Change[]): NetworkId | undefined {
  for (const { table, object } of changes) {
    if (table === 'networks' && object.spec.isIngress) return object.id
  }
  for (const { id, spec } of tx.all('networks')) if (spec.isIngress) return id
  return undefined
}

function changeService(change: Change<'services'>, { tx, ingress, draft }: Drafting): void {
  const before = change.kind === 'create' ? undefined : beforeOf(change)
  const after = change.kind === 'remove' ? undefined : change.object
  const ids = new Set([...networksOf(before, ingress), ...networksOf(after, ingress)])
  for (const id of ids) {
    const network = tx.get('networks', id)
    if (network === undefined) continue
    const was = before && serviceEndpoint(before, network)
    const is = after && serviceEndpoint(after, network)
    if (!isSameValue(was, is)) draft(id).services.set(change.object.id, is)
    if (id === ingress) changeTargets(change.object.id, { before, after, network }, { tx, draft })
  }
}

/** Tasks of other specs take the service's ports elsewhere once these are others. O(tasks of the service), when its task spec changes. */
function changeTargets(
  id: ServiceId,
  {
    before,
    after,
    network,
  }: Readonly<Record<'before' | 'after', Service | undefined>> & { readonly network: Network },
  { tx, draft }: Pick<Drafting, 'tx' | 'draft'>,
): void {
  if (before !== undefined && after !== undefined && publishesAlike(before, after)) return
  for (const task of tx.find('tasks', 'byService', id)) {
    const was = taskEndpoint(tx, task, { network, service: before })
    const is = taskEndpoint(tx, task, { network, service: after })
    if (!isSameValue(was, is)) draft(network.id).tasks.set(task.id, is)
  }
}

function publishesAlike(a: Service, b: Service): boolean {
  return a.specHash === b.specHash && isSameValue(a.endpoint.ports, b.endpoint.ports)
}

function changeTask(change: Change<'tasks'>, { tx, draft }: Drafting): void {
  const before = change.kind === 'create' ? undefined : beforeOf(change)
  const after = change.kind === 'remove' ? undefined : change.object
  for (const id of new Set([...attachedTo(before), ...attachedTo(after)])) {
    const network = tx.get('networks', id)
    if (network === undefined) continue
    const on = { network, service: tx.get('services', change.object.serviceId) }
    const was = before && taskEndpoint(tx, before, on)
    const is = after && taskEndpoint(tx, after, on)
    if (!isSameValue(was, is)) draft(id).tasks.set(change.object.id, is)
  }
}

function networksOf(service: Service | undefined, ingress: NetworkId | undefined): Set<NetworkId> {
  return service === undefined ? new Set() : networksOfSpec(service.spec.task, ingress)
}

function attachedTo(task: Task | undefined): readonly NetworkId[] {
  return task === undefined ? [] : task.attachments.map((one) => networkId(one.networkId))
}

/** The row as it was. */
function beforeOf<R>(
  change:
    | { readonly kind: 'remove'; readonly object: R }
    | { readonly kind: 'update'; readonly object: R; readonly old: R },
): R {
  return change.kind === 'update' ? change.old : change.object
}

function finish(id: NetworkId, { network, isRemoved, services, tasks }: Draft): NetworkChange {
  return {
    networkId: id,
    isRemoved,
    network,
    putServices: [...services.values()].filter((one) => one !== undefined),
    dropServices: [...services].flatMap(([key, one]) => (one === undefined ? [key] : [])),
    putTasks: [...tasks.values()].filter((one) => one !== undefined),
    dropTasks: [...tasks].flatMap(([key, one]) => (one === undefined ? [key] : [])),
  }
}
