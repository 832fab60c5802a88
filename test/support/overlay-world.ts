// Three nodes on one LAN, each with its own network and data plane, and a client beside them: for end-to-end tests of the
// overlay. Node N is 10.99.0.N (and fd99::N); the state all are told is made by hand with overlay-builders.ts.
import type { ChildProcess } from 'node:child_process'
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
import { createBench, eventually, type FakeContainer, type NetnsBench } from './netns.ts'
import { aPath } from './overlay-builders.ts'

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
  const process = await world.bench.container()
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

export type Transport = 'tcp' | 'udp'

/** A server that answers each connection or datagram with its own name and the address of its client. */
export async function serve(
  { bench }: OverlayWorld,
  enter: readonly string[],
  where: `${Transport}:${number}`,
  name: string,
): Promise<ChildProcess> {
  const [protocol, number] = where.split(':')
  const port = Number(number)
  const listen = protocol === 'tcp' ? 'TCP6-LISTEN' : 'UDP6-RECVFROM'
  // Ten ask at once, and by default five may wait.
  const backlog = protocol === 'tcp' ? ',backlog=64' : ''
  const server = bench.daemon([
    ...enter,
    'socat',
    `${listen}:${port},fork,reuseaddr,ipv6only=0${backlog}`,
    `SYSTEM:read line; echo ${name} $SOCAT_PEERADDR`,
  ])
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  await eventually(async () => {
    const table = await runCommand([...enter, 'cat', `/proc/net/${protocol}6`])
    return new RegExp(`:${hex} 0+:0000 ${protocol === 'tcp' ? '0A' : '07'}`).test(table.stdout)
  }, `a server waits on port ${port}`)
  return server
}

/** What the server says to a client in the namespace; empty when there is no answer. */
export async function ask(
  enter: readonly string[],
  protocol: Transport,
  address: string,
  port: number,
): Promise<string> {
  const family = address.includes(':') ? 6 : 4
  const to = family === 6 ? `[${address}]` : address
  const option = protocol === 'tcp' ? ',connect-timeout=1' : ''
  const target = `${protocol.toUpperCase()}${family}:${to}:${port}${option}`
  const argv = [...enter, 'socat', '-t1', '-T2', '-', target]
  const { stdout } = await runCommand(argv, { input: 'x\n', timeoutMs: 5_000 })
  return plain(stdout.trim())
}

/** Asks until each of the answers came, and no other did; fails after 100 tries. */
export async function answers(
  enter: readonly string[],
  where: readonly [Transport, string, number],
  expected: readonly string[],
): Promise<readonly string[]> {
  const seen = new Set<string>()
  // A server that forks for each datagram is late when the machine is busy: once more, then it counts.
  const hear = async (): Promise<string> => {
    const answer = await ask(enter, ...where)
    return answer === '' && !expected.includes('') ? ask(enter, ...where) : answer
  }
  for (let round = 0; round < 10; round++) {
    const ten = Array.from({ length: 10 }, hear)
    for (const answer of await Promise.all(ten)) seen.add(answer)
    if (expected.every((answer) => seen.has(answer))) break
  }
  return [...seen].sort()
}

/** IPv4 addresses of an IPv6 socket as such, and IPv6 addresses in short form. */
function plain(text: string): string {
  return text.replace(/\[([0-9a-f:.]+)\]/g, (_, address: string) => {
    const mapped = /^(?:0000:){5}ffff:([0-9a-f]{4}):([0-9a-f]{4})$/.exec(address)
    if (mapped === null) return address.replace(/\b0{1,3}/g, '').replace(/:(0:)+/, '::')
    const words = [mapped[1] ?? '', mapped[2] ?? ''].map((word) => Number.parseInt(word, 16))
    return words.map((word) => `${word >> 8}.${word & 255}`).join('.')
  })
}

/** Whether one echo request is answered; `bytes` is its payload. */
export async function pings(
  enter: readonly string[],
  address: string,
  bytes = 56,
): Promise<boolean> {
  const argv = [...enter, 'busybox', 'ping', '-c1', '-W1', '-s', `${bytes}`, address]
  return (await runCommand(argv)).code === 0
}
