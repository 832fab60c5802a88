// What the subjects of overlay networks and node paths carry.
import {
  networkViewChangeFromProto,
  networkViewChangeToProto,
  networkViewFromProto,
  networkViewToProto,
  nodePathFromProto,
  nodePathsChangeFromProto,
  nodePathsChangeToProto,
  nodePathToProto,
} from '../codec/overlay.ts'
import {
  OverlayNodePaths,
  OverlayNodePathsChange,
  OverlayView,
  OverlayViewChange,
} from '../gen/tsswarm/v1/overlay.ts'
import type { NetworkView, NodePath } from '../objects/overlay.ts'
import type { NetworkViewChange, NodePathsChange } from '../objects/overlay-change.ts'
import type { SubjectCodec } from './bus-message.ts'
import { pathsSubject } from './subjects.ts'

/** State of an overlay subject. */
export type OverlayWhole =
  | { readonly kind: 'network'; readonly view: NetworkView }
  | { readonly kind: 'paths'; readonly paths: readonly NodePath[] }
  /** The network is no more, or not this node's. */
  | { readonly kind: 'none' }

export type OverlayChange =
  | { readonly kind: 'network'; readonly change: NetworkViewChange }
  | { readonly kind: 'paths'; readonly change: NodePathsChange }

const networkCodec: SubjectCodec<OverlayChange, OverlayWhole> = {
  change: (bytes) => ({
    kind: 'network',
    change: networkViewChangeFromProto(OverlayViewChange.decode(bytes)),
  }),
  whole: (bytes) => ({ kind: 'network', view: networkViewFromProto(OverlayView.decode(bytes)) }),
  ended: { kind: 'none' },
}

const pathsCodec: SubjectCodec<OverlayChange, OverlayWhole> = {
  change: (bytes) => ({
    kind: 'paths',
    change: nodePathsChangeFromProto(OverlayNodePathsChange.decode(bytes)),
  }),
  whole: (bytes) => ({
    kind: 'paths',
    paths: OverlayNodePaths.decode(bytes).paths.map(nodePathFromProto),
  }),
  ended: { kind: 'none' },
}

export function overlayCodec(subject: string): SubjectCodec<OverlayChange, OverlayWhole> {
  return subject === pathsSubject ? pathsCodec : networkCodec
}

export function encodeOverlayChange(change: OverlayChange): Uint8Array {
  return change.kind === 'network'
    ? OverlayViewChange.encode(networkViewChangeToProto(change.change)).finish()
    : OverlayNodePathsChange.encode(nodePathsChangeToProto(change.change)).finish()
}

/** Undefined for what is no more. */
export function encodeOverlayWhole(whole: OverlayWhole): Uint8Array | undefined {
  switch (whole.kind) {
    case 'network':
      return OverlayView.encode(networkViewToProto(whole.view)).finish()
    case 'paths':
      return OverlayNodePaths.encode({ paths: whole.paths.map(nodePathToProto) }).finish()
    case 'none':
      return undefined
  }
}
