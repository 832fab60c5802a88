// The overlay as the store has it, as the bus asks for it.
import { networkChanges, pathChanges } from '../overlay/network-changes.ts'
import { networkView, nodePaths } from '../overlay/network-views.ts'
import type { OverlaySource } from './overlay-source.ts'

export const storeOverlay: OverlaySource = {
  touched: (tx, changes) => ({
    networks: new Set(networkChanges(tx, changes).map(({ networkId }) => networkId)),
    paths: pathChanges(changes) !== undefined,
  }),
  networkIds: (tx) => [...tx.all('networks')].map(({ id }) => id),
  view: networkView,
  paths: nodePaths,
  isHeldBy: (tx, id, node) => {
    const network = tx.get('networks', id)
    if (network === undefined) return false
    if (network.spec.isIngress) return true
    for (const task of tx.find('tasks', 'byNode', node)) {
      if (task.attachments.some(({ networkId }) => networkId === id)) return true
    }
    return false
  },
}
