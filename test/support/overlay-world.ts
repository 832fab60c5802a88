// Three nodes on one LAN, each with its own network and data plane, and a client beside them: for end-to-end tests of the
// overlay. Node N is 10.99.0.N (and fd99::N); the state all are told is made by hand with overlay-builders.ts.
import { join } from 'node:path'
import type { Test } from 'tap'
import { systemClock } from '../../proto/lib/clock.ts'
import { type RunCommand, runCommand } from '../../proto/lib/command.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import type { Stamp } from '../../proto/objects/assignment.ts'
import { nodeId } from '../../proto/objects/ids.ts'
import type { NetworkView, NodePath } from '../../proto/objects/overlay.ts'
import type { HostPort, NetworkAttachment } from '../../worker/executor/network-attacher.ts'
import { createNodeNetwork, type NodeNetwork } from '../../worker/network/node-network.ts'
import { NodeConditions } from '../../worker/node-conditions.ts'
import { createBench, type FakeContainer, type NetnsBench } from './netns.ts'
import { aPath } from './overlay-builders.ts'
import { endTalks, endTalksIn } from './talk.ts'

export const clientAddress = '10.99.0.100'
export const clientAddress6 = 'fd99::100'

export interface OverlayNode {
  readonly number: number
  readonly address: string
  /** File of the host's namespace, and of its data plane. */
  readonly host: string
  readonly dataPlane: string
  readonly network: NodeNetwork
  /** What it tells that does not work. */
  readonly conditions: NodeConditions
  /** A second daemon on the same directories, as after a restart. */
  again(): NodeNetwork
}

export interface OverlayWorld {
  readonly bench: NetnsBench
  /** The wire between them: its bridge is br0, the port of node N is pN. */
  readonly lan: string
  readonly client: string
  readonly nodes: readonly OverlayNode[]
  readonly paths: readonly NodePath[]
  /** Tells all nodes, and waits until their kernels hold it. */
  tell(views: readonly NetworkView[], other?: Telling): Promise<void>
  node(number: number): OverlayNode
  /** Removes everything of it. */
  dispose(): Promise<void>
}

export interface Telling {
  /** Default: those of the three nodes. */
  readonly paths?: readonly NodePath[]
  /** Default: all. */
  readonly to?: readonly number[]
}

export interface WorldOptions {
  readonly hasIpv6?: boolean
  /** As a daemon has it; default: this process forks. */
  readonly runOften?: RunCommand
}

/** A world that the test removes at its end. */
export async function anOverlayWorld(t: Test, options: WorldOptions = {}): Promise<OverlayWorld> {
  const world = await createOverlayWorld(options)
  t.teardown(() => world.dispose())
  return world
}

/** The caller removes it. */
export async function createOverlayWorld(options: WorldOptions = {}): Promise<OverlayWorld> {
  const bench = await createBench()
  const nodes: OverlayNode[] = []
  const networks: NodeNetwork[] = []
  const dispose = async (): Promise<void> => {
    await endTalks()
    for (const { network } of nodes) await network.purge()
    for (const network of networks) network.close()
    await bench.dispose()
  }
  try {
    return { ...(await startNodes(bench, nodes, networks, options)), dispose }
  } catch (err) {
    await dispose()
    throw err
  }
}

/** Tells of nodes and networks as soon as they are there, so that they can be removed whatever comes. */
async function startNodes(
  bench: NetnsBench,
  nodes: OverlayNode[],
  networks: NodeNetwork[],
  options: WorldOptions,
): Promise<Omit<OverlayWorld, 'dispose'>> {
  const lan = await bench.namespace('lan')
  await bench.run(lan, ['ip', 'link', 'add', 'br0', 'type', 'bridge'])
  await bench.run(lan, ['ip', 'link', 'set', 'br0', 'up'])
  const numbers = [1, 2, 3]
  const client = await bench.namespace('client')
  await connect(bench, lan, client, 100)
  for (const number of numbers) {
    const host = await bench.namespace(`host${number}`)
    await connect(bench, lan, host, number)
    const conditions = new NodeConditions()
    const create = (): NodeNetwork => {
      const network = createNodeNetwork({
        runDir: join(bench.dir, `run${number}`),
        hostNamespaceFile: host,
        conditions,
        run: runCommand,
        runOften: options.runOften ?? runCommand,
        clock: systemClock,
        random: systemRandom,
        log: silentLogger,
      })
      networks.push(network)
      return network
    }
    const dataPlane = join(bench.dir, `run${number}/network/dataplane.netns`)
    const address = `10.99.0.${number}`
    const network = create()
    nodes.push({ number, address, host, dataPlane, network, conditions, again: create })
    await network.start()
  }
  const transit6 = (number: number): readonly string[] =>
    options.hasIpv6 === true ? [`fd7f::${number}`] : []
  const paths = numbers.map((number) =>
    aPath(number, { transit: [`100.127.0.${number}`, ...transit6(number)] }),
  )
  let index = 0
  return {
    bench,
    lan,
    client,
    nodes,
    paths,
    node: (number) => found(nodes.find((node) => node.number === number)),
    tell: async (views, { paths: told = paths, to = numbers } = {}) => {
      index += 1
      const stamp: Stamp = { epoch: 1, index }
      const chosen = nodes.filter(({ number }) => to.includes(number))
      await Promise.all(
        chosen.map(({ number, network }) =>
          network.setOverlay({ nodeId: nodeId(`n${number}`), paths: told, views }, stamp),
        ),
      )
    },
  }
}

function found<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('there is no such thing')
  return value
}

async function connect(
  bench: NetnsBench,
  lan: string,
  file: string,
  number: number,
): Promise<void> {
  const port = `p${number}`
  const lines = [
    `link add ${port} type veth peer name eth0 netns ${file}`,
    `link set ${port} master br0 up`,
  ]
  await bench.run(lan, ['ip', '-batch', '-'], `${lines.join('\n')}\n`)
  const inside = [
    `addr add 10.99.0.${number}/24 dev eth0`,
    `addr add fd99::${number}/64 dev eth0 nodad`,
    'link set eth0 up',
  ]
  await bench.run(file, ['ip', '-batch', '-'], `${inside.join('\n')}\n`)
}

export interface OverlayContainer {
  readonly id: string
  readonly node: OverlayNode
  readonly process: FakeContainer
  readonly attachment: NetworkAttachment
}

export interface Joining {
  readonly id: string
  /** Number of the node. */
  readonly on: number
  /** Addresses with prefix length, by the number of the network. */
  readonly networks: readonly (readonly [network: number, ...addresses: string[]])[]
  readonly ports?: readonly HostPort[]
}

/** A container on networks of the cluster. */
export async function joinNetworks(
  world: OverlayWorld,
  { id, on, networks, ports = [] }: Joining,
): Promise<OverlayContainer> {
  const made = await world.bench.container()
  const kill = async (): Promise<void> => {
    await Promise.all([made.kill(), endTalksIn(made.enter)])
  }
  const process = { ...made, kill }
  const node = world.node(on)
  const endpoints = networks.map(([network, ...addresses]) => ({
    networkId: `net${network}`,
    addresses,
    aliases: [],
  }))
  const request = { containerId: id, name: id, pid: process.pid, endpoints, ports }
  const attachment = await node.network.attach(request, new AbortController().signal)
  return { id, node, process, attachment }
}

export const inNs = (file: string): readonly string[] => ['nsenter', `--net=${file}`, '--']

/** Whether one echo request is answered; `bytes` is its payload. */
export async function pings(
  enter: readonly string[],
  address: string,
  bytes = 56,
): Promise<boolean> {
  const argv = [...enter, 'busybox', 'ping', '-c1', '-W2', '-s', `${bytes}`, address]
  return (await runCommand(argv)).code === 0
}
