// A node asks for overlay networks whole: any manager answers, once it has applied what was committed when it was asked.
import { networkSubject, pathsSubject } from '../../proto/bus/subjects.ts'
import { networkViewToProto, nodePathToProto } from '../../proto/codec/overlay.ts'
import { SwarmError } from '../../proto/errors.ts'
import type {
  FetchOverlayPart,
  FetchOverlayRequest,
  KnownSubject,
} from '../../proto/gen/tsswarm/v1/dispatcher.ts'
import { compareStamps, type NodeId, networkId } from '../../proto/objects/index.ts'
import { SharedBarrier } from '../dispatcher/shared-barrier.ts'
import type { Caller } from '../rpc/caller.ts'
import type { ReadTx, Store } from '../store/store.ts'
import type { OverlayHistory } from './overlay-history.ts'
import type { OverlaySource } from './overlay-source.ts'

export interface FetchOverlayDeps {
  readonly store: Store
  readonly source: OverlaySource
  readonly history: OverlayHistory
  /** Resolves when everything committed before the call is applied here. Errors: NO_LEADER. */
  readonly readBarrier: (signal: AbortSignal) => Promise<void>
}

export type FetchOverlay = (
  caller: Caller,
  request: FetchOverlayRequest,
  signal: AbortSignal,
) => AsyncIterable<FetchOverlayPart>

/** More than a node can hold. */
const networksMax = 4_096

/** Errors: PERMISSION_DENIED, INVALID_ARGUMENT, NO_LEADER. */
export function createFetchOverlay(deps: FetchOverlayDeps): FetchOverlay {
  const life = new AbortController().signal
  const barrier = new SharedBarrier(() => deps.readBarrier(life))
  return async function* fetchOverlay(caller, request, signal) {
    if (caller.kind !== 'node') {
      throw new SwarmError('PERMISSION_DENIED', 'only nodes with a certificate hold networks')
    }
    const { networks, paths } = request
    if (networks.length > networksMax) {
      const text = `FetchOverlay: field networks names ${networks.length} networks; a node holds ${networksMax} at most`
      throw new SwarmError('INVALID_ARGUMENT', text)
    }
    await barrier.wait()
    if (paths !== undefined) yield pathsPart(deps, paths)
    for (const known of networks) {
      if (signal.aborted) return
      yield networkPart(deps, caller.nodeId, known)
    }
  }
}

/** The part without its content, and whether the node has that already. */
function headOf({ history }: FetchOverlayDeps, subject: string, known: KnownSubject) {
  const stamp = history.lastOf(subject)
  const isKnown = known.asOf !== undefined && compareStamps(stamp, known.asOf) <= 0
  return { head: { id: known.id, stamp, asOf: history.asOf() }, isKnown }
}

function pathsPart(deps: FetchOverlayDeps, known: KnownSubject): FetchOverlayPart {
  const { head, isKnown } = headOf(deps, pathsSubject, known)
  if (isKnown) return { ...head, kind: { $case: 'unchanged', value: true } }
  const paths = deps.store.view((tx) => deps.source.paths(tx)).map(nodePathToProto)
  return { ...head, kind: { $case: 'paths', value: { paths } } }
}

function networkPart(deps: FetchOverlayDeps, node: NodeId, known: KnownSubject): FetchOverlayPart {
  const id = networkId(known.id)
  const { head, isKnown } = headOf(deps, networkSubject(id), known)
  return deps.store.view((tx): FetchOverlayPart => {
    const view = heldView(deps, tx, { id, node })
    if (view === undefined) return { ...head, kind: { $case: 'notHeld', value: true } }
    if (isKnown) return { ...head, kind: { $case: 'unchanged', value: true } }
    return { ...head, kind: { $case: 'view', value: networkViewToProto(view) } }
  })
}

function heldView(
  { source }: FetchOverlayDeps,
  tx: ReadTx,
  { id, node }: { readonly id: ReturnType<typeof networkId>; readonly node: NodeId },
) {
  return source.isHeldBy(tx, id, node) ? source.view(tx, id) : undefined
}
