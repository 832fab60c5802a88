// The node's network on a real kernel: a simulated host and a client, each a network namespace, and fake containers.
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock } from '../../proto/lib/clock.ts'
import { runCommand } from '../../proto/lib/command.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import type { HostPort, NetworkAttachment } from '../../worker/executor/network-attacher.ts'
import { createNodeNetwork, type NodeNetwork } from '../../worker/network/node-network.ts'
import { createBench, eventually, type FakeContainer, type NetnsBench } from '../support/netns.ts'

const hostAddress = '10.77.0.1'
const clientAddress = '10.77.0.2'
const never = new AbortController().signal

interface World {
  readonly bench: NetnsBench
  readonly host: string
  readonly client: string
  readonly network: NodeNetwork
  /** A second daemon on the same directories, as after a restart. */
  again(): NodeNetwork
}

async function aWorld(t: Test): Promise<World> {
  const bench = await createBench()
  const [host, client] = [await bench.namespace('host'), await bench.namespace('client')]
  await bench.run(host, [
    'ip',
    'link',
    'add',
    'eth0',
    'type',
    'veth',
    'peer',
    'eth0',
    'netns',
    client,
  ])
  for (const [file, address] of [
    [host, hostAddress],
    [client, clientAddress],
  ] as const) {
    await bench.run(file, ['ip', 'addr', 'add', `${address}/24`, 'dev', 'eth0'])
    await bench.run(file, ['ip', 'link', 'set', 'eth0', 'up'])
  }
  const networks: NodeNetwork[] = []
  const create = (): NodeNetwork => {
    const network = createNodeNetwork({
      runDir: join(bench.dir, 'run'),
      hostNamespaceFile: host,
      run: runCommand,
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
    })
    networks.push(network)
    return network
  }
  const network = create()
  t.teardown(async () => {
    await network.purge()
    for (const each of networks) each.close()
    await bench.dispose()
  })
  await network.start()
  return { bench, host, client, network, again: create }
}

interface Attached {
  readonly container: FakeContainer
  readonly attachment: NetworkAttachment
  readonly address: string
}

async function attach(
  { bench, network }: World,
  id: string,
  ports: readonly HostPort[] = [],
): Promise<Attached> {
  const container = await bench.container()
  const request = { containerId: id, name: id, pid: container.pid, endpoints: [], ports }
  const attachment = await network.attach(request, never)
  const [address = ''] = (attachment.endpoints[0]?.addresses[0] ?? '').split('/')
  return { container, attachment, address }
}

/** A server that answers every connection or datagram with the address of its client. */
async function serve(
  { bench }: World,
  enter: readonly string[],
  protocol: 'tcp' | 'udp',
  port: number,
): Promise<void> {
  const listen = protocol === 'tcp' ? 'TCP4-LISTEN' : 'UDP4-RECVFROM'
  bench.daemon([
    ...enter,
    'socat',
    `${listen}:${port},fork,reuseaddr`,
    'SYSTEM:echo $SOCAT_PEERADDR',
  ])
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  await eventually(async () => {
    const table = await runCommand([...enter, 'cat', `/proc/net/${protocol}`])
    return table.stdout.includes(`:${hex} 00000000:0000 ${protocol === 'tcp' ? '0A' : '07'}`)
  }, `a server waits on port ${port}`)
}

/** What the server says to a client in the namespace; empty when there is no answer. */
async function ask(
  enter: readonly string[],
  protocol: 'tcp' | 'udp',
  address: string,
  port: number,
): Promise<string> {
  const to = protocol === 'tcp' ? 'TCP4' : 'UDP4'
  const argv = [...enter, 'socat', '-t1', '-T2', '-', `${to}:${address}:${port}`]
  const option = protocol === 'tcp' ? ',connect-timeout=1' : ''
  argv.push(`${argv.pop()}${option}`)
  return (await runCommand(argv, { input: 'x\n', timeoutMs: 5_000 })).stdout.trim()
}

const inNs = (file: string): readonly string[] => ['nsenter', `--net=${file}`, '--']

t.test('containers reach one another, the outside and are reached by their host', async (t) => {
  const world = await aWorld(t)
  const a = await attach(world, 'a')
  const b = await attach(world, 'b')
  t.not(a.address, b.address)
  await serve(world, a.container.enter, 'tcp', 80)
  t.equal(await ask(b.container.enter, 'tcp', a.address, 80), b.address, 'container to container')
  t.equal(await ask(inNs(world.host), 'tcp', a.address, 80), '169.254.77.1', 'host to container')
  await serve(world, inNs(world.client), 'tcp', 8080)
  const seen = await ask(a.container.enter, 'tcp', clientAddress, 8080)
  t.equal(seen, hostAddress, 'the outside sees the host')
  await serve(world, inNs(world.client), 'udp', 5353)
  t.equal(await ask(a.container.enter, 'udp', clientAddress, 5353), hostAddress)
})
