// Gives a container that runs an interface on one more network, and takes it away again. What it is created with is
// attachment.ts's.
import { SwarmError } from '../../proto/errors.ts'
import type { ConnectRequest, NetworkAttachment } from '../executor/network-attacher.ts'
import {
  type AttachmentDeps,
  connectEndpoint,
  describeAttachment,
  disconnectEndpoint,
  newOverlayEndpoint,
  requireNetns,
  requireRecord,
} from './attachment.ts'
import { inheritLines, leaveLines } from './desired-kernel.ts'
import { isAlive } from './host-view.ts'
import { planConnection } from './interface-plan.ts'
import { type NetworkRecord, stateOf } from './network-record.ts'
import { defaultVxlanPort, type Endpoint } from './network-state.ts'

/** What an interface needs of the cluster is in its endpoint. */
const localOnly = { overlay: undefined, vxlanPort: defaultVxlanPort }

/** Errors: as NetworkAttacher.connect; nothing is left then. */
export async function connectContainer(
  deps: AttachmentDeps,
  request: ConnectRequest,
  signal: AbortSignal,
): Promise<NetworkAttachment> {
  const { containerId, name, endpoint: asked } = request
  const netns = requireNetns(request)
  // A half-made one of an earlier life of the daemon.
  await disconnectContainer(deps, containerId, asked.networkId)
  const own = endpointsOf(deps, containerId)
  if (own.length === 0) {
    const message = `container ${name} cannot be connected to a network: it has no network of its own`
    throw new SwarmError('NOT_FOUND', message)
  }
  const plan = planConnection(request, own, deps.overlay)
  const endpoint = newOverlayEndpoint(deps, { containerId, netns, plan })
  deps.journal.append({ kind: 'attached', endpoint })
  try {
    await connectEndpoint(deps, endpoint)
    signal.throwIfAborted()
  } catch (err) {
    await disconnectContainer(deps, containerId, asked.networkId)
    throw err
  }
  return await describeAttachment(endpointsOf(deps, containerId))
}

/** A no-op where there is no such interface. Errors: UNAVAILABLE when the kernel does not answer. */
export async function disconnectContainer(
  deps: AttachmentDeps,
  containerId: string,
  networkId: string,
): Promise<NetworkAttachment> {
  const own = endpointsOf(deps, containerId)
  const gone = own.find((endpoint) => endpoint.networkId === networkId)
  if (gone === undefined) return await describeAttachment(own)
  const left = heirsOf(gone, own)
  const isLiving = isAlive(gone.netns)
  try {
    if (isLiving) await deps.kernel.ipIn(gone.netns.path, leaveLines(gone))
    await disconnectEndpoint(deps, gone)
  } finally {
    // Forgotten in any case: what is left in the kernel is then removed as nobody's.
    const record = withEndpoints(requireRecord(deps.journal), containerId, left)
    deps.journal.append({ kind: 'compacted', record })
  }
  for (const heir of left.filter((endpoint) => isLiving && !own.includes(endpoint))) {
    await deps.kernel.ipIn(
      heir.netns.path,
      inheritLines(heir, stateOf(requireRecord(deps.journal), [], localOnly)),
    )
  }
  return await describeAttachment(left)
}

/**
 * The interfaces that are left, with what the one that goes did for all: the default route goes to the first that leads
 * outside, the way to the resolver to the first of an overlay network.
 */
export function heirsOf(gone: Endpoint, own: readonly Endpoint[]): readonly Endpoint[] {
  const left = own.filter((endpoint) => endpoint !== gone)
  const leadsOut = gone.isSecondary !== true && gone.overlay?.isInternal !== true
  const out = leadsOut ? left.find(({ overlay }) => overlay?.isInternal !== true) : undefined
  const names = resolvesNames(gone) ? left.find(({ overlay }) => overlay !== undefined) : undefined
  return left.map((endpoint) => {
    if (endpoint !== out && endpoint !== names) return endpoint
    return {
      ...endpoint,
      ...(endpoint === out ? { isSecondary: false } : {}),
      ...(endpoint === names ? { resolvesNames: true } : {}),
    }
  })
}

function resolvesNames({ resolvesNames, isSecondary }: Endpoint): boolean {
  return resolvesNames ?? isSecondary !== true
}

function endpointsOf({ journal }: AttachmentDeps, containerId: string): readonly Endpoint[] {
  return requireRecord(journal).endpoints.filter((endpoint) => endpoint.containerId === containerId)
}

/** Addresses of overlay networks are the cluster's, so the node's own pool stays as it is. */
function withEndpoints(
  record: NetworkRecord,
  containerId: string,
  own: readonly Endpoint[],
): NetworkRecord {
  const others = record.endpoints.filter((endpoint) => endpoint.containerId !== containerId)
  return { ...record, endpoints: [...others, ...own] }
}
