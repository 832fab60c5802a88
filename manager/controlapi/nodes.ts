// ListNodes, GetNode, UpdateNode, RemoveNode, with what Swarm refuses.
import { nodeToProto, parseNodeSpec } from '../../proto/codec/node.ts'
import { SwarmError } from '../../proto/errors.ts'
import {
  type ListNodesRequest,
  type ListNodesResponse,
  NodeView,
  type RemoveNodeRequest,
  type UpdateNodeRequest,
  type UpdateNodeResponse,
} from '../../proto/gen/tsswarm/v1/control.ts'
import type { Node, NodeId } from '../../proto/objects/index.ts'
import type { Caller } from '../rpc/caller.ts'
import type { ReadTx, Tx } from '../store/store.ts'
import type { ClusterView } from './cluster-view.ts'
import type { ControlApi, ControlDeps } from './control-api.ts'
import { nodeFilter } from './filters.ts'
import { listMessages, type Page } from './list-stream.ts'
import { findNode, notFound } from './lookup.ts'
import { nodeLabel, nodeView } from './views.ts'
import { checkVersion, repeatable } from './writing.ts'

type NodeHandlers = Pick<ControlApi, 'listNodes' | 'getNode' | 'updateNode' | 'removeNode'>

/** A removed node's certificate is refused for this long after it expired. */
const removedKeepMs = 7 * 24 * 3_600_000

export function nodeHandlers(deps: ControlDeps): NodeHandlers {
  const { store, cluster } = deps
  return {
    listNodes: (caller, request, signal) => listNodes(deps, caller, request, signal),
    getNode: async (caller, request, signal) => {
      await cluster.readBarrier(signal)
      const selfId = selfOf(caller, cluster)
      const node = store.view((tx) => findNode(tx, request.reference, selfId))
      return { node: nodeView(node, cluster) }
    },
    updateNode: async (_, request) => await updateNode(deps, request),
    removeNode: async (_, request) => {
      const nodeId = await store.update(
        (tx) => removeNode(tx, request, cluster),
        repeatable(request.requestId, 'RemoveNode'),
      )
      return { nodeId }
    },
  }
}

async function* listNodes(
  deps: ControlDeps,
  caller: Caller,
  { filters }: ListNodesRequest,
  signal: AbortSignal,
): AsyncGenerator<ListNodesResponse, void, undefined> {
  const { store, cluster } = deps
  const passes = nodeFilter(filters)
  await cluster.readBarrier(signal)
  const selfNodeId = selfOf(caller, cluster)
  const open = (): Page<Node, ListNodesResponse> => {
    const nodes: NodeView[] = []
    return {
      add: (_, node) => {
        if (!passes(node)) return 0
        const view = nodeView(node, cluster)
        nodes.push(view)
        return NodeView.encode(view).finish().length
      },
      message: () => ({ nodes, selfNodeId }),
    }
  }
  yield* listMessages(deps, store.rows('nodes'), open, signal)
}

/** The node that a user on its local socket means by "self", also when another manager answers. */
function selfOf(caller: Caller, cluster: ClusterView): NodeId {
  return caller.kind === 'local-admin' ? caller.nodeId : cluster.selfNodeId()
}

async function updateNode(
  { store, cluster }: ControlDeps,
  request: UpdateNodeRequest,
): Promise<UpdateNodeResponse> {
  const { nodeId } = request
  const what = `node "${store.view((tx) => labelOf(tx, nodeId))}"`
  const spec = parseNodeSpec(request.spec, what)
  await store.update(
    (tx) => {
      const node = tx.get('nodes', nodeId) ?? notFound('node', nodeId)
      checkVersion(what, request.version, node.version)
      if (node.spec.role === 'manager' && spec.role === 'worker') {
        checkDemotion(tx, node, cluster)
      }
      tx.update('nodes', { ...node, spec })
    },
    repeatable(request.requestId, 'UpdateNode'),
  )
  const updated = store.view((tx) => tx.get('nodes', nodeId))
  return { node: updated === undefined ? undefined : nodeToProto(updated) }
}

function labelOf(tx: ReadTx, id: string): string {
  const node = tx.get('nodes', id)
  return node === undefined ? id : nodeLabel(node)
}

/** A manager that is (to be) a member of Raft. */
function isMember(node: Node): boolean {
  return node.spec.role === 'manager' && node.manager !== undefined
}

/** Errors: FAILED_PRECONDITION for the last manager, QUORUM_LOSS. */
function checkDemotion(tx: ReadTx, node: Node, cluster: ClusterView): void {
  if (!isMember(node)) return
  const others = [...tx.all('nodes')].filter((other) => isMember(other) && other.id !== node.id)
  if (others.length === 0) {
    throw new SwarmError(
      'FAILED_PRECONDITION',
      `cannot demote node ${nodeLabel(node)}: it is the last manager of the swarm. ` +
        'Promote another node first ("tsswarm node promote NODE")',
      { details: { nodeId: node.id } },
    )
  }
  const quorum = Math.floor(others.length / 2) + 1
  const reachable = others.filter((other) => cluster.reachable(other.id)).length
  if (reachable >= quorum) return
  throw new SwarmError(
    'QUORUM_LOSS',
    `cannot demote node ${nodeLabel(node)}: of the other ${others.length} managers only ${reachable} ` +
      `can be reached, ${quorum} are needed, so the swarm would lose its quorum. ` +
      'Bring the missing managers back, or demote those instead',
    { details: { nodeId: node.id, reachable, quorum } },
  )
}

/** Its tasks are left to the orchestrators. Returns the node's id. */
function removeNode(tx: Tx, request: RemoveNodeRequest, cluster: ClusterView): string {
  if (request.reference === 'self') {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      'a node cannot remove itself: run "tsswarm swarm leave" on it, then remove it from another manager',
    )
  }
  const node = findNode(tx, request.reference, cluster.selfNodeId())
  if (node.spec.role === 'manager' || node.manager !== undefined) {
    throw new SwarmError(
      'FAILED_PRECONDITION',
      `node ${nodeLabel(node)} is a cluster manager and is a member of the raft cluster. ` +
        `It must be demoted to worker before removal ("tsswarm node demote ${node.id}")`,
      { details: { nodeId: node.id } },
    )
  }
  if (node.state === 'ready' && !request.force) {
    throw new SwarmError(
      'FAILED_PRECONDITION',
      `node ${nodeLabel(node)} is not down and can't be removed. Run "tsswarm swarm leave" on it first, ` +
        'or remove it with --force',
      { details: { nodeId: node.id } },
    )
  }
  tx.remove('nodes', node.id)
  const expiresAtMs = Math.max(node.certificateExpiresAtMs, tx.nowMs) + removedKeepMs
  tx.create('removedNodes', { id: node.id, expiresAtMs, mark: node.path?.mark ?? 0 })
  return node.id
}
