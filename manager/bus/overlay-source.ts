// What the bus has to know of overlay networks: how to read them from the store, and what a commit made of them.
import type {
  NetworkId,
  NetworkView,
  NetworkViewChange,
  NodeId,
  NodePath,
  NodePathsChange,
} from '../../proto/objects/index.ts'
import type { Change, ReadTx } from '../store/store.ts'

export interface OverlayTouch {
  /** Networks whose view is another one after the commit; `whole`: it was made or removed. Never one too few. */
  readonly networks: ReadonlyMap<NetworkId, NetworkViewChange | 'whole'>
  /** Undefined: as before. */
  readonly paths: NodePathsChange | undefined
}

export interface OverlaySource {
  /** `tx` is the state after the commit. */
  touched(tx: ReadTx, changes: readonly Change[]): OverlayTouch
  /** All there are. */
  networkIds(tx: ReadTx): Iterable<NetworkId>
  /** Undefined when there is no such network. */
  view(tx: ReadTx, id: NetworkId): NetworkView | undefined
  paths(tx: ReadTx): readonly NodePath[]
  /** Whether the node may know of the network: it has a task on it, or everybody may. */
  isHeldBy(tx: ReadTx, id: NetworkId, node: NodeId): boolean
}
