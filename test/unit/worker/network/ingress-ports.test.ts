import t from 'tap'
import {
  chooseDoors,
  ingressPorts,
  loopbackPorts,
  portClaims,
} from '../../../../worker/network/ingress-ports.ts'
import type { OverlayState } from '../../../../worker/network/overlay-state.ts'
import { anEndpoint, aPort } from '../../../support/network-builders.ts'
import {
  aNetwork,
  anIngressPort,
  anOverlay,
  aServiceEndpoint,
  aView,
} from '../../../support/overlay-builders.ts'

const withPorts = (...addresses: readonly string[]): OverlayState => {
  const ports = addresses.map((bindAddress, index) =>
    anIngressPort({ bindAddress, publishedPort: 8080 + index }),
  )
  const services = [aServiceEndpoint('web', { ports })]
  return anOverlay([aView(aNetwork(9, { isIngress: true }), { services })])
}

t.test('each bind address has a door, shared with ports in host mode', async (t) => {
  const held = aPort({ bindAddress: '10.0.0.5', door: '169.254.77.9' })
  const other = aPort({ bindAddress: '10.0.0.6', door: '169.254.77.4' })
  const doors = chooseDoors(
    withPorts('', '127.0.0.1', '10.0.0.5', '127.0.0.1', 'fd99::1'),
    [held, other],
    new Map(),
  )
  t.same(
    doors,
    new Map([
      ['10.0.0.5', '169.254.77.9'],
      ['127.0.0.1', '169.254.77.5'],
      ['fd99::1', 'fd77::1:4'],
    ]),
  )
})

t.test('doors stay as they were, and are the same value when nothing changed', async (t) => {
  const first = chooseDoors(withPorts('127.0.0.1', '10.0.0.5'), [], new Map())
  t.equal(chooseDoors(withPorts('127.0.0.1', '10.0.0.5'), [], first), first)
  t.same(chooseDoors(withPorts('10.0.0.5'), [], first), new Map([['10.0.0.5', '169.254.77.5']]))
  t.same(chooseDoors(anOverlay([]), [], first), new Map())
})

t.test('an address too many gets none', async (t) => {
  const many = Array.from({ length: 252 }, (_, index) => `10.0.0.${index + 1}`)
  t.equal(chooseDoors(withPorts(...many), [], new Map()).size, 124)
})

t.test('ports of the mesh hold ports of the host', async (t) => {
  const state = withPorts('', '127.0.0.1')
  const doors = chooseDoors(state, [], new Map())
  t.same(ingressPorts(state, doors), [
    aPort(),
    aPort({ publishedPort: 8081, bindAddress: '127.0.0.1', door: '169.254.77.4' }),
  ])
  const wildcards = withPorts('0.0.0.0', '::')
  t.same(chooseDoors(wildcards, [], new Map()), new Map(), 'all addresses need no door')
  t.match(ingressPorts(wildcards, new Map()), [
    { bindAddress: '0.0.0.0', door: '169.254.77.2' },
    { bindAddress: '::', door: 'fd77::2' },
  ])
  t.equal(ingressPorts(withPorts('fd99::1'), new Map())[0]?.door, 'fd77::2')
  t.same(ingressPorts(undefined, doors), [])
})

t.test('ports on all addresses that are not blocked answer on ::1', async (t) => {
  const state = withPorts('', '0.0.0.0', '127.0.0.1', '')
  const ports = (blocked: readonly string[]): readonly number[] =>
    loopbackPorts(ingressPorts(state, new Map()), new Set(blocked)).map(({ port }) => port)
  t.same(ports([]), [8080, 8083])
  t.same(ports(['tcp/8083/', 'tcp/8080/127.0.0.1']), [8080])
  const alone = withPorts('::1')
  const doors = chooseDoors(alone, [], new Map())
  t.same(
    loopbackPorts(ingressPorts(alone, doors), new Set()),
    [{ protocol: 'tcp', port: 8080, to: '169.254.77.4' }],
    'what is bound to ::1 goes to its door',
  )
  const onAll = loopbackPorts(ingressPorts(withPorts('::'), new Map()), new Set())
  t.match(onAll, [{ to: 'fd77::2' }], 'all of IPv6 are led on over IPv6')
  const sctp = aPort({ protocol: 'sctp', bindAddress: '::1' })
  t.same(loopbackPorts([sctp, aPort({ bindAddress: 'fd99::1' })], new Set()), [])
})

t.test('what is claimed names its service or container', async (t) => {
  const own = anEndpoint({ containerId: 'c1', ports: [aPort({ publishedPort: 81 })] })
  t.match(portClaims(withPorts('127.0.0.1'), [own]), [
    { port: 8080, bindAddress: '127.0.0.1', owner: 'service "web"', isOpen: false },
    { port: 81, bindAddress: '', owner: 'container c1', isOpen: true },
  ])
  t.same(portClaims(undefined, []), [])
})

t.test('ports left to the firewall have doors of their own', async (t) => {
  const ports = ['', '10.0.0.5', 'fd99::1', '::'].map((bindAddress, index) =>
    anIngressPort({ bindAddress, publishedPort: 8090 + index, isFirewallFirst: true }),
  )
  const open = anIngressPort({ bindAddress: '10.0.0.5' })
  const services = [aServiceEndpoint('web', { ports: [...ports, open] })]
  const state = anOverlay([aView(aNetwork(9, { isIngress: true }), { services })])
  const doors = chooseDoors(state, [], new Map())
  t.same(
    ingressPorts(state, doors).map(({ door }) => door),
    ['169.254.77.128', '169.254.77.129', 'fd77::2:129', 'fd77::2:128', '169.254.77.4'],
  )
  const shared = aPort({ bindAddress: '10.0.0.5', door: '169.254.77.200' })
  t.match(chooseDoors(state, [shared], new Map()).get('10.0.0.5 firewall-first'), '169.254.77.200')
})
