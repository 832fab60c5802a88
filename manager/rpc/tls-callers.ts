// Callers on :2377: their TLS peer, or, for a forwarding manager, the caller it names.

import { SwarmError } from '../../proto/errors.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import { nodeId as asNodeId } from '../../proto/objects/index.ts'
import { type AnyCall, metadataText } from './adapter.ts'
import { authorize, type NodeDirectory, peerFacts } from './authorize.ts'
import type { Caller } from './caller.ts'
import type { MethodPolicy } from './policy.ts'

/** Metadata key under which a manager names the caller it forwards for. */
export const forwardedCallerKey = 'tsswarm-forwarded-caller'

/** A finder of callers for the mTLS listener. */
export function tlsCallers(
  directory: NodeDirectory,
  clock: Clock,
): (call: AnyCall, policy: MethodPolicy) => Caller {
  return (call, policy) => {
    const forwarded = metadataText(call.metadata, forwardedCallerKey)
    const cert = call.getAuthContext().sslPeerCertificate
    const facts = cert === undefined ? undefined : peerFacts(cert)
    if (forwarded === undefined) return authorize(facts, policy, directory, clock.wallMs())
    // Only a manager may speak for somebody else.
    const through = { admits: 'managers', onLeader: policy.onLeader } as const
    authorize(facts, through, directory, clock.wallMs())
    return forwardedCaller(forwarded, policy, directory)
  }
}

/** How a caller is named to the leader. */
export function encodeCaller(caller: Caller): string {
  return caller.kind === 'anonymous' ? 'anonymous' : `${caller.kind} ${caller.nodeId}`
}

function forwardedCaller(text: string, policy: MethodPolicy, directory: NodeDirectory): Caller {
  const [kind, id = ''] = text.split(' ')
  if (kind === 'anonymous' && policy.admits === 'anyone') return { kind: 'anonymous' }
  const node = directory.node(id)
  if (node !== undefined && !directory.isRemoved(id)) {
    if (kind === 'local-admin') return { kind: 'local-admin', nodeId: asNodeId(id) }
    if (kind === 'node' && (policy.admits !== 'managers' || node.role === 'manager')) {
      return { kind: 'node', nodeId: asNodeId(id), role: node.role }
    }
  }
  throw new SwarmError('PERMISSION_DENIED', `the forwarded caller ${text} is not known here`)
}
