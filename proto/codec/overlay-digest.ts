// One short text for equal knowledge of the overlay, however it was come by: what the audit compares between a node and the
// store.
import { OverlayNodePaths, OverlayView } from '../gen/tsswarm/v1/overlay.ts'
import { sha256Base36 } from '../lib/digest.ts'
import type { NetworkView, NodePath } from '../objects/overlay.ts'
import { networkViewToProto, nodePathToProto } from './overlay.ts'

/** The order of services and tasks does not count. */
export function viewDigest(view: NetworkView): string {
  const services = sorted(view.services, ({ serviceId }) => serviceId)
  const tasks = sorted(view.tasks, ({ taskId }) => taskId)
  const proto = networkViewToProto({ ...view, services, tasks })
  return sha256Base36(OverlayView.encode(proto).finish())
}

export function pathsDigest(paths: readonly NodePath[]): string {
  const proto = sorted(paths, ({ nodeId }) => nodeId).map(nodePathToProto)
  return sha256Base36(OverlayNodePaths.encode({ paths: proto }).finish())
}

function sorted<T>(all: readonly T[], key: (one: T) => string): readonly T[] {
  return [...all].sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0))
}
