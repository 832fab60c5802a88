// Who makes a request. Found out by the transport, never taken from the request itself.
import type { NodeId, NodeRole } from '../../proto/objects/index.ts'

/** What a handler knows of who asks. */
export type Caller =
  /** Someone with access to the local socket of node `nodeId`. */
  | { readonly kind: 'local-admin'; readonly nodeId: NodeId }
  /** A node with a valid certificate, in the store and not removed. */
  | { readonly kind: 'node'; readonly nodeId: NodeId; readonly role: NodeRole }
  /** No certificate; only methods that say so admit it. */
  | { readonly kind: 'anonymous' }
