// The network commands, and networks and ports of services, against a daemon in this process.
import t, { type Test } from 'tap'
import { startTestDaemon, type TestDaemon } from '../../support/daemon-server.ts'
import { golden } from '../../support/golden.ts'
import { aNetwork } from '../../support/objects.ts'

async function aDaemon(t: Test): Promise<TestDaemon> {
  const daemon = await startTestDaemon()
  t.teardown(() => daemon.close())
  return daemon
}

/** The last request of a method. */
function asked(daemon: TestDaemon, method: string): unknown {
  return daemon.seen.findLast((call) => call.method === method)?.request
}

const services = (d: TestDaemon) => d.world.store.view((tx) => [...tx.all('services')])

t.test('network create, ls, inspect, rm, prune', async (t) => {
  const d = await aDaemon(t)
  const created = await d.run(
    'network create -d overlay --attachable --internal --label tier=back --subnet 10.5.0.0/16 --subnet fd00:5::/64 ' +
      '--ip-range 10.5.8.0/21 --gateway 10.5.0.9 --gateway fd00:5::9 -o com.docker.network.driver.mtu=1400 back',
  )
  t.match(created, { code: 0, stdout: /^\w{25}\n$/, stderr: '' })
  t.match(asked(d, 'createNetwork'), {
    requestId: /^\w{25}$/,
    spec: {
      name: 'back',
      labels: { tier: 'back' },
      driver: 'overlay',
      subnets: [
        { subnet: '10.5.0.0/16', ipRange: '10.5.8.0/21', gateway: '10.5.0.9' },
        { subnet: 'fd00:5::/64', ipRange: '', gateway: 'fd00:5::9' },
      ],
      internal: true,
      attachable: true,
      ingress: false,
      options: { 'com.docker.network.driver.mtu': '1400' },
    },
  })
  await d.run('network create front')
  const ls = await d.run('network ls')
  golden(t, 'test/golden/cli/network-ls.txt', ls.stdout.replace(/^[0-9a-z]{12}/gm, 'ID          '))
  t.equal((await d.run('network ls -q --no-trunc --filter name=back')).stdout, created.stdout)
  t.match(
    await d.run(
      'network ls --format {{.Name}}:{{.IPv6}}:{{.Internal}}:{{.Labels}} --filter name=back',
    ),
    {
      stdout: 'back:true:true:tier=back\n',
    },
  )
  const inspect = JSON.parse((await d.run('network inspect -v back')).stdout)
  t.match(inspect, [
    {
      Name: 'back',
      Id: created.stdout.trim(),
      Scope: 'swarm',
      EnableIPv6: true,
      IPAM: {
        Config: [{ Subnet: '10.5.0.0/16', IPRange: '10.5.8.0/21', Gateway: '10.5.0.9' }, {}],
      },
      Internal: true,
      Attachable: true,
      Ingress: false,
      Options: { 'com.docker.network.driver.mtu': '1400' },
      Labels: { tier: 'back' },
      Status: { IPAM: { Subnets: { '10.5.0.0/16': { IPsInUse: 0, DynamicIPsAvailable: 2048 } } } },
      Services: {},
    },
  ])
  t.match(await d.run('network inspect -f {{.Driver}} absent'), {
    code: 1,
    stderr: /network "absent" not found/,
  })
  t.same(await d.run('network inspect -f {{.Driver}}:{{.Scope}} none'), {
    ...{ code: 0, stdout: 'null:local\n', stderr: '' },
  })
  t.same(await d.run('network rm back'), { code: 0, stdout: 'back\n', stderr: '' })
  t.match(await d.run('network rm back'), { code: 1, stderr: /not found/ })
  t.same(await d.run('network rm -f back'), { code: 0, stdout: '', stderr: '' })
  t.match(await d.run('network prune'), { code: 125, stderr: /say so with --force/ })
  t.same(await d.run('network prune -f'), {
    code: 0,
    stdout: 'Deleted Networks:\nfront\n\n',
    stderr: '',
  })
  t.same(await d.run('network prune -f'), { code: 0, stdout: '', stderr: '' })
  await d.run('network create late')
  t.match(await d.run('network prune -f --filter until=2001-01-01'), { code: 0, stdout: '' })
  t.match(await d.run('network prune -f --filter until=2999-01-01'), { stdout: /late/ })
})

t.test('a bridge network of the user', async (t) => {
  const d = await aDaemon(t)
  const line =
    'network create -d bridge --scope local --attachable --ipv6 -o com.docker.network.driver.mtu=9000 near'
  const { stdout } = await d.run(line)
  t.match(stdout, /^[0-9a-z]{25}\n$/)
  await d.run('network create back')
  const row = '{{.Name}}:{{.Scope}}:{{.IPv6}}'
  t.same(
    (await d.run(`network ls --filter driver=bridge --format ${row}`)).stdout,
    'bridge:local:false\nnear:local:true\n',
  )
  const [near] = JSON.parse((await d.run('network inspect near')).stdout)
  t.match(near, {
    ...{ Name: 'near', Driver: 'bridge', Scope: 'local', Attachable: true, EnableIPv6: true },
    IPAM: { Config: [{ Subnet: '10.0.0.0/24', Gateway: '10.0.0.1' }, { Subnet: /^fd/ }] },
    Status: { IPAM: { Subnets: { '10.0.0.0/24': { IPsInUse: 0, DynamicIPsAvailable: 253 } } } },
  })
  t.same(near.Options, { 'com.docker.network.driver.mtu': '9000' }, 'no identifier')
  t.match(await d.run('network rm near'), { code: 0, stdout: 'near\n' })
})

t.test('what no network can have is refused before or by the daemon', async (t) => {
  const d = await aDaemon(t)
  const refused: readonly (readonly [string, RegExp])[] = [
    ['--gateway 10.6.0.1 --subnet 10.5.0.0/16 x', /no subnet holds --gateway 10\.6\.0\.1/],
    [
      '--subnet 10.5.0.0/16 --gateway 10.5.0.1 --gateway 10.5.0.2 x',
      /--gateway is given twice for 10\.5\.0\.0\/16/,
    ],
    ['--subnet 10.5.0.0/33 x', /must be a subnet such as/],
    ['-d bridge --ingress x', /isIngress does not go with the driver bridge: .* Leave out the/],
    ['-d bridge -o encrypted x', /options \("encrypted"\) has no meaning on a bridge network/],
    ['-d macvlan x', /driver \("macvlan"\) is not known: write overlay or bridge/],
    ['Host', /network with name Host already exists: every node has it/],
    ['--subnet 10.5.0.1/16 x', /has host bits set: write 10\.5\.0\.0\/16/],
    ['--aux-address a=10.5.0.1 x', /name a --ip-range/],
    ['--scope local x', /--scope local does not go with the driver overlay: add --driver bridge/],
    ['--scope global x', /must be one of swarm, local/],
    ['_x', /begin with a letter or digit/],
  ]
  for (const [line, message] of refused) {
    const run = await d.run(`network create ${line}`)
    t.not(run.code, 0, line)
    t.match(run.stderr, message, line)
  }
  t.match(await d.run('network connect back c1'), { code: 1, stderr: /task "c1" not found/ })
  t.match(await d.run('network connect --link x back c1'), { stderr: /use --alias/ })
  t.match(await d.run('network rm bridge'), { stderr: /pre-defined network and cannot be removed/ })
  t.match(await d.run('network prune -f --filter until=soon'), {
    ...{ code: 125, stderr: /invalid argument "soon" for "--filter" flag: must be a time/ },
  })
})

t.test('service create and update with networks and ports', async (t) => {
  const d = await aDaemon(t)
  const ingress = aNetwork({ id: 'in', name: 'ingress', isIngress: true, subnets: ['10.0.0.0/24'] })
  await d.world.store.update((tx) => tx.create('networks', ingress))
  for (const name of ['back', 'front']) await d.run(`network create ${name}`)
  const [, back, front] = d.world.store.view((tx) => [...tx.all('networks')])
  const made = await d.run(
    'service create -d -q --name web --network back --network name=front,alias=www -p 8080:80 -p 53/udp nginx',
  )
  t.match(made, { code: 0, stderr: '' })
  t.match(services(d)[0], {
    spec: {
      endpointMode: 'vip',
      task: {
        networks: [
          { target: back?.id, aliases: [] },
          { target: front?.id, aliases: ['www'] },
        ],
      },
    },
    endpoint: { ports: [{ publishedPort: 8080 }, { publishedPort: 30_000, protocol: 'udp' }] },
  })
  t.match((await d.run('service ls')).stdout, /\*:8080->80\/tcp, \*:30000->53\/udp/)
  const pretty = (await d.run('service inspect --pretty web')).stdout
  t.match(pretty, 'Networks: back front')
  t.match(pretty, 'Endpoint Mode:\tvip')
  t.match(pretty, 'PublishedPort = 30000')
  const clash = await d.run('service create -d --name other -p 8080:80 nginx')
  t.match(clash, { code: 1, stderr: /\(8080\/tcp\) is published by service "web" on every node/ })
  t.match(await d.run('network rm back'), { code: 1, stderr: /in use by service "web"/ })

  const update = (line: string) => d.run(`service update -d ${line} web`)
  t.match(await update('--network-rm back --network-add name=front,alias=w3 --publish-rm 80'), {
    code: 0,
  })
  t.match(services(d)[0], {
    spec: { task: { networks: [{ target: front?.id, aliases: ['w3'] }] } },
    endpoint: { ports: [{ publishedPort: 30_000 }] },
  })
  t.equal(services(d)[0]?.spec.task.networks.length, 1)
  t.match(await update('--network-rm back'), { code: 1, stderr: /the service is not on network/ })
  t.match(await update('--network-add absent'), { code: 1, stderr: /network "absent" not found/ })
  t.match(await update('--network-add none'), { code: 1, stderr: /goes with no other network/ })
  t.match(await update('--endpoint-mode dnsrr'), { code: 1, stderr: /with endpoint mode dnsrr/ })
  t.match(await update('--endpoint-mode dnsrr --publish-rm 53/udp'), { code: 0 })
  t.match(services(d)[0], { spec: { endpointMode: 'dnsrr' }, endpoint: { ports: [] } })
})

t.test('swarm init and join with address pools and data path', async (t) => {
  const d = await aDaemon(t)
  d.daemon['initSwarm'] = async () => ({
    nodeId: 'n1',
    workerJoinToken: 'T',
    advertiseAddress: 'a',
    recovery: undefined,
  })
  await d.run(
    'swarm init --default-addr-pool 10.20.0.0/16 --default-addr-pool 10.30.0.0/16 --default-addr-pool-mask-length 26 ' +
      '--data-path-port 5789 --data-path-addr eth1',
  )
  t.match(asked(d, 'initSwarm'), {
    dataPathAddress: 'eth1',
    spec: {
      defaultAddressPools: ['10.20.0.0/16', '10.30.0.0/16'],
      subnetSize: 26,
      dataPathPort: 5789,
    },
  })
  const refused: readonly (readonly [string, RegExp])[] = [
    ['--default-addr-pool 10.20.0.0', /must be an IPv4 subnet of hosts/],
    ['--default-addr-pool 127.0.0.0/8', /must be an IPv4 subnet of hosts/],
    ['--default-addr-pool 10.0.0.0/8 --default-addr-pool 10.1.0.0/16', /must not overlap/],
    ['--default-addr-pool 10.0.0.0/26', /prefix is above subnetSize/],
    ['--data-path-port 80', /1024/],
    ['--force-new-cluster --data-path-port 5789', /leave out --data-path-port/],
    ['--force-new-cluster --default-addr-pool 10.0.0.0/8', /leave out --default-addr-pool/],
  ]
  for (const [line, message] of refused) {
    const run = await d.run(`swarm init ${line}`)
    t.not(run.code, 0, line)
    t.match(run.stderr, message, line)
  }
  d.daemon['joinSwarm'] = async () => ({ nodeId: 'n1', role: 0 })
  await d.run('swarm join --token T --data-path-addr 10.0.0.7 10.0.0.1')
  t.match(asked(d, 'joinSwarm'), { dataPathAddress: '10.0.0.7' })
  t.match(await d.run('swarm update --default-addr-pool 10.0.0.0/8'), {
    stderr: /it is set by "tsswarm swarm init"/,
  })
})
