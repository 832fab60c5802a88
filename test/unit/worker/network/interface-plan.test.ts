import t from 'tap'
import type { AttachRequest } from '../../../../worker/executor/network-attacher.ts'
import {
  type InterfacePlan,
  type OverlayLookup,
  overlayNetworks,
  planInterfaces,
} from '../../../../worker/network/interface-plan.ts'
import { aNetwork, anOverlay, aPath, aView } from '../../../support/overlay-builders.ts'

const views = [
  aView(aNetwork(1)),
  aView(aNetwork(2, { isInternal: true })),
  aView(aNetwork(9, { isIngress: true, subnets: ['10.9.0.0/24', 'fd09::/64'] })),
]
const transit = ['100.127.0.1', 'fd7f::1']
const lookup: OverlayLookup = {
  state: anOverlay(views, { paths: [aPath(1, { transit })] }),
  view: (id) => views.find(({ network }) => network.id === id),
}

const asking = (...endpoints: readonly (readonly [string, ...string[]])[]): AttachRequest => ({
  containerId: 'c1',
  name: 'web.1',
  pid: 1,
  endpoints: endpoints.map(([networkId, ...addresses]) => ({ networkId, addresses, aliases: [] })),
  ports: [],
})

const shape = (plans: readonly InterfacePlan[]): unknown =>
  plans.map(({ networkId, device, isSecondary }) => [networkId, device, isSecondary])

t.test('without a network a container is on the local one alone', async (t) => {
  t.same(shape(planInterfaces(asking(), lookup)), [['local', 'eth0', undefined]])
  t.same(overlayNetworks(asking(['local'], ['net1'])), ['net1'])
})

t.test('the default route is with ingress, else with the first that leads outside', async (t) => {
  const one = ['net1', '10.1.0.5/24'] as const
  const internal = ['net2', '10.2.0.5/24'] as const
  const ingress = ['net9', '10.9.0.5/24'] as const
  t.same(shape(planInterfaces(asking(internal, one, ingress), lookup)), [
    ['net2', 'eth0', true],
    ['net1', 'eth1', true],
    ['net9', 'eth2', false],
  ])
  t.same(shape(planInterfaces(asking(internal, ['local']), lookup)), [
    ['net2', 'eth0', true],
    ['local', 'eth1', false],
  ])
  t.same(shape(planInterfaces(asking(internal), lookup)), [['net2', 'eth0', undefined]])
})

t.test('an interface knows all that is needed to make it again', async (t) => {
  const [first] = planInterfaces(asking(['net9', '10.9.0.5/24', 'fd09::5/64']), lookup)
  t.same(first?.overlay, {
    address: '10.9.0.5',
    prefix: 24,
    how: {
      mtu: 1450,
      gateways: ['100.127.0.1', 'fd7f::1'],
      gatewayMac: '02:00:00:00:01:01',
      subnets: ['10.9.0.0/24', 'fd09::/64'],
      isInternal: false,
      address6: 'fd09::5/64',
    },
  })
  const [only4] = planInterfaces(asking(['net9', '10.9.0.5/24']), lookup)
  t.same(only4?.overlay?.how.gateways, ['100.127.0.1'])
})

t.test('an address as the cluster gives it has the prefix length of its subnet', async (t) => {
  const [bare] = planInterfaces(asking(['net9', '10.9.0.5', 'fd09::5']), lookup)
  const [whole] = planInterfaces(asking(['net9', '10.9.0.5/24', 'fd09::5/64']), lookup)
  t.same(bare?.overlay, whole?.overlay)
})

t.test('what cannot be is refused by container and network', async (t) => {
  t.throws(() => planInterfaces(asking(['net7', '10.7.0.5/24']), lookup), {
    code: 'NOT_FOUND',
    message: /container web\.1 asks for network "net7"/,
  })
  t.throws(() => planInterfaces(asking(['net1', '10.1.0.5/24'], ['net1']), lookup), {
    code: 'INVALID_ARGUMENT',
    message: /"net1" twice/,
  })
  t.throws(() => planInterfaces(asking(['net1']), lookup), {
    code: 'INVALID_ARGUMENT',
    message: /cannot join network "net1": it got no address/,
  })
  const nowhere = { ...lookup, state: anOverlay(views, { paths: [] }) }
  t.throws(() => planInterfaces(asking(['net1', '10.1.0.5/24']), nowhere), {
    message: /this node has no path/,
  })
})
