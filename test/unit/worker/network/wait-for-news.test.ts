import t, { type Test } from 'tap'
import type { HostPort } from '../../../../worker/executor/network-attacher.ts'
import type { OverlayKeeper } from '../../../../worker/network/overlay-keeper.ts'
import {
  type News,
  waitForNetworks,
  waitForPorts,
} from '../../../../worker/network/wait-for-news.ts'
import {
  aKeeper,
  aNetwork,
  anIngressPort,
  anOverlay,
  aServiceEndpoint,
  aView,
} from '../../../support/overlay-builders.ts'
import { SimulatedKernel } from '../../../support/simulated-kernel.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const stamp = { epoch: 1, index: 1 }
const never = new AbortController().signal
const mesh = (...bindAddresses: readonly string[]): ReturnType<typeof anOverlay> => {
  const ports = bindAddresses.map((bindAddress) => anIngressPort({ bindAddress }))
  const services = [aServiceEndpoint('web', { ports })]
  return anOverlay([aView(aNetwork(9, { isIngress: true }), { services })])
}
const port = (more: Partial<HostPort> = {}): HostPort => ({
  ...{ protocol: 'tcp', targetPort: 80, publishedPort: 8080 },
  ...more,
})

function aNode(t: Test): News & { readonly overlay: OverlayKeeper; readonly clock: VirtualClock } {
  const clock = new VirtualClock()
  const overlay = aKeeper(t, new SimulatedKernel(), clock)
  overlay.set(mesh('10.0.0.5'), stamp)
  return { overlay, clock }
}

t.test('a port of the mesh is waited for until the node hears that it is free', async (t) => {
  const { overlay, clock } = aNode(t)
  t.equal(overlay.meshes([port()]), true)
  let isFree = false
  const waiting = waitForPorts({ overlay, clock }, [port()], never).then(() => {
    isFree = true
  })
  overlay.set(mesh('10.0.0.5', '10.0.0.6'), stamp)
  await clock.advance(4_000)
  t.equal(isFree, false)
  overlay.set(mesh(), stamp)
  await waiting
  t.equal(overlay.meshes([port()]), false)
})

t.test('only the same port at a common address is waited for', async (t) => {
  const { overlay } = aNode(t)
  for (const other of [
    { publishedPort: 8081 },
    { protocol: 'udp' as const },
    { bindAddress: '10.0.0.6' },
    { bindAddress: '::' },
    { publishedPort: 0 },
  ]) {
    t.equal(overlay.meshes([port(other)]), false, JSON.stringify(other))
  }
  t.equal(overlay.meshes([port({ bindAddress: '0.0.0.0' })]), true)
  t.equal(overlay.meshes([port({ bindAddress: '10.0.0.5' })]), true)
})

t.test('the wait ends, for whoever plans the port to say why not', async (t) => {
  const { overlay, clock } = aNode(t)
  const waiting = waitForPorts({ overlay, clock }, [port()], never)
  await clock.advance(5_000)
  await waiting
  t.equal(overlay.meshes([port()]), true)
})

t.test('a wait that is given up rejects with the reason', async (t) => {
  const news = aNode(t)
  const ending = new AbortController()
  const ports = waitForPorts(news, [port()], ending.signal)
  const networks = waitForNetworks(news, { name: 'web.1', networks: ['net7'] }, ending.signal)
  ending.abort(new Error('stopped'))
  await t.rejects(ports, { message: 'stopped' })
  await t.rejects(networks, { message: 'stopped' })
})

t.test('a network of which nothing is heard is named', async (t) => {
  const news = aNode(t)
  await waitForNetworks(news, { name: 'web.1', networks: ['net9'] }, never)
  const waiting = waitForNetworks(news, { name: 'web.1', networks: ['net9', 'net7'] }, never)
  const rejected = t.rejects(waiting, {
    code: 'NOT_FOUND',
    message: /container web\.1 asks for networks net9, net7/,
  })
  await news.clock.advance(10_000)
  await rejected
})
