// Networks that each node has for itself, over two hosts with real daemons, containers and kernels: who reaches whom by what,
// the ways in and out, connections of running tasks, a restart, and that nothing is left. One lab for the whole file.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { TestLab } from '../support/test-lab.ts'

t.setTimeout(600_000)
const lab = await TestLab.up('bridge', { managers: 1, workers: 1 })
t.teardown(() => lab.down())
const hosts = ['m1', 'w1'] as const
type Host = (typeof hosts)[number]
const otherOf = (host: Host): Host => (host === 'm1' ? 'w1' : 'm1')

/** Of the addresses of network near. */
const nearAddress = /\b10\.77\.0\.|\bfd00:77:/

interface Placed {
  readonly id: string
  readonly pid: number
  /** By name of the network. */
  readonly addresses: Readonly<Record<string, readonly string[]>>
}

/** The running task of the service on that host. */
async function taskOn(host: Host, service: string): Promise<Placed> {
  return await lab.until(`a task of ${service} on ${host} runs`, async () => {
    const views = await lab.taskViews('m1', service)
    const found = views.find(
      ({ task, nodeHostname }) =>
        nodeHostname === host && task?.state === 512 && task.desiredState === 512,
    )?.task
    if (found === undefined) return undefined
    const format = '{{.ID}} {{.Name}}'
    const rows = await lab.look('m1', 'network', 'ls', '--no-trunc', '--format', format)
    const names = new Map(rows.split('\n').map((row) => row.split(' ') as [string, string]))
    const addresses = Object.fromEntries(
      found.attachments.map((one) => [names.get(one.networkId) ?? '', one.addresses]),
    )
    return { id: found.id, pid: found.pid, addresses }
  })
}

/** Standard output of a program in the network of that process; throws when it fails. */
async function inside(pid: number, ...argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await lab.run('m1', 'nsenter', '-t', `${pid}`, '-n', ...argv)
  if (code !== 0) throw new Error(`${argv.join(' ')}: exit ${code}: ${stdout}${stderr}`)
  return stdout
}

/** Addresses that the container's resolver has for the name; throws when it does not know it. */
async function lookup({ pid }: Placed, name: string): Promise<readonly string[]> {
  const text = await inside(pid, 'nsenter', '-t', `${pid}`, '-m', '--', 'nslookup', name)
  const answers = text.slice(text.indexOf('Name:'))
  return [...answers.matchAll(/^Address(?: \d+)?: (\S+)/gm)].map(([, address = '']) => address)
}

const script =
  'fetch(process.argv[1], { signal: AbortSignal.timeout(3_000) })' +
  '.then((answer) => answer.text()).then(console.log)'

/** Whose task answered, by the beginning of its id, and who it saw; throws when nobody did. */
async function fetchFrom(pid: number, address: string, port = 80): Promise<readonly string[]> {
  const at = address.includes(':') ? `[${address}]` : address
  const text = await inside(pid, process.execPath, '-e', script, `http://${at}:${port}/`)
  const [, container = ''] = /^container: (.*)$/m.exec(text) ?? []
  const [, client = ''] = /^client: \[?(?:::ffff:)?([^\]\n]*)\]?$/m.exec(text) ?? []
  return [container, client]
}

const short = ({ id }: Placed): string => id.slice(0, 12)

async function service(name: string, ...flags: readonly string[]): Promise<void> {
  await lab.cli('m1', 'service', 'create', '--quiet', '--name', name, ...flags, 'lab/hello')
}

/**
 * What both namespaces of a host hold in devices, routes and rules. The kernel takes the interfaces of containers that ended away by
 * itself, up to a minute later: they and their neighbours do not count.
 */
async function kernelOf(host: Host): Promise<string> {
  const dataPlane = `--net=${lab.paths(host).runDir}/network/dataplane.netns`
  const look =
    'ip -br link show type vxlan; ip route show table all; ip -6 route show table all; nft list table inet tsswarm'
  const inner = await lab.run(host, 'nsenter', dataPlane, '--', 'sh', '-c', look)
  const outer = await lab.run(host, 'sh', '-c', look)
  return inner.stdout + outer.stdout
}

async function trace(from: Placed, to: string): Promise<string> {
  return (
    (await lab.try('m1', 'network', 'trace', from.id, to)).stdout.trim().split('\n').at(-1) ?? ''
  )
}

t.test('made by command and by stack, with a task of each service on each host', async (t) => {
  await lab.cli('m1', 'swarm', 'update', '--dispatcher-heartbeat', '60s')
  const subnets = ['--subnet', '10.77.0.0/24', '--subnet', 'fd00:77::/64']
  await lab.cli('m1', 'network', 'create', '-d', 'bridge', '--attachable', ...subnets, 'near')
  const file = join(t.testdir(), 'stack.yml')
  writeFileSync(
    file,
    'services: {alone: {image: lab/hello, networks: [far], deploy: {mode: global}}}\n' +
      'networks: {far: {driver: bridge, internal: true, name: far}}\n',
  )
  await lab.cli('m1', 'stack', 'deploy', '--compose-file', file, 'shop')
  const list = ['--filter', 'driver=bridge', '--filter', 'type=custom']
  const format = '{{.Name}} {{.Scope}} {{.Internal}}'
  const rows = await lab.cli('m1', 'network', 'ls', ...list, '--format', format)
  t.same(rows.split('\n'), ['far local true', 'near local false'])
  const everywhere = ['--mode', 'global', '--network', 'near']
  await Promise.all([
    service('web', ...everywhere),
    service('db', ...everywhere),
    service('rr', ...everywhere, '--endpoint-mode', 'dnsrr'),
    service('pub', ...everywhere, '-p', '8080:80', '-p', 'mode=host,published=8081,target=80'),
    service('only', '--network', 'near', '--constraint', 'node.hostname==w1'),
  ])
  for (const host of hosts) {
    for (const name of ['web', 'db', 'rr', 'pub', 'shop_alone']) await taskOn(host, name)
    const kernel = await kernelOf(host)
    t.match(kernel, nearAddress)
    t.notMatch(kernel, /^vx(?!100000|ffffff)/m, 'no VXLAN device but those of ingress and probes')
  }
})

t.test('tasks of a host reach one another by name, address and virtual address', async (t) => {
  for (const host of hosts) {
    const [db, web, rr] = [
      await taskOn(host, 'db'),
      await taskOn(host, 'web'),
      await taskOn(host, 'rr'),
    ]
    const own = web.addresses['near'] ?? []
    const named = await lab.until(`${host} knows the names`, async () => {
      const found = await Promise.all(['web', 'tasks.web', 'rr'].map((name) => lookup(db, name)))
      return found.every(({ length }) => length === 2) && found
    })
    const [vips = [], tasks, ofRr] = named.map((addresses) => [...addresses].sort())
    t.same(tasks, [...own].sort(), `${host}: the task of its own host alone`)
    t.same(ofRr, [...(rr.addresses['near'] ?? [])].sort(), `${host}: without a virtual address too`)
    for (const address of [...vips, ...own]) {
      const client = db.addresses['near']?.find(
        (one) => one.includes(':') === address.includes(':'),
      )
      t.same(await fetchFrom(db.pid, address), [short(web), client], `${host}: ${address}`)
    }
    const links = await inside(db.pid, 'ip', '-o', 'link', 'show', 'eth0')
    t.match(links, / mtu 1500 /)
  }
})

t.test('those of another host are neither named nor reached, and a trace says why', async (t) => {
  const only = await taskOn('w1', 'only')
  for (const host of hosts) {
    const db = await taskOn(host, 'db')
    const there = await taskOn(otherOf(host), 'web')
    await t.rejects(lookup(db, there.id), `${host}: by the name of the task`)
    for (const address of there.addresses['near'] ?? []) {
      await t.rejects(fetchFrom(db.pid, address), `${host}: ${address}`)
      t.match(
        await trace(db, address.includes(':') ? `[${address}]:80` : `${address}:80`),
        new RegExp(
          `unreachable: network near is local to each node: web\\.\\w+ is on ${otherOf(host)}`,
        ),
      )
    }
  }
  const db = await taskOn('m1', 'db')
  const [own = ''] = db.addresses['near'] ?? []
  const { code } = await lab.run('m1', process.execPath, '-e', script, `http://${own}/`)
  t.not(code, 0, 'the host itself does not reach in')
  await t.rejects(lookup(db, 'only'), 'a service that has no task here')
  t.match(
    await trace(db, 'only:80'),
    /near is local to each node, and m1 has no task of service only/,
  )
  const beside = await taskOn('w1', 'db')
  t.equal((await lookup(beside, 'only')).length, 2)
  t.match(await trace(beside, 'only:80'), /=> delivered to only\.1 on w1/)
  t.same((await fetchFrom(beside.pid, only.addresses['near']?.[0] ?? ''))[0], short(only))
})

t.test(
  'they are apart from other networks, lead outside unless internal, and publish',
  async (t) => {
    for (const host of hosts) {
      const [db, alone] = [await taskOn(host, 'db'), await taskOn(host, 'shop_alone')]
      const web = await taskOn(host, 'web')
      await t.rejects(lookup(alone, 'web'))
      for (const address of [...(web.addresses['near'] ?? []), ...(await lookup(db, 'web'))]) {
        await t.rejects(fetchFrom(alone.pid, address), `${host}: ${address} from another network`)
      }
      const other = otherOf(host)
      const far = lab.address(other)
      const pub = await taskOn(other, 'pub')
      t.same(await fetchFrom(db.pid, far, 8081), [short(pub), lab.address(host)], 'masqueraded')
      await t.rejects(fetchFrom(alone.pid, far, 8081), 'an internal network leads nowhere')
      await lab.until(`port 8080 of ${other} answers ${host}`, async () => {
        const argv = [process.execPath, '-e', script, `http://${far}:8080/`]
        return (await lab.run(host, ...argv)).stdout.includes('hello from')
      })
    }
  },
)

t.test('a running task joins one and leaves it again, on its own host', async (t) => {
  const alone = await taskOn('m1', 'shop_alone')
  const [here, there] = [await taskOn('m1', 'web'), await taskOn('w1', 'web')]
  const [address = ''] = here.addresses['near'] ?? []
  await lab.cli(
    'm1',
    'network',
    'connect',
    '--ip',
    '10.77.0.200',
    '--alias',
    'guest',
    'near',
    alone.id,
  )
  t.same(await fetchFrom(alone.pid, address), [short(here), '10.77.0.200'])
  await t.rejects(fetchFrom(alone.pid, there.addresses['near']?.[0] ?? ''))
  const db = await taskOn('m1', 'db')
  t.ok((await lookup(db, 'guest')).includes('10.77.0.200'))
  await t.rejects(lookup(await taskOn('w1', 'db'), 'guest'))
  await lab.cli('m1', 'network', 'disconnect', 'near', alone.id)
  await t.rejects(fetchFrom(alone.pid, address))
  await t.rejects(lookup(db, 'guest'))
})

t.test('a daemon that starts again finds all of it as it should be', async (t) => {
  await lab.kill('w1')
  await lab.start('w1')
  const [db, web] = [await taskOn('w1', 'db'), await taskOn('w1', 'web')]
  t.same((await fetchFrom(db.pid, web.addresses['near']?.[0] ?? ''))[0], short(web))
  const clean = await lab.until('nothing differs on any node', async () => {
    const { code, stdout } = await lab.try('m1', 'network', 'audit')
    if (code !== 0) throw new Error(stdout)
    return stdout
  })
  t.match(clean, /2 nodes asked: nothing differs\n$/)
  t.match(await lab.cli('m1', 'network', 'audit', 'near'), /2 nodes asked: nothing differs/)
})

t.test('removed, nothing of it is left in any kernel', async (t) => {
  t.match(await lab.try('m1', 'network', 'rm', 'near'), { code: 1, stderr: /is in use by service/ })
  await lab.cli('m1', 'stack', 'rm', 'shop')
  await lab.cli('m1', 'service', 'rm', 'web', 'db', 'rr', 'pub', 'only')
  await lab.until('nobody uses it', async () => {
    const { code, stderr } = await lab.try('m1', 'network', 'rm', 'near')
    if (code !== 0) throw new Error(stderr)
    return true
  })
  for (const host of hosts) {
    await lab.until(`${host} holds nothing of it`, async () => {
      const kernel = await kernelOf(host)
      const left = kernel.split('\n').filter((line) => nearAddress.test(line))
      if (left.length > 0) throw new Error(left.join('\n'))
      return true
    })
  }
  t.equal((await lab.try('m1', 'network', 'audit')).code, 0)
  t.notMatch(await lab.cli('m1', 'network', 'ls'), /near|far/)
})
