// From a verified TLS peer to a caller: valid now, of this cluster, known and not removed, of a role that the store confirms.
import type { PeerCertificate } from 'node:tls'
import { SwarmError } from '../../proto/errors.ts'
import { nodeId as asNodeId, type Node, type NodeRole } from '../../proto/objects/index.ts'
import type { Caller } from './caller.ts'
import type { MethodPolicy } from './policy.ts'

/** What authorising needs to know of the cluster. */
export interface NodeDirectory {
  clusterId(): string
  node(id: string): Node | undefined
  isRemoved(id: string): boolean
}

export interface PeerFacts {
  readonly nodeId: string
  readonly role: NodeRole
  readonly clusterId: string
  readonly notAfterMs: number
  readonly notBeforeMs: number
}

/** Reads the subject and dates of a certificate whose chain TLS has verified. Undefined when fields are missing. */
export function peerFacts(cert: PeerCertificate): PeerFacts | undefined {
  const { CN, OU, O } = cert.subject as unknown as Readonly<Record<string, unknown>>
  if (typeof CN !== 'string' || typeof OU !== 'string' || typeof O !== 'string') return undefined
  if (OU !== 'swarm-manager' && OU !== 'swarm-worker') return undefined
  return {
    nodeId: CN,
    role: OU === 'swarm-manager' ? 'manager' : 'worker',
    clusterId: O,
    notBeforeMs: Date.parse(cert.valid_from),
    notAfterMs: Date.parse(cert.valid_to),
  }
}

/**
 * The caller behind a certificate. Errors: UNAUTHENTICATED without a certificate where one is needed, PERMISSION_DENIED
 * when it is expired, foreign, of a removed or unknown node, or of the wrong role.
 */
export function authorize(
  facts: PeerFacts | undefined,
  policy: MethodPolicy,
  directory: NodeDirectory,
  wallMs: number,
): Caller {
  if (facts === undefined) {
    if (policy.admits === 'anyone') return { kind: 'anonymous' }
    throw new SwarmError(
      'UNAUTHENTICATED',
      'a certificate of this cluster is needed: join it with `tsswarm swarm join`',
    )
  }
  const refusal = refusalOf(facts, directory, wallMs)
  if (refusal !== undefined) throw new SwarmError('PERMISSION_DENIED', refusal)
  const node = directory.node(facts.nodeId)
  // The certificate's role and the stored one must both allow it: either alone may be out of date.
  const role: NodeRole = facts.role === 'manager' && node?.role === 'manager' ? 'manager' : 'worker'
  if (policy.admits === 'managers' && role !== 'manager') {
    throw new SwarmError(
      'PERMISSION_DENIED',
      `node ${facts.nodeId} is not a manager: only managers may call this. Run the command on a manager, for example one that \`tsswarm info\` names`,
    )
  }
  return { kind: 'node', nodeId: asNodeId(facts.nodeId), role }
}

function refusalOf(facts: PeerFacts, directory: NodeDirectory, wallMs: number): string | undefined {
  if (facts.clusterId !== directory.clusterId()) {
    return `the certificate of node ${facts.nodeId} belongs to another cluster`
  }
  if (wallMs < facts.notBeforeMs) {
    return `the certificate of node ${facts.nodeId} is not valid yet: check the clocks of both hosts`
  }
  if (wallMs >= facts.notAfterMs) {
    return `the certificate of node ${facts.nodeId} has expired: leave and join again, or check the clocks`
  }
  if (directory.isRemoved(facts.nodeId)) return `node ${facts.nodeId} was removed from the cluster`
  if (directory.node(facts.nodeId) === undefined) {
    return `node ${facts.nodeId} is not part of the cluster`
  }
  return undefined
}
