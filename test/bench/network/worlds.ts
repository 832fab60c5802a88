// The data planes that the network benchmark compares: made by the product's own code, each in namespaces of its own, all
// there at once, so that they can be measured in turn.
import type { NetworkView, NodePath } from '../../../proto/objects/overlay.ts'
import {
  aNetwork,
  aPath,
  aServiceEndpoint,
  aTaskEndpoint,
  aView,
} from '../../support/overlay-builders.ts'
import {
  createOverlayWorld,
  inNs,
  joinNetworks,
  type OverlayWorld,
} from '../../support/overlay-world.ts'
import type { Way } from './load.ts'

/** Of the service. */
export const vip = '10.1.0.2'
const clientAddress = '10.1.0.11'
/** Tasks of the service on another node than the client's. */
export const backends: readonly string[] = ['10.1.0.12', '10.1.0.13', '10.1.0.14', '10.1.0.15']

export interface StreamWorld {
  readonly world: OverlayWorld
  readonly client: readonly string[]
  /** Of each backend. */
  readonly servers: readonly (readonly string[])[]
}

export interface StreamWorldOptions {
  /** Nodes that are only known, more than the three. Default: none. */
  readonly peers?: number
  /** Of the wire; the network takes what VXLAN leaves of it. Default: 1,500. */
  readonly wireMtu?: number
}

/** What VXLAN over IPv4 takes of each packet. */
const vxlanBytes = 50

/** A client on node 1, and a service with its tasks on node 2. */
export async function aStreamWorld({
  peers = 0,
  wireMtu = 1_500,
}: StreamWorldOptions = {}): Promise<StreamWorld> {
  const world = await createOverlayWorld()
  try {
    await widenWire(world, wireMtu)
    const views = viewsOf(wireMtu - vxlanBytes)
    const paths = [...world.paths, ...unreachedPaths(peers)]
    await world.tell(views, { paths })
    const join = (id: string, on: number, address: string) =>
      joinNetworks(world, { id, on, networks: [[1, `${address}/24`]] })
    const client = await join('client.1', 1, clientAddress)
    const servers: (readonly string[])[] = []
    for (const [at, address] of backends.entries()) {
      servers.push((await join(`web.${at + 1}`, 2, address)).process.enter)
    }
    await world.tell(views, { paths })
    return { world, client: client.process.enter, servers }
  } catch (err) {
    await world.dispose()
    throw err
  }
}

/** The same without any rule of nft, in the hosts and in their data planes: routes, devices and neighbours stay. */
export async function withoutNft(made: StreamWorld): Promise<StreamWorld> {
  const { bench, nodes } = made.world
  for (const { host, dataPlane } of nodes) {
    for (const file of [host, dataPlane]) await bench.run(file, ['nft', 'flush', 'ruleset'])
  }
  return made
}

export function overlayWay({ client, servers }: StreamWorld): Way {
  return { client, server: servers[0] ?? [], address: backends[0] ?? '' }
}

/** The wire below: from host to host. */
export function hostWay({ world }: StreamWorld): Way {
  const [one, two] = [world.node(1), world.node(2)]
  return { client: inNs(one.host), server: inNs(two.host), address: two.address }
}

async function widenWire({ bench, lan, nodes }: OverlayWorld, mtu: number): Promise<void> {
  for (const { number, host } of nodes) {
    await bench.run(lan, ['ip', 'link', 'set', `p${number}`, 'mtu', `${mtu}`])
    await bench.run(host, ['ip', 'link', 'set', 'eth0', 'mtu', `${mtu}`])
  }
  await bench.run(lan, ['ip', 'link', 'set', 'br0', 'mtu', `${mtu}`])
}

const viewsOf = (mtu: number): readonly NetworkView[] => [
  aView(aNetwork(1, { mtu }), {
    services: [aServiceEndpoint('web', { vips: [vip] }), aServiceEndpoint('client')],
    tasks: [
      aTaskEndpoint('client.1', 1, [clientAddress]),
      ...backends.map((address, at) => aTaskEndpoint(`web.${at + 1}`, 2, [address])),
    ],
  }),
  // It makes a node hold a way back to every other one.
  aView(aNetwork(9, { isIngress: true })),
]

const firstUnreached = 1_000

/** Nodes that nobody is at. */
function unreachedPaths(count: number): readonly NodePath[] {
  return Array.from({ length: count }, (_, at) => {
    const number = firstUnreached + at
    const [high, low] = [number >> 8, number & 255]
    const hex = [high, low].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
    return aPath(number, {
      dataPathAddress: `10.98.${high}.${low}`,
      transit: [`100.127.${high}.${low}`],
      mac: `02:00:00:01:${hex}`,
    })
  })
}
