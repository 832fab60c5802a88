// SCTP over three nodes, by hand on a kernel that has it (see README.md): a virtual address, and a port of the mesh with the
// client's own address. `node build/test/platforms/sctp.test.js`.
import t from 'tap'
import { runCommand } from '../../proto/lib/command.ts'
import { hasSctp } from '../../worker/kernel-sctp.ts'
import { eventually } from '../support/netns.ts'
import {
  aNetwork,
  anIngressPort,
  aServiceEndpoint,
  aTaskEndpoint,
  aView,
} from '../support/overlay-builders.ts'
import { anOverlayWorld, clientAddress, inNs, joinNetworks } from '../support/overlay-world.ts'

t.setTimeout(1_200_000)

const vip = '10.9.0.2'
const port = 7777

async function ask(enter: readonly string[], to: string): Promise<string> {
  // SCTP knows no half-closed association: the end of the question must not end it.
  const argv = [...enter, 'socat', '-t5', '-T20', '-', `SCTP4-CONNECT:${to},shut-none`]
  const { stdout } = await runCommand(argv, { input: 'x\n', timeoutMs: 60_000 })
  return stdout.trim()
}

/** The first answer that comes: on an emulated machine a server may be long in starting. */
async function answer(enter: readonly string[], to: string): Promise<string> {
  let said = ''
  const isThere = async (): Promise<boolean> => {
    said = await ask(enter, to)
    return said !== ''
  }
  await eventually(isThere, `an answer of ${to}`, 120_000)
  return said
}

t.test('associations of SCTP are led like connections', async (t) => {
  t.ok(await hasSctp(runCommand), 'this kernel has SCTP')
  const world = await anOverlayWorld(t)
  const view = aView(aNetwork(9, { isIngress: true }), {
    services: [
      aServiceEndpoint('site', {
        vips: [vip],
        ports: [anIngressPort({ protocol: 'sctp', targetPort: 99, publishedPort: port })],
      }),
    ],
    tasks: [1, 2].map((node) => aTaskEndpoint(`site.${node}`, node, [`10.9.0.1${node}`])),
  })
  const serving = (...nodes: readonly number[]) => ({
    ...view,
    tasks: view.tasks.map((task, i) => ({ ...task, isServing: nodes.includes(i + 1) })),
  })
  await world.tell([serving(1)])
  const [one, two] = await Promise.all(
    [1, 2].map((on) =>
      joinNetworks(world, { id: `site.${on}`, on, networks: [[9, `10.9.0.1${on}/24`]] }),
    ),
  )
  for (const container of [one, two]) {
    world.bench.daemon([
      ...(container?.process.enter ?? []),
      ...['socat', 'SCTP4-LISTEN:99,fork,reuseaddr'],
      `SYSTEM:read line; echo ${container?.id} $SOCAT_PEERADDR`,
    ])
  }
  const second = two?.process.enter ?? []
  t.equal(await answer(second, `${vip}:99`), 'site.1 10.9.0.12', 'by the virtual address')
  for (const { address, number } of world.nodes) {
    const said = await answer(inNs(world.client), `${address}:${port}`)
    t.equal(said, `site.1 ${clientAddress}`, `at node ${number}, with the client's address`)
  }
  await world.tell([serving(2)])
  const said = await answer(inNs(world.client), `${world.node(3).address}:${port}`)
  t.equal(said, `site.2 ${clientAddress}`, 'it follows the service')
  await world.tell([serving()])
  t.equal(await ask(second, `${vip}:99`), '', 'and is refused without a task')
  for (const { network } of world.nodes) t.same(await network.audit(), [])
})
