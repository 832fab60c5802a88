// The overlay as the store has it, as the bus asks for it.
import { localNetworksLevel, type NetworkViewChange, type Node } from '../../proto/objects/index.ts'
import { isLocalNetwork } from '../../proto/spec/network-spec.ts'
import { type NetworkChange, networkChanges, pathChanges } from '../overlay/network-changes.ts'
import { networkView, nodePaths } from '../overlay/network-views.ts'
import type { OverlaySource } from './overlay-source.ts'

export const storeOverlay: OverlaySource = {
  touched: (tx, changes) => {
    const paths = pathChanges(tx, changes)
    return {
      networks: new Map(
        networkChanges(tx, changes).map((change) => [change.networkId, viewChange(change)]),
      ),
      paths: paths && { paths: paths.put, removedNodes: paths.drop },
    }
  },
  networkIds: (tx) => [...tx.all('networks')].map(({ id }) => id),
  view: networkView,
  paths: nodePaths,
  isHeldBy: (tx, id, node) => {
    const network = tx.get('networks', id)
    if (network === undefined) return false
    if (network.spec.isIngress) return true
    if (isLocalNetwork(network.spec) && !knowsLocalNetworks(tx.get('nodes', node))) return false
    for (const task of tx.find('tasks', 'byNode', node)) {
      if (task.attachments.some(({ networkId }) => networkId === id)) return true
    }
    return false
  },
}

/** An older program would take it for one over all nodes: it holds none, also where a newer one ran before it. */
function knowsLocalNetworks(node: Node | undefined): boolean {
  return (node?.description?.featureLevel ?? 0) >= localNetworksLevel
}

/** A network that was made needs no change but all of it. */
function viewChange(change: NetworkChange): NetworkViewChange | 'whole' {
  if (change.isRemoved || change.network !== undefined) return 'whole'
  return {
    network: undefined,
    services: change.putServices,
    removedServices: change.dropServices,
    tasks: change.putTasks,
    removedTasks: change.dropTasks,
  }
}
