// Asks the kernel which way a packet would take: `ip route get`, in the host, the data plane or a container.
import { enterNamespace } from './data-plane.ts'
import { objects, parseJson, textOf } from './json.ts'
import type { Kernel } from './kernel.ts'
import { familyOf } from './overlay-state.ts'
import { mtuOf } from './parse-observed.ts'

export type RouteAnswer =
  | {
      readonly kind: 'route'
      /** To the asking namespace itself. */
      readonly isLocal: boolean
      readonly dev: string
      /** Empty: the destination is a neighbour. */
      readonly gateway: string
      /** What the sender would choose; empty for packets that are forwarded. */
      readonly source: string
      /** 0: the route says none. */
      readonly mtu: number
    }
  /** In the kernel's words: "No route to host". */
  | { readonly kind: 'none'; readonly why: string }

export interface RouteQuestion {
  /** A container's namespace; undefined: that of `namespace`. */
  readonly netns?: string
  readonly namespace: 'host' | 'dataPlane'
  readonly destination: string
  /** Of a packet that comes in by a device, from an address. */
  readonly forwarded?: { readonly from: string; readonly by: string }
}

export async function routeGet(
  kernel: Pick<Kernel, 'run'>,
  { netns, namespace, destination, forwarded }: RouteQuestion,
): Promise<RouteAnswer> {
  const enter = netns === undefined ? [] : enterNamespace(netns)
  const how = forwarded === undefined ? [] : ['from', forwarded.from, 'iif', forwarded.by]
  const family = `-${familyOf(destination)}`
  const argv = [...enter, 'ip', family, '-j', 'route', 'get', destination, ...how]
  const { code, stdout, stderr } = await kernel.run(namespace, argv)
  if (code !== 0) return { kind: 'none', why: reason(stderr, code) }
  return parseRouteGet(stdout)
}

/** Answer of `ip -j route get`. */
export function parseRouteGet(text: string): RouteAnswer {
  const [route] = objects(parseJson(text))
  if (route === undefined) return { kind: 'none', why: 'ip says nothing' }
  const type = textOf(route.type) || 'unicast'
  // IPv6 answers with the route that refuses, IPv4 with an error.
  if (['unreachable', 'blackhole', 'prohibit'].includes(type)) {
    return { kind: 'none', why: noRoute }
  }
  return {
    kind: 'route',
    isLocal: type === 'local',
    dev: textOf(route.dev),
    gateway: textOf(route.gateway) || textOf(route.via),
    source: textOf(route.prefsrc),
    mtu: Number(mtuOf(route) || 0),
  }
}

/** What the kernel says where a route of type unreachable is met. */
export const noRoute = 'No route to host'

function reason(stderr: string, code: number): string {
  const said = /RTNETLINK answers: (.*)/.exec(stderr)?.[1]
  return said ?? (stderr.trim() || `ip ended with ${code}`)
}
