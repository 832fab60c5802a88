// Writing to a real kernel: devices that go and come again under one name, and connections that are forgotten.
import { chmod, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { systemClock } from '../../proto/lib/clock.ts'
import { type RunCommand, runCommand } from '../../proto/lib/command.ts'
import { removeNamespace } from '../../worker/network/data-plane.ts'
import { endpointItems } from '../../worker/network/desired-kernel.ts'
import { forgetFlows } from '../../worker/network/forget-flows.ts'
import { createKernel, type Kernel } from '../../worker/network/kernel.ts'
import { createBench, type NetnsBench } from '../support/netns.ts'
import { aNetworkState, anEndpoint } from '../support/network-builders.ts'
import { untilSeen } from '../support/until.ts'

interface World {
  readonly bench: NetnsBench
  readonly kernel: Kernel
  readonly dataPlaneFile: string
}

async function aWorld(t: Test, runOften: RunCommand = runCommand): Promise<World> {
  const bench = await createBench()
  t.teardown(() => bench.dispose())
  const dataPlaneFile = await bench.namespace('plane')
  const hostNamespaceFile = await bench.namespace('host')
  const clock = systemClock
  const run = runCommand
  const kernel = createKernel({ dataPlaneFile, hostNamespaceFile, run, runOften, clock })
  t.teardown(() => kernel.close())
  await kernel.ensureDataPlane()
  return { bench, kernel, dataPlaneFile }
}

t.test('a device that comes again under its name is another one', async (t) => {
  const { kernel } = await aWorld(t)
  const ip = (lines: readonly string[]) => kernel.ip('dataPlane', lines)
  const makes = (vni: number): readonly string[] => [
    `link add vx${vni} type vxlan id ${vni} dstport 4789 nolearning`,
    `link set vx${vni} up`,
    `route replace 10.1.0.${vni}/32 dev vx${vni}`,
    // Of another program, which does not see the device go.
    `fdb replace 02:00:00:00:00:01 dev vx${vni} dst 192.0.2.1 self static`,
  ]
  kernel.devicesCome(['vx1'])
  t.same(await ip(makes(1)), [])
  t.same(await ip(['link del vx1']), [])
  kernel.devicesWent(['vx1'])
  kernel.devicesCome(['vx2'])
  t.same(await ip(makes(2)), [])

  kernel.devicesCome(['vx1'])
  t.same(await ip(makes(1)), [])

  await kernel.apply([{ kind: 'ip', namespace: 'dataPlane', lines: ['link del vx1'] }])
  kernel.devicesCome(['vx1'])
  t.same(await ip(makes(1)), [], 'also after a comparison, whose lines nobody looks into')
})

t.test('it knows which chains of services it wrote to', async (t) => {
  const { kernel } = await aWorld(t)
  const hourMs = 3_600_000
  const made = ['add table inet tsswarm', 'add chain inet tsswarm svc4_1_web']
  const writing = kernel.nft('dataPlane', made)
  t.ok(kernel.wroteChainWithin('svc4_1_web', 0), 'while it does')
  t.same(await writing, [])
  t.ok(kernel.wroteChainWithin('svc4_1_web', hourMs), 'and for a time')
  t.notOk(kernel.wroteChainWithin('svc4_1_web', 0))
  t.notOk(kernel.wroteChainWithin('svc4_1_db', hourMs), 'of another')
  await kernel.nft('host', ['add table inet tsswarm', 'add chain inet tsswarm svc4_2_web'])
  t.notOk(kernel.wroteChainWithin('svc4_2_web', hourMs), 'nor in the table of the host')
})

const flows = [
  { from: '10.0.0.1', to: '10.1.0.2', by: '10.1.0.5', protocol: 'udp' },
  { from: '10.0.0.2', to: '10.1.0.2', by: '10.1.0.6', protocol: 'udp' },
  { from: '10.0.0.3', to: '10.1.0.2', by: '10.1.0.7', protocol: 'udp' },
  { from: '10.0.0.4', to: '10.1.0.2', by: '10.1.0.7', protocol: 'tcp' },
  { from: 'fd00::1', to: 'fd01::2', by: 'fd01::5', protocol: 'udp' },
  { from: 'fd00::2', to: 'fd01::2', by: 'fd01::6', protocol: 'udp' },
]

/** Makes the kernel follow all of them. */
async function follow({ bench, dataPlaneFile }: World): Promise<void> {
  for (const { from, to, by, protocol } of flows) {
    const state = protocol === 'tcp' ? ['--state', 'SYN_SENT'] : []
    await bench.run(dataPlaneFile, [
      ...['conntrack', '-I', '-p', protocol, '-t', '600', ...state],
      ...['--orig-src', from, '--orig-dst', to, '--orig-port-src', '5', '--orig-port-dst', '6'],
      ...['--reply-src', by, '--reply-dst', from, '--reply-port-src', '6', '--reply-port-dst', '5'],
    ])
  }
}

/** Who answers what is followed still. */
async function followed({ bench, dataPlaneFile }: World): Promise<readonly string[]> {
  const list = 'conntrack -L -f ipv4; conntrack -L -f ipv6'
  const lines = (await bench.run(dataPlaneFile, ['sh', '-c', list])).split('\n')
  const answered = lines.map((line) => /^(\w+) .* src=(\S+) dst=\S+ sport=6 /.exec(line))
  // Without a family older ones list IPv4, newer ones both.
  const found = answered.flatMap((match) => (match === null ? [] : [`${match[1]} ${match[2]}`]))
  return [...new Set(found)].sort()
}

const allOf = (address: string): readonly string[] => [
  ...['-f', address.includes(':') ? 'ipv6' : 'ipv4', '--reply-src', address],
]
const udpTo = (address: string, by: string): readonly string[] => [
  ...['-p', 'udp', '-f', address.includes(':') ? 'ipv6' : 'ipv4'],
  ...['--orig-dst', address, '--reply-src', by],
]

async function forgetsWhatItIsTold(t: Test, world: World): Promise<void> {
  const { kernel } = world
  await forgetFlows(kernel, [allOf('10.1.0.5')])
  t.same(await followed(world), [], 'nothing is followed yet')
  await follow(world)
  t.equal((await followed(world)).length, flows.length)
  await forgetFlows(kernel, [allOf('10.1.0.5'), udpTo('fd01::2', 'fd01::5')])
  t.same(await followed(world), ['tcp 10.1.0.7', 'udp 10.1.0.6', 'udp 10.1.0.7', 'udp fd01::6'])
  await forgetFlows(kernel, [udpTo('10.1.0.2', '10.1.0.7')])
  t.same(await followed(world), ['tcp 10.1.0.7', 'udp 10.1.0.6', 'udp fd01::6'])
  const absent = ['10.1.0.99', '10.1.0.98'].map(allOf)
  await forgetFlows(kernel, [...absent, udpTo('10.1.0.2', '10.1.0.6'), allOf('fd01::6')])
  t.same(await followed(world), ['tcp 10.1.0.7'])
  await forgetFlows(kernel, [['-p', 'tcp', '--state', 'SYN_SENT', ...allOf('10.1.0.7')]])
  t.same(await followed(world), [])
}

t.test('connections are forgotten by what they are told by, and no others', async (t) => {
  await forgetsWhatItIsTold(t, await aWorld(t))
})

t.test('the same with a conntrack that takes no file', async (t) => {
  let path = ''
  const older: RunCommand = (argv, options) => runCommand(argv, { ...options, env: { PATH: path } })
  const world = await aWorld(t, older)
  const program = join(world.bench.dir, 'conntrack')
  const real = (await world.bench.run(undefined, ['sh', '-c', 'command -v conntrack'])).trim()
  await writeFile(program, `#!/bin/sh\n[ "$1" != -R ] || exit 2\nexec ${real} "$@"\n`)
  await chmod(program, 0o755)
  path = `${world.bench.dir}:${process.env['PATH']}`
  await forgetsWhatItIsTold(t, world)
})

t.test('settings of an interface are written where the container is', async (t) => {
  const { bench, kernel } = await aWorld(t)
  const inside = await bench.namespace('inside')
  await bench.run(inside, ['ip', 'link', 'add', 'eth0', 'type', 'bridge'])
  const path = 'net/ipv4/conf/eth0/log_martians'
  t.equal(await kernel.sysctlsIn(inside, new Map([[path, '1']])), undefined)
  t.equal((await bench.run(inside, ['cat', `/proc/sys/${path}`])).trim(), '1')
  const absent = new Map([['net/ipv4/conf/eth0/no_such_setting', '1']])
  t.match(await kernel.sysctlsIn(inside, absent), /no_such_setting/)
})

t.test(
  'the devices of a container go when it ends, though the kernel goes on being written',
  async (t) => {
    const { bench, kernel, dataPlaneFile } = await aWorld(t)
    const { pid, kill } = await bench.container()
    const path = `/proc/${pid}/ns/net`
    const netns = { path, inode: (await stat(path)).ino }
    const state = aNetworkState()
    const lines = endpointItems(anEndpoint({ netns, link: 'v1' }), state).flatMap(
      ({ create }) => create,
    )
    t.same(await kernel.ip('dataPlane', lines), [])
    await kill()
    await untilSeen(
      'the device is gone',
      async () => !(await linksIn(bench, dataPlaneFile)).includes('v1'),
    )
  },
)

t.test('a namespace that was named by its file goes with the file', async (t) => {
  const { bench, kernel, dataPlaneFile } = await aWorld(t)
  const inside = await bench.namespace('inside')
  t.same(await kernel.ip('dataPlane', [`link add v1 type veth peer name eth0 netns ${inside}`]), [])
  await removeNamespace(inside, runCommand)
  await untilSeen(
    'the device is gone',
    async () => !(await linksIn(bench, dataPlaneFile)).includes('v1'),
  )
})

async function linksIn(bench: NetnsBench, file: string): Promise<readonly string[]> {
  const links = await bench.run(file, ['ip', '-j', 'link', 'show'])
  return (JSON.parse(links) as readonly { readonly ifname: string }[]).map(({ ifname }) => ifname)
}
