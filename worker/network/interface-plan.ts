// Which interfaces a container gets for the networks it asks for, and which of them leads outside. Pure.

import { SwarmError } from '../../proto/errors.ts'
import type { NetworkView } from '../../proto/objects/overlay.ts'
import type { InterfaceSysctl } from '../../proto/spec/endpoint-options.ts'
import type { AttachRequest, ConnectRequest, EndpointConfig } from '../executor/network-attacher.ts'
import type { AddressFamily } from './items.ts'
import { type Endpoint, localNetworkId, type OverlayInterface } from './network-state.ts'
import { familyOf, type OverlayState, ofFamily, ownPath } from './overlay-state.ts'

/** What is known of overlay networks. */
export interface OverlayLookup {
  readonly state: OverlayState | undefined
  view(networkId: string): NetworkView | undefined
}

export interface InterfacePlan {
  readonly networkId: string
  /** Name inside the container. */
  readonly device: string
  /** Undefined: it is the only one. */
  readonly isSecondary: boolean | undefined
  /** Whether it leads to the node's resolver; undefined: if it is not secondary. */
  readonly resolvesNames: boolean | undefined
  /** As asked for. */
  readonly addresses: readonly string[]
  /** Undefined: of the local network. */
  readonly overlay: OverlayAddress | undefined
  readonly sysctls: readonly InterfaceSysctl[]
}

export interface OverlayAddress {
  readonly address: string
  readonly prefix: number
  readonly how: OverlayInterface
}

/** Networks of the request that are not the local one. */
export function overlayNetworks({ endpoints }: Pick<AttachRequest, 'endpoints'>): string[] {
  return endpoints.map(({ networkId }) => networkId).filter((id) => id !== localNetworkId)
}

/**
 * One interface a network, in the order asked for; none asked for means the local network.
 * Errors: NOT_FOUND (network), INVALID_ARGUMENT (a network twice, addresses).
 */
export function planInterfaces(
  request: AttachRequest,
  lookup: OverlayLookup,
): readonly InterfacePlan[] {
  const asked = request.endpoints.length === 0 ? [anyLocal] : request.endpoints
  requireDistinct(request, asked)
  const views = asked.map((endpoint) => viewOf(request, endpoint, lookup))
  const primary = primaryOf(views)
  // The resolver knows askers by their addresses on overlay networks.
  const names = views.findIndex((view) => view !== undefined)
  const isLocalFirst = views[primary] === undefined && names >= 0
  return asked.map((endpoint, index) => ({
    networkId: endpoint.networkId,
    device: `eth${index}`,
    isSecondary: asked.length === 1 ? undefined : index !== primary,
    resolvesNames: isLocalFirst ? index === names : undefined,
    addresses: endpoint.addresses,
    overlay: overlayAddress(request, endpoint, views[index], lookup),
    sysctls: endpoint.sysctls ?? [],
  }))
}

/** `own`: the interfaces that the container has. Errors: NOT_FOUND (network), INVALID_ARGUMENT (addresses). */
export function planConnection(
  request: ConnectRequest,
  own: readonly Endpoint[],
  lookup: OverlayLookup,
): InterfacePlan {
  const { networkId, addresses } = request.endpoint
  const view = viewOf(request, request.endpoint, lookup)
  const leadsOut = own.some(
    ({ isSecondary, overlay }) => isSecondary !== true && overlay?.isInternal !== true,
  )
  const isNamed = own.some(
    ({ isSecondary, overlay, resolvesNames }) =>
      overlay !== undefined && (resolvesNames ?? isSecondary !== true),
  )
  return {
    networkId,
    device: freeDevice(own),
    isSecondary: leadsOut,
    resolvesNames: !isNamed,
    addresses,
    overlay: overlayAddress(request, request.endpoint, view, lookup),
    sysctls: request.endpoint.sysctls ?? [],
  }
}

function freeDevice(own: readonly Endpoint[]): string {
  const taken = new Set(own.map(({ device }) => device ?? 'eth0'))
  let number = 0
  while (taken.has(`eth${number}`)) number += 1
  return `eth${number}`
}

const anyLocal: EndpointConfig = { networkId: localNetworkId, addresses: [], aliases: [] }

function requireDistinct(request: AttachRequest, asked: readonly EndpointConfig[]): void {
  const ids = asked.map(({ networkId }) => networkId)
  const twice = ids.find((id, index) => ids.indexOf(id) !== index)
  if (twice === undefined) return
  const message = `container ${request.name} asks for network "${twice}" twice`
  throw new SwarmError('INVALID_ARGUMENT', message)
}

function viewOf(
  request: Pick<AttachRequest, 'name'>,
  { networkId }: EndpointConfig,
  lookup: OverlayLookup,
): NetworkView | undefined {
  if (networkId === localNetworkId) return undefined
  const view = lookup.view(networkId)
  if (view !== undefined) return view
  const message = `container ${request.name} asks for network "${networkId}", which this node does not have`
  throw new SwarmError('NOT_FOUND', message)
}

/** The ingress network when there is one, so that answers leave as they came; else the first that leads outside. */
function primaryOf(views: readonly (NetworkView | undefined)[]): number {
  const ingress = views.findIndex((view) => view?.network.isIngress === true)
  if (ingress >= 0) return ingress
  return Math.max(
    0,
    views.findIndex((view) => view?.network.isInternal !== true),
  )
}

function overlayAddress(
  request: Pick<AttachRequest, 'name'>,
  endpoint: EndpointConfig,
  view: NetworkView | undefined,
  lookup: OverlayLookup,
): OverlayAddress | undefined {
  if (view === undefined) return undefined
  const own = lookup.state && ownPath(lookup.state)
  const { network } = view
  const [address = '', prefix = ''] = withPrefix(endpoint, network.subnets, 4)?.split('/') ?? []
  const address6 = withPrefix(endpoint, network.subnets, 6)
  if (own === undefined || address === '' || !/^\d+$/.test(prefix)) {
    const what = own === undefined ? 'this node has no path in the overlay' : 'it got no address'
    const message = `container ${request.name} cannot join network "${network.name}": ${what} from the cluster`
    throw new SwarmError('INVALID_ARGUMENT', message)
  }
  const families = new Set([4, ...(address6 === undefined ? [] : [familyOf(address6)])])
  return {
    address,
    prefix: Number(prefix),
    how: {
      mtu: network.mtu,
      gateways: own.transit.filter((transit) => families.has(familyOf(transit))),
      gatewayMac: own.mac,
      subnets: network.subnets,
      isInternal: network.isInternal,
      ...(address6 === undefined ? {} : { address6 }),
    },
  }
}

/** The address of that family; its prefix length is the subnet's where the cluster told none. */
function withPrefix(
  { addresses }: EndpointConfig,
  subnets: readonly string[],
  family: AddressFamily,
): string | undefined {
  const [address] = ofFamily(addresses, family)
  if (address === undefined || address.includes('/')) return address
  return `${address}/${ofFamily(subnets, family)[0]?.split('/')[1] ?? ''}`
}
