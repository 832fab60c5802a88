// The lab's network on the real kernel: reach, cut, heal, and nothing left behind.
import { existsSync, readdirSync } from 'node:fs'
import t from 'tap'
import {
  chooseSubnet,
  createTopology,
  cutHost,
  healHost,
  hostAddress,
  inHost,
  type LabNetwork,
  removeTopology,
  topologyExists,
} from '../../cli/lab/topology.ts'
import { runCommand } from '../../proto/lib/command.ts'

const lab = 'topo-test'

async function reaches(network: LabNetwork, from: string, to: string): Promise<boolean> {
  const argv = ['busybox', 'ping', '-c', '1', '-W', '1', hostAddress(network, to)]
  const result = await runCommand(from === 'machine' ? argv : inHost(lab, from, argv))
  return result.code === 0
}

/** Whether a host counts more datagrams in while another one sends it some. */
async function hears(network: LabNetwork, host: string, from: string): Promise<boolean> {
  const received = async (): Promise<number> => {
    const { stdout } = await runCommand(inHost(lab, host, ['cat', '/proc/net/snmp']))
    // InDatagrams and NoPorts: nobody listens.
    const [, , noPorts = ''] =
      stdout
        .split('\n')
        .filter((line) => line.startsWith('Udp:'))[1]
        ?.split(' ') ?? []
    return Number(noPorts)
  }
  const before = await received()
  const text = `for i in 1 2 3; do echo x >/dev/udp/${hostAddress(network, host)}/9; done`
  await runCommand(inHost(lab, from, ['bash', '-c', text]))
  return (await received()) > before
}

t.before(() => removeTopology(lab))

t.test('hosts reach one another, a cut one does not, and down leaves nothing', async (t) => {
  // Only what carries a lab's name: other tests may make links of their own meanwhile.
  const links = async (): Promise<readonly string[]> =>
    (await runCommand(['ip', '-br', 'link'])).stdout
      .split('\n')
      .filter((line) => line.startsWith('tsl'))
  // The folder comes with the first namespace that `ip netns` makes on a machine.
  const names = (): readonly string[] =>
    existsSync('/run/netns')
      ? readdirSync('/run/netns').filter((name) => name.startsWith('tslab-'))
      : []
  const before = { links: await links(), names: names() }
  const network: LabNetwork = { lab, subnet: await chooseSubnet(lab, []), hosts: ['m1', 'w1'] }
  await createTopology(network)
  t.ok(topologyExists(lab))
  t.ok(await reaches(network, 'm1', 'w1'))
  t.ok(await reaches(network, 'm1', 'registry'))
  t.ok(await reaches(network, 'machine', 'w1'))
  await cutHost(lab, 'w1')
  t.notOk(await reaches(network, 'm1', 'w1'))
  await healHost(lab, 'w1')
  t.ok(await reaches(network, 'm1', 'w1'))
  // Nothing answers a datagram, so that one way is seen alone.
  for (const direction of ['in', 'out'] as const) {
    t.equal(await hears(network, 'm1', 'w1'), true)
    t.equal(await hears(network, 'w1', 'm1'), true)
    await cutHost(lab, 'w1', direction)
    t.equal(await hears(network, 'w1', 'm1'), direction === 'out', `w1 hears, cut ${direction}`)
    t.equal(await hears(network, 'm1', 'w1'), direction === 'in', `w1 is heard, cut ${direction}`)
    await healHost(lab, 'w1')
  }
  t.notSame(await chooseSubnet(lab, []), network.subnet, 'a subnet in use is not chosen again')
  await removeTopology(lab)
  t.notOk(topologyExists(lab))
  t.same({ links: await links(), names: names() }, before)
})
