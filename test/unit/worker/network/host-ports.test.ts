import fc from 'fast-check'
import t from 'tap'
import { seededRandom } from '../../../../proto/lib/random.ts'
import type { HostPort } from '../../../../worker/executor/network-attacher.ts'
import { type HostView, planHostPorts } from '../../../../worker/network/host-ports.ts'
import { aPort } from '../../../support/network-builders.ts'

const random = seededRandom(1)
const aView = (view: Partial<HostView> = {}): HostView => ({
  published: [],
  meshed: [],
  listening: [],
  addresses: ['10.0.0.5', 'fd99::5'],
  hasIpv6: true,
  isDual: false,
  ...view,
})
const asked = (port: Partial<HostPort> = {}): HostPort => ({
  protocol: 'tcp',
  targetPort: 80,
  publishedPort: 8080,
  ...port,
})

t.test('a free port is opened on all addresses', async (t) => {
  t.same(planHostPorts([asked()], aView(), random), [aPort()])
  const everyIpv4 = aPort({ bindAddress: '0.0.0.0' })
  t.same(planHostPorts([asked({ bindAddress: '0.0.0.0' })], aView(), random), [everyIpv4])
  t.same(planHostPorts([asked({ bindAddress: '' })], aView(), random), [aPort()])
})

t.test('the same number is free for another protocol', async (t) => {
  const view = aView({ published: [aPort({ protocol: 'udp' })] })
  t.same(planHostPorts([asked()], view, random), [aPort()])
})

t.test('a port of another container, a process or the same request is in use', async (t) => {
  const inUse = { code: 'ADDRESS_IN_USE', message: /port 8080\/tcp/ }
  t.throws(() => planHostPorts([asked()], aView({ published: [aPort()] }), random), inUse)
  t.throws(() => planHostPorts([asked()], aView({ meshed: [aPort()] }), random), {
    ...inUse,
    message: /in use by a service that publishes it on every node/,
  })
  const socket = { protocol: 'tcp' as const, port: 8080, address: '127.0.0.53' }
  t.throws(() => planHostPorts([asked()], aView({ listening: [socket] }), random), {
    ...inUse,
    message: /a process of this host on 127\.0\.0\.53/,
  })
  t.throws(() => planHostPorts([asked(), asked()], aView(), random), inUse)
  const process = { name: 'nginx', pid: 7 }
  const any = aView({ listening: [{ ...socket, address: '0.0.0.0', process }] })
  t.throws(() => planHostPorts([asked({ bindAddress: '10.0.0.5' })], any, random), {
    ...inUse,
    message: /by nginx \(7\) on all addresses/,
  })
  const ipv6 = aView({ listening: [{ ...socket, address: '::' }] })
  t.equal(planHostPorts([asked()], ipv6, random).length, 1, 'the container has IPv4 only')
  t.throws(() => planHostPorts([asked()], { ...ipv6, isDual: true }, random), inUse)
})

t.test('with a container of both families all addresses are those of both', async (t) => {
  const view = aView({ isDual: true })
  t.same(planHostPorts([asked()], view, random), [aPort({ door6: 'fd77::2' })])
  const firewalled = planHostPorts([asked({ isFirewallFirst: true })], view, random)
  t.match(firewalled, [{ door: '169.254.77.128', door6: 'fd77::2:128' }])
  const [bound] = planHostPorts([asked({ bindAddress: '0.0.0.0' })], view, random)
  t.equal(bound?.door6, undefined)
})

t.test('IPv6 addresses are doors of their own, and do not meet those of IPv4', async (t) => {
  const at = (bindAddress: string): HostPort => asked({ bindAddress })
  const ports = ['0.0.0.0', '::'].map(at)
  t.match(planHostPorts(ports, aView(), random), [
    { bindAddress: '0.0.0.0', door: '169.254.77.2' },
    { bindAddress: '::', door: 'fd77::2' },
  ])
  const [long] = planHostPorts([at('FD99:0:0::5')], aView(), random)
  t.match(long, { bindAddress: 'fd99::5', door: 'fd77::1:4' })
  const held = aView({ published: [aPort({ bindAddress: '::', door: 'fd77::2' })] })
  t.throws(() => planHostPorts([at('fd99::5')], held, random), { code: 'ADDRESS_IN_USE' })
  t.throws(() => planHostPorts([at('')], held, random), { code: 'ADDRESS_IN_USE' })
  t.throws(() => planHostPorts([at('::')], aView({ hasIpv6: false }), random), {
    code: 'INVALID_ARGUMENT',
    message: /this host has no IPv6/,
  })
})

t.test('::1 has an IPv4 door, and is taken by programs that wait there only', async (t) => {
  const port = asked({ bindAddress: '::1' })
  t.match(planHostPorts([port], aView(), random), [{ bindAddress: '::1', door: '169.254.77.4' }])
  const waiting = (address: string | undefined): HostView =>
    aView({ listening: [{ protocol: 'tcp', port: 8080, address }] })
  for (const address of ['::1', '::', undefined]) {
    t.throws(() => planHostPorts([port], waiting(address), random), { code: 'ADDRESS_IN_USE' })
  }
  for (const address of ['0.0.0.0', 'fd99::5', '127.0.0.1']) {
    t.equal(planHostPorts([port], waiting(address), random).length, 1, address)
  }
  const others = [asked(), asked({ bindAddress: '::', publishedPort: 8080 })]
  for (const other of others) t.equal(planHostPorts([other], waiting('::1'), random).length, 1)
})

t.test('source ranges stay with the port', async (t) => {
  const sources = ['192.0.2.0/24']
  t.match(planHostPorts([asked({ sources })], aView(), random), [{ sources }])
  t.equal('sources' in (planHostPorts([asked({ sources: [] })], aView(), random)[0] ?? {}), false)
})

t.test('bound ports meet only on the same address', async (t) => {
  const at = (bindAddress: string): HostPort => asked({ bindAddress })
  const planned = planHostPorts([at('10.0.0.5'), at('127.0.0.1')], aView(), random)
  t.same(
    planned.map(({ bindAddress, door }) => [bindAddress, door]),
    [
      ['10.0.0.5', '169.254.77.4'],
      ['127.0.0.1', '169.254.77.5'],
    ],
  )
  const view = aView({ published: planned })
  const [other] = planHostPorts(
    [asked({ publishedPort: 9, bindAddress: '127.0.0.1' })],
    view,
    random,
  )
  t.equal(other?.door, '169.254.77.5', 'one door for an address')
  t.throws(() => planHostPorts([asked()], view, random), { code: 'ADDRESS_IN_USE' })
  const socket = { protocol: 'tcp' as const, port: 8080, address: '127.0.0.1' }
  const listening = aView({ listening: [socket] })
  t.equal(planHostPorts([at('10.0.0.5')], listening, random).length, 1)
})

t.test('a bind address must be one of this host', async (t) => {
  const plan = (bindAddress: string) => () =>
    planHostPorts([asked({ bindAddress })], aView(), random)
  t.throws(plan('10.9.9.9'), {
    code: 'INVALID_ARGUMENT',
    message: /"10\.9\.9\.9".*there are 10\.0\.0\.5, fd99::5/,
  })
  t.throws(plan('localhost'), { code: 'INVALID_ARGUMENT' })
  t.throws(plan('fd99::6'), { code: 'INVALID_ARGUMENT' })
})

t.test('port 0 gets a free dynamic port, to the last one', async (t) => {
  const [port] = planHostPorts([asked({ publishedPort: 0 })], aView(), random)
  t.ok(port !== undefined && port.publishedPort >= 49_152)
  const all = Array.from({ length: 65_535 - 49_152 + 1 }, (_, i) => 49_152 + i)
  const listening = (except: number | undefined): HostView =>
    aView({
      listening: all
        .filter((number) => number !== except)
        .map((number) => ({ protocol: 'tcp' as const, port: number, address: undefined })),
    })
  const [last] = planHostPorts([asked({ publishedPort: 0 })], listening(60_000), random)
  t.equal(last?.publishedPort, 60_000)
  t.throws(() => planHostPorts([asked({ publishedPort: 0 })], listening(undefined), random), {
    code: 'RESOURCE_EXHAUSTED',
  })
})

t.test('124 bind addresses have doors, one more has none', async (t) => {
  const addresses = Array.from({ length: 125 }, (_, i) => `10.0.1.${i}`)
  const ports = addresses.map((bindAddress) => asked({ bindAddress }))
  const view = aView({ addresses })
  t.equal(new Set(planHostPorts(ports.slice(1), view, random).map(({ door }) => door)).size, 124)
  t.throws(() => planHostPorts(ports, view, random), { code: 'RESOURCE_EXHAUSTED' })
})

t.test('ports left to the firewall have doors of their own', async (t) => {
  const bound = { bindAddress: '10.0.0.5' }
  const ports = [
    asked({ isFirewallFirst: true }),
    asked({ ...bound, publishedPort: 81, isFirewallFirst: true }),
    asked({ ...bound, publishedPort: 82 }),
    asked({ ...bound, publishedPort: 83, isFirewallFirst: true }),
  ]
  t.same(
    planHostPorts(ports, aView(), random).map(({ door }) => door),
    ['169.254.77.128', '169.254.77.129', '169.254.77.4', '169.254.77.129'],
  )
})

t.test('no two containers ever hold the same port of the same address', async (t) => {
  const port = fc.record({
    protocol: fc.constantFrom('tcp' as const, 'udp' as const),
    targetPort: fc.constant(80),
    publishedPort: fc.integer({ min: 0, max: 3 }),
    bindAddress: fc.constantFrom('', '10.0.0.5', '127.0.0.1', '0.0.0.0', '::', 'fd99::5', '::1'),
  })
  fc.assert(
    fc.property(fc.array(port, { maxLength: 20 }), (requests) => {
      const held: ReturnType<typeof aPort>[] = []
      for (const request of requests) {
        try {
          held.push(...planHostPorts([request], aView({ published: held, isDual: true }), random))
        } catch (err) {
          t.match(err, { code: 'ADDRESS_IN_USE' })
        }
      }
      for (const [address, all] of [
        ['10.0.0.5', '0.0.0.0'],
        ['127.0.0.1', '0.0.0.0'],
        ['fd99::5', '::'],
        ['::1', '::'],
      ]) {
        const keys = held
          .filter(({ bindAddress }) => [undefined, address, all].includes(bindAddress))
          .map(({ protocol, publishedPort }) => `${protocol}/${publishedPort}`)
        t.equal(new Set(keys).size, keys.length)
      }
    }),
  )
})
