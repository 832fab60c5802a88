import t from 'tap'
import { dataPlaneElements, hostPlaces } from '../../../../worker/network/port-elements.ts'
import { anEndpoint, aPort } from '../../../support/network-builders.ts'

const bound = aPort({ bindAddress: '10.0.0.5', door: '169.254.77.4', publishedPort: 81 })
const local = anEndpoint()
const dual = anEndpoint({
  address: '10.1.0.5',
  overlay: {
    mtu: 1450,
    gateways: [],
    gatewayMac: '',
    subnets: [],
    isInternal: false,
    address6: 'fd01::5/64',
  },
})

t.test('a port on all addresses is one element, a bound one names address and door', async (t) => {
  t.same(hostPlaces(aPort()), [{ set: 'published', element: 'tcp . 8080' }])
  t.same(hostPlaces(aPort({ bindAddress: '0.0.0.0' })), hostPlaces(aPort()))
  t.same(hostPlaces(bound), [
    { set: 'published_at', element: '10.0.0.5 . tcp . 81 : 169.254.77.4' },
  ])
  t.same(dataPlaneElements(bound, local), [
    { set: 'host_ports', element: '169.254.77.4 . tcp . 81 : 172.30.0.1 . 80' },
  ])
})

t.test('a port of both families is opened in both', async (t) => {
  const port = aPort({ door6: 'fd77::2' })
  t.same(hostPlaces(port), [
    { set: 'published', element: 'tcp . 8080' },
    { set: 'published6', element: 'tcp . 8080' },
  ])
  t.same(dataPlaneElements(port, dual), [
    { set: 'host_ports', element: '169.254.77.2 . tcp . 8080 : 10.1.0.5 . 80' },
    { set: 'host_ports6', element: 'fd77::2 . tcp . 8080 : fd01::5 . 80' },
  ])
  t.match(hostPlaces({ ...port, door: '169.254.77.128', door6: 'fd77::2:128' }), [
    { set: 'firewalled' },
    { set: 'firewalled6' },
  ])
})

t.test('a port on IPv6 leads to the address of the node where the network has none', async (t) => {
  const port = aPort({ bindAddress: 'fd99::5', door: 'fd77::1:4' })
  t.same(hostPlaces(port), [{ set: 'published_at6', element: 'fd99::5 . tcp . 8080 : fd77::1:4' }])
  const endpoint = anEndpoint({ nodeAddress6: 'fd77:2::ac1e:1' })
  t.same(dataPlaneElements(port, endpoint), [
    { set: 'host_ports6', element: 'fd77::1:4 . tcp . 8080 : fd77:2::ac1e:1 . 80' },
  ])
  t.same(dataPlaneElements(port, local), [], 'and nowhere without')
})

t.test(
  'what is bound to ::1 is not opened by the kernel, and leads on from its door',
  async (t) => {
    const port = aPort({ bindAddress: '::1', door: '169.254.77.5' })
    t.same(hostPlaces(port), [])
    t.same(dataPlaneElements(port, local), [
      { set: 'host_ports', element: '169.254.77.5 . tcp . 8080 : 172.30.0.1 . 80' },
    ])
  },
)

t.test('a port with sources is guarded in each family', async (t) => {
  const port = aPort({ door6: 'fd77::2', sources: ['192.0.2.9/24', '192.0.2.7', '127.0.0.1'] })
  t.same(dataPlaneElements(port, dual), [
    { set: 'guarded', element: '169.254.77.2 . tcp . 8080' },
    { set: 'host_sources', element: '169.254.77.2 . tcp . 8080 . 192.0.2.0/24' },
    { set: 'host_sources', element: '169.254.77.2 . tcp . 8080 . 127.0.0.1' },
    { set: 'host_sources', element: '169.254.77.2 . tcp . 8080 . 169.254.77.1' },
    { set: 'host_ports', element: '169.254.77.2 . tcp . 8080 : 10.1.0.5 . 80' },
    { set: 'guarded6', element: 'fd77::2 . tcp . 8080' },
    { set: 'host_sources6', element: 'fd77::2 . tcp . 8080 . fd77::1' },
    { set: 'host_ports6', element: 'fd77::2 . tcp . 8080 : fd01::5 . 80' },
  ])
  t.same(
    dataPlaneElements(aPort({ sources: ['0.0.0.0/0', '10.0.0.0/8'] }), local).map(({ set }) => set),
    ['host_ports'],
    'open to all of the family',
  )
})
