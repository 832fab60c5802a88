// Who makes a request. Found out by the transport, never taken from the request itself.
import type { NodeId, NodeRole } from '../../proto/objects/index.ts'

export type Caller =
  /** Someone with access to the local socket of node `nodeId`. */
  | { readonly kind: 'local-admin'; readonly nodeId: NodeId }
  /** A node with a valid certificate, in the store and not removed. */
  | { readonly kind: 'node'; readonly nodeId: NodeId; readonly role: NodeRole }
  /** No certificate; only methods that say so admit it. */
  | { readonly kind: 'anonymous' }

/** Name of a caller for logs. */
export function callerName(caller: Caller): string {
  return caller.kind === 'anonymous' ? 'anonymous' : `${caller.kind} ${caller.nodeId}`
}
