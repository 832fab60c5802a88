// Signing: a new node with a join token, or a renewal by a node with its present certificate. Runs on the leader.
import { parseJoinToken, rootCertDigest } from '../../proto/codec/join-token.ts'
import { SwarmError } from '../../proto/errors.ts'
import type {
  IssueCertificateRequest,
  IssueCertificateResponse,
} from '../../proto/gen/tsswarm/v1/ca.ts'
import { type NodeAvailability, NodeRole as RoleCode } from '../../proto/gen/tsswarm/v1/objects.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { secretsEqual } from '../../proto/lib/digest.ts'
import {
  nodeId as asNodeId,
  type Cluster,
  type Node,
  type NodeRole,
} from '../../proto/objects/index.ts'
import type { Caller } from '../rpc/caller.ts'
import type { Store } from '../store/store.ts'
import { theCluster } from '../the-cluster.ts'
import { checkedRequest, issueCertificate } from './root-ca.ts'

export interface CaDeps {
  readonly store: Store
  readonly clock: Clock
  readonly newId: () => string
}

export interface CaHandlers {
  issueCertificate(
    caller: Caller,
    request: IssueCertificateRequest,
  ): Promise<IssueCertificateResponse>
}

/** The handlers of the NodeCa service. */
export function createCaHandlers(deps: CaDeps): CaHandlers {
  return {
    issueCertificate: async (caller, request) => {
      // Before anything is written: a bad request leaves no node behind.
      await checkedRequest(request.csrPem)
      const node =
        caller.kind === 'node' ? knownNode(deps, caller.nodeId) : await admitNode(deps, request)
      return await certify(deps, node, request.csrPem)
    },
  }
}

function knownNode(deps: CaDeps, id: string): Node {
  const node = deps.store.view((tx) => tx.get('nodes', id))
  if (node !== undefined) return node
  throw new SwarmError('PERMISSION_DENIED', `node ${id} is not part of the cluster`)
}

async function admitNode(deps: CaDeps, request: IssueCertificateRequest): Promise<Node> {
  const role = roleOfToken(deps.store.view(theCluster), request.token)
  const { id } = await deps.store.update(
    (tx) => {
      const fresh = newNode(deps.newId(), role, request.availability)
      tx.create('nodes', fresh)
      return { id: fresh.id }
    },
    { requestId: request.requestId, method: 'IssueCertificate' },
  )
  return knownNode(deps, id)
}

function roleOfToken(cluster: Cluster, token: string): NodeRole {
  const { rootDigest } = parseJoinToken(token)
  if (rootDigest !== rootCertDigest(cluster.rootCaCertPem)) {
    throw new SwarmError('PERMISSION_DENIED', 'the join token belongs to another cluster')
  }
  if (secretsEqual(token.trim(), cluster.managerJoinToken)) return 'manager'
  if (secretsEqual(token.trim(), cluster.workerJoinToken)) return 'worker'
  throw new SwarmError(
    'PERMISSION_DENIED',
    'the join token is not valid (any more): print the current one on a manager with `tsswarm swarm join-token worker`',
  )
}

/** A node as it is before its agent first opened a session. */
export function newNode(id: string, role: NodeRole, availability: NodeAvailability): Node {
  const names = ['active', 'pause', 'drain'] as const
  return {
    id: asNodeId(id),
    version: 0,
    createdAtMs: 0,
    updatedAtMs: 0,
    spec: { name: '', labels: {}, role, availability: names[availability] ?? 'active' },
    role,
    description: undefined,
    state: 'unknown',
    stateMessage: 'waiting for its first session',
    stateAtMs: 0,
    address: '',
    manager: undefined,
    sessionManagerId: undefined,
    sessionId: undefined,
    certificateExpiresAtMs: 0,
    path: undefined,
  }
}

async function certify(
  deps: CaDeps,
  node: Node,
  csrPem: string,
): Promise<IssueCertificateResponse> {
  const cluster = deps.store.view(theCluster)
  const lifeMs = cluster.spec.nodeCertExpiryMs
  const root = { certPem: cluster.rootCaCertPem, keyPem: cluster.rootCaKeyPem }
  const nowMs = deps.clock.wallMs()
  const subject = { nodeId: node.id, role: node.role, clusterId: cluster.id }
  const certPem = await issueCertificate(root, { subject, csrPem, nowMs, lifeMs })
  await deps.store.update((tx) => {
    const present = tx.get('nodes', node.id)
    if (present === undefined) {
      throw new SwarmError('PERMISSION_DENIED', `node ${node.id} was removed meanwhile`)
    }
    tx.update('nodes', { ...present, certificateExpiresAtMs: nowMs + lifeMs })
  })
  return {
    nodeId: node.id,
    clusterId: cluster.id,
    role: node.role === 'manager' ? RoleCode.MANAGER : RoleCode.WORKER,
    certPem: certPem + cluster.rootCaCertPem,
    rootCaCertPem: cluster.rootCaCertPem,
    managerAddresses: deps.store.view((tx) =>
      [...tx.all('nodes')].flatMap(({ manager }) => (manager ? [manager.address] : [])),
    ),
  }
}
