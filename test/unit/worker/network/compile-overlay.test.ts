// What the kernel holds of a network that is each node's own, beside one over all nodes.
import t from 'tap'
import type { NetworkView } from '../../../../proto/objects/overlay.ts'
import { compileOverlay } from '../../../../worker/network/compile-overlay.ts'
import { desiredKernel } from '../../../../worker/network/desired-kernel.ts'
import type { Endpoint } from '../../../../worker/network/network-state.ts'
import { aNetworkState, anEndpoint } from '../../../support/network-builders.ts'
import {
  aNetwork,
  anOverlay,
  aServiceEndpoint,
  aTaskEndpoint,
  aView,
} from '../../../support/overlay-builders.ts'

function kernelOf(views: readonly NetworkView[]) {
  const endpoints = views.map(({ network: { id } }, at): Endpoint => {
    const address = `10.${at + 1}.0.11`
    return anEndpoint({ containerId: `c${at}`, networkId: id, address, link: `v${at}` })
  })
  const overlay = compileOverlay({
    ...{ overlay: anOverlay(views), endpoints, wanted: new Set<string>() },
    ...{ vxlanPort: 4789, dataPlaneFile: '/run/d.netns' },
    ...{ doors: new Map(), blocked: new Set<string>(), mtus: new Map() },
  })
  const { dataPlane } = desiredKernel(aNetworkState({ endpoints, overlay }), '/run/d.netns')
  const items = dataPlane.items.map(({ kind, key }) => `${kind} ${key}`)
  const elements = (name: string) =>
    dataPlane.table.sets.find((set) => set.name === name)?.elements.filter((one) => /^10/.test(one))
  return { dataPlane, items, elements }
}

/** web.1 on this node and web.2 on another, as the node is told: of its own tasks only. */
function near(number: number, network: Parameters<typeof aNetwork>[1] = {}): NetworkView {
  return aView(aNetwork(number, { isLocal: true, vni: 0, mtu: 1500, ...network }), {
    services: [aServiceEndpoint('web', { vips: [`10.${number}.0.2`] })],
    tasks: [aTaskEndpoint('web.1', 1, [`10.${number}.0.11`])],
  })
}

t.test(
  'a local network has subnets and services in the kernel, and no way to a node',
  async (t) => {
    const { items, elements, dataPlane } = kernelOf([near(1), near(2, { isInternal: true })])
    t.same(
      items.filter((item) => /^(link|fdb|neighbour) vx(?!ffffff)/.test(item)),
      [],
    )
    t.notOk([...dataPlane.sysctls.keys()].some((path) => /vx(?!ffffff)/.test(path)))
    for (const route of ['10.1.0.0/24', '10.1.0.11', '10.2.0.0/24', '10.2.0.11']) {
      t.ok(items.includes(`route ${route}`), route)
    }
    t.same(elements('same_network'), ['10.1.0.0/24 . 10.1.0.0/24', '10.2.0.0/24 . 10.2.0.0/24'])
    t.same(elements('egress'), ['10.1.0.0/24'], 'an internal one leads nowhere')
    t.same(elements('vips'), ['10.1.0.2 : jump svc4_net1_web', '10.2.0.2 : jump svc4_net2_web'])
    const { serviceChains } = dataPlane.table
    const toOwn = (address: string) => [`meta l4proto { tcp, udp, sctp } dnat ip to ${address}`]
    t.same(serviceChains.get('svc4_net1_web'), toOwn('10.1.0.11'))
    t.same(serviceChains.get('svc4_net2_web'), toOwn('10.2.0.11'), 'each network its own chain')
  },
)

t.test('one over all nodes beside it has its device', async (t) => {
  const { items } = kernelOf([aView(aNetwork(1)), near(2)])
  t.ok(items.includes('link vx100001'))
  t.notOk(items.includes('link vx0'))
})
