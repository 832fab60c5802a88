// What services need of the kernel: for each virtual address and each published port a chain that picks a task. Pure.
import { isWildcardBind } from '../../proto/objects/bind-address.ts'
import {
  type IngressPort,
  type OverlayNetwork,
  type ServiceEndpoint,
  type TaskEndpoint,
  targetPortAt,
} from '../../proto/objects/overlay.ts'
import { doorFamily, loopback6 } from './doors.ts'
import type { Way } from './flows.ts'
import { doorOf } from './ingress-ports.ts'
import { type AddressFamily, routeItem } from './items.ts'
import type { ChainRules } from './kernel-state.ts'
import { familyOf, ofFamily } from './overlay-state.ts'
import {
  type NetworkContext,
  type Piece,
  type PieceCache,
  type Pieces,
  remembered,
  suffixed,
  type TableElement,
} from './pieces.ts'
import { claimKey } from './port-claims.ts'
import { openTo } from './port-sources.ts'
import { portChain, vipChain } from './service-chains.ts'

const vipPieces: PieceCache = new WeakMap()
const portPieces: PieceCache = new WeakMap()

export function compileServices(context: NetworkContext): Pieces {
  const { doors, blocked } = context
  const { services, tasks, network } = context.view
  const byService = new Map<string, TaskEndpoint[]>()
  for (const task of tasks) {
    const known = byService.get(task.serviceId)
    if (known === undefined) byService.set(task.serviceId, [task])
    else known.push(task)
  }
  return services.flatMap((service): Pieces => {
    const own = byService.get(service.serviceId) ?? []
    const ports = network.isIngress ? service.ports : []
    return [
      [
        service,
        remembered(vipPieces, service, [network.id, ...context.families, ...own], () =>
          vipPiece(context, service, own),
        ),
      ],
      ...ports.map(
        (port) =>
          [
            port,
            remembered(
              portPieces,
              port,
              [context.own, doors, blocked.has(keyOf(port)), ...context.families, ...own],
              () => portPiece(context, port, own),
            ),
          ] as const,
      ),
    ]
  })
}

function addressesOf(tasks: readonly TaskEndpoint[], family: AddressFamily): readonly string[] {
  return tasks.flatMap(({ addresses }) => ofFamily(addresses, family))
}

function vipPiece(
  { view, families }: NetworkContext,
  { serviceId, vips }: ServiceEndpoint,
  members: readonly TaskEndpoint[],
): Piece {
  const tasks = members.filter(({ isServing }) => isServing)
  const used = vips.filter((vip) => families.includes(familyOf(vip)))
  const name = (family: AddressFamily): string => `svc${family}_${tagOf(view.network)}_${serviceId}`
  return {
    // The node itself answers what is for nobody: echo requests, and refusals when there is no backend.
    // In the kernel's own table of local addresses: an echo request is answered from no others once there are rules (ip rule).
    items: used.map((vip) => routeItem(vip, { type: 'local', dev: 'lo' }, { table: 'local' })),
    chains: used.map((vip) => {
      const family = familyOf(vip)
      return [name(family), vipChain(family, addressesOf(tasks, family))] as const
    }),
    elements: used.map((vip) => ({
      namespace: 'dataPlane',
      set: suffixed('vips', familyOf(vip)),
      element: `${vip} : jump ${name(familyOf(vip))}`,
    })),
    ways: used.map((vip) => wayOf(vip, familyOf(vip), { serving: tasks, members })),
  }
}

/** Tells the chains of one service on several networks apart. */
function tagOf({ vni, id, isLocal }: OverlayNetwork): string {
  return isLocal === true ? `${id}` : `${vni}`
}

function portPiece(
  context: NetworkContext,
  port: IngressPort,
  members: readonly TaskEndpoint[],
): Piece {
  // In the middle of an update some may not take it.
  const serving = members.filter((task) => task.isServing && targetPortAt(task, port) !== undefined)
  const local = serving.filter(({ nodeId }) => nodeId === context.own.nodeId)
  const tasks = port.isLocalFirst && local.length > 0 ? local : serving
  const { bindAddress } = port
  const families = context.families.filter(
    (family) => bindAddress === '' || doorFamily(bindAddress) === family,
  )
  const opened = families.map((family) => openPort(context, port, family))
  return {
    chains: opened.map(({ chain, family }) => [chain, portRules(port, family, tasks)] as const),
    elements: opened.flatMap(({ elements }) => elements),
    ways: opened.map(({ at, family }) => {
      const sources = openTo(port.sources, family)
      const way = wayOf(at, family, { serving: tasks, members })
      return sources === undefined ? way : { ...way, openTo: sources }
    }),
  }
}

function wayOf(
  at: string,
  family: AddressFamily,
  { serving, members }: Readonly<Record<'serving' | 'members', readonly TaskEndpoint[]>>,
): Way {
  return { at, serving: addressesOf(serving, family), members: addressesOf(members, family) }
}

function keyOf({ protocol, publishedPort: port, bindAddress }: IngressPort): string {
  return claimKey({ protocol, port, bindAddress })
}

interface OpenPort {
  readonly family: AddressFamily
  readonly chain: string
  readonly at: string
  readonly elements: readonly TableElement[]
}

function openPort(
  { doors, blocked }: NetworkContext,
  published: IngressPort,
  family: AddressFamily,
): OpenPort {
  const { protocol, publishedPort, bindAddress, isFirewallFirst } = published
  const door = doorOf(published, family, doors)
  const port = `${protocol} . ${publishedPort}`
  const chain = `pub${family}_${protocol}_${publishedPort}_${door.replace(/[.:]/g, '_')}`
  const open: TableElement = isWildcardBind(bindAddress)
    ? {
        namespace: 'host',
        set: suffixed(isFirewallFirst ? 'firewalled' : 'published', family),
        element: port,
      }
    : {
        namespace: 'host',
        set: suffixed('published_at', family),
        element: `${bindAddress} . ${port} : ${door}`,
      }
  const lead: TableElement = {
    namespace: 'dataPlane',
    set: suffixed('ingress_ports', family),
    element: `${door} . ${port} : jump ${chain}`,
  }
  const isClosed = blocked.has(keyOf(published)) || bindAddress === loopback6
  const elements = isClosed ? [lead] : [lead, open]
  return { family, chain, at: `${door} ${protocol} ${publishedPort}`, elements }
}

function portRules(
  port: IngressPort,
  family: AddressFamily,
  tasks: readonly TaskEndpoint[],
): ChainRules {
  const { protocol, isMasqueraded, sources } = port
  const backends = tasks.flatMap((task) => {
    const target = targetPortAt(task, port)
    if (target === undefined) return []
    return ofFamily(task.addresses, family).map((address) => ({ address, port: target }))
  })
  const options = { family, protocol, backends, isMasqueraded }
  return portChain({ ...options, sources: openTo(sources, family) })
}
