// Networks of the cluster as users have them: services with names and addresses, ports on every node. Real daemons, containers,
// kernel. One lab for the whole file. What is lost to updates is in overlay-loss.test.ts.
import t, { type Test } from 'tap'
import { TestLab } from '../support/test-lab.ts'

t.setTimeout(900_000)
const lab = await TestLab.up('overlay', { managers: 3, workers: 2 })
t.teardown(() => lab.down())
const hosts = ['m1', 'm2', 'm3', 'w1', 'w2']

interface Answer {
  readonly container: string
  readonly client: string
}

/** What a replica of lab/hello says, asked by a program on a host. */
async function ask(host: string, url: string): Promise<Answer> {
  const script = 'fetch(process.argv[1]).then((answer) => answer.text()).then(console.log)'
  const { stdout, stderr } = await lab.run(host, process.execPath, '-e', script, url)
  const [, container] = /^container: (.*)$/m.exec(stdout) ?? []
  const [, client] = /^client: \[?(?:::ffff:)?([^\]\n]*)\]?$/m.exec(stdout) ?? []
  if (container === undefined || client === undefined) throw new Error(`${url}: ${stdout}${stderr}`)
  return { container, client }
}

/** The first process of each running task of a service, by task id. */
async function pids(service: string): Promise<ReadonlyMap<string, number>> {
  const manager = ['m1', 'm2', 'm3'].find((host) => lab.pid(host) !== undefined) ?? ''
  const views = await lab.taskViews(manager, service)
  return new Map(
    views.flatMap(({ task }) =>
      task !== undefined && task.state === 512 && task.desiredState === 512
        ? [[task.id, task.pid] as const]
        : [],
    ),
  )
}

/** Standard output of a program inside the container of that process; throws when it fails. */
async function inside(pid: number, ...argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await lab.run(
    'm1',
    ...['nsenter', '-t', `${pid}`, '-m', '-n', '-u', '--', ...argv],
  )
  if (code !== 0) throw new Error(`${argv.join(' ')}: exit ${code}: ${stdout}${stderr}`)
  return stdout
}

async function firstPid(service: string): Promise<number> {
  const [pid] = (await pids(service)).values()
  if (pid === undefined) throw new Error(`no task of ${service} runs`)
  return pid
}

/** Addresses that the resolver of the container names. */
async function lookup(pid: number, name: string): Promise<readonly string[]> {
  const text = await inside(pid, 'nslookup', name)
  const answers = text.slice(text.indexOf('Name:'))
  return [...answers.matchAll(/^Address(?: \d+)?: (\S+)/gm)].map(([, address = '']) => address)
}

const fetchScript =
  'fetch(process.argv[1], { signal: AbortSignal.timeout(Number(process.argv[2])) })' +
  '.then((answer) => answer.text()).then(console.log)'

/** What answers at an address, asked in the network namespace of that process; throws when nothing does. */
async function fetchAt(pid: number, address: string, withinMs = 5_000): Promise<string> {
  const argv = ['nsenter', '-t', `${pid}`, '-n', '--', process.execPath, '-e', fetchScript]
  const { code, stdout, stderr } = await lab.run('m1', ...argv, `http://${address}/`, `${withinMs}`)
  if (code !== 0) throw new Error(`http://${address}/: ${stderr}`)
  return stdout
}

/**
 * What answers at a name, as the container of that process knows it, once something does: a node learns of names and tasks
 * a moment after the command that waited for them has ended.
 */
async function fetchFrom(pid: number, name: string): Promise<string> {
  return await lab.until(`${name} answers`, async () => {
    const [address = ''] = await lookup(pid, name)
    return await fetchAt(pid, address)
  })
}

/** The addresses that the resolver of the container names, once there are so many. */
async function lookupAll(pid: number, name: string, count: number): Promise<readonly string[]> {
  return await lab.until(`${name} has ${count} addresses`, async () => {
    const found = await lookup(pid, name)
    return found.length === count && found
  })
}

async function create(name: string, ...flags: readonly string[]): Promise<void> {
  await lab.cli('m1', 'service', 'create', '--quiet', '--name', name, ...flags, 'lab/hello')
}

t.test(
  'a published port answers on every node, from outside, inside and the node itself',
  async (t) => {
    // A busy machine starts a daemon more slowly than a node is missed: what runs there would be replaced.
    await lab.cli('m1', 'swarm', 'update', '--dispatcher-heartbeat', '60s')
    await lab.cli('m1', 'network', 'create', 'back')
    await create('web', '--network', 'back', '--publish', '8080:80', '--replicas', '2')
    const running = new Set((await lab.running('m1', 'web')).map(({ id }) => id.slice(0, 12)))
    for (const host of hosts) {
      const itself = 'http://127.0.0.1:8080/'
      const own = await lab.until(`${host} leads to it`, () => ask(host, itself))
      t.ok(running.has(own.container), `${host} from itself`)
      const other = host === 'w2' ? 'w1' : 'w2'
      const from = `http://${lab.address(host)}:8080/`
      const { container, client } = await lab.until(`${host} leads there`, () => ask(other, from))
      t.ok(running.has(container), `${host} from ${other}`)
      t.equal(client, lab.address(other), 'the task sees the address of the client')
    }
  },
)

t.test('containers of a network find one another by name, others do not', async (t) => {
  await lab.cli('m1', 'network', 'create', 'front')
  // On a host whose daemon is restarted alone.
  const quiet = ['--constraint', 'node.hostname==w2']
  await create('probe', '--network', 'back', ...quiet)
  await create('stranger', '--network', 'front', ...quiet)
  await create('both', '--network', 'back', '--network', 'front')
  const [probe, stranger, both] = await Promise.all(['probe', 'stranger', 'both'].map(firstPid))
  const vip = await lookupAll(probe ?? 0, 'web', 1)
  const own = await lookupAll(probe ?? 0, 'tasks.web', 2)
  t.notOk(own.includes(vip[0] ?? ''), 'a virtual address, and those of the tasks')
  for (const name of ['web', 'tasks.web']) {
    t.match(await fetchFrom(probe ?? 0, name), /hello from/)
  }
  t.match(await fetchFrom(both ?? 0, 'web'), /hello from/)
  t.match(await fetchFrom(both ?? 0, 'stranger'), /hello from/)
  t.match(await fetchFrom(stranger ?? 0, 'both'), /hello from/, 'it speaks with its own network')
  await t.rejects(inside(stranger ?? 0, 'nslookup', 'web'), 'its name is not known there')
  const [address = ''] = own
  for (const target of [...vip, address]) {
    const reach = fetchAt(stranger ?? 0, target, 2_000)
    await t.rejects(reach, `${target} is not reached from another network`)
  }
  t.match(
    await fetchFrom(await firstPid('web'), 'web'),
    /hello from/,
    'a task reaches its own service',
  )
})

interface Audited {
  readonly Findings: readonly { readonly Kind: string; readonly Text: string }[]
  readonly Healing: { readonly Last: readonly { readonly Text: string }[] }
}

/** One node as the audit has it. */
async function auditOf(host: string, network = 'back'): Promise<Audited> {
  const argv = ['network', 'audit', '--node', host, '--format', 'json', network]
  return JSON.parse((await lab.try('m2', ...argv)).stdout) as Audited
}

t.test('an audit names what differs, a trace says where a packet ends', async (t) => {
  const clean = await lab.until('nothing differs on any node', async () => {
    const audit = await lab.try('m2', 'network', 'audit')
    return audit.code === 0 && audit.stdout
  })
  t.match(clean, /5 nodes asked: nothing differs\n$/)

  const input = 'type filter hook input priority 0; policy accept;'
  const drop = `add table inet foreign; add chain inet foreign in { ${input} }; add rule inet foreign in udp dport 4789 drop`
  await lab.run('w2', 'nft', drop)
  const closed = await lab.try('m1', 'network', 'audit', '--node', 'w2')
  t.match(closed, { code: 1, stdout: /w2: firewall: nft chain inet foreign in keeps other nodes/ })
  const conditionsOf = (): Promise<string> =>
    lab.cli('m1', 'node', 'ls', '--format', '{{.Hostname}} {{.Problems}}')
  // A node that nothing reaches hears none of the four others, and they do not hear it.
  await lab.until('all nodes say in node ls that packets are lost', async () => {
    const said = await conditionsOf()
    return said.match(/PEER_UNREACHABLE/g)?.length === 5
  })
  const silent = await lab.try('m2', 'network', 'audit', '--node', 'm1')
  await lab.run('w2', 'nft', 'delete table inet foreign')
  t.match(silent, { code: 1, stdout: /m1: .*gets no answer from w2 \(.*\) through UDP 4789/ })
  await lab.until('and no more once the port is open', async () => {
    const said = await conditionsOf()
    return !said.includes('PEER_UNREACHABLE')
  })

  const [probe] = await lab.taskViews('m1', 'probe')
  const at = probe?.nodeHostname ?? ''
  const addresses = await lookup(await firstPid('probe'), 'tasks.web')
  const elsewhere = (await lab.taskViews('m1', 'web')).filter(
    ({ nodeHostname }) => nodeHostname !== at,
  )
  const address =
    elsewhere
      .flatMap(({ task }) => task?.attachments.flatMap((one) => one.addresses) ?? [])
      .find((one) => addresses.includes(one)) ?? ''
  const own = `--net=${lab.paths(at).runDir}/network/dataplane.netns`
  await lab.run(at, 'nsenter', own, '--', 'ip', 'route', 'del', address)
  const wrong = new RegExp(`route to ${address} \\(task web\\.\\d on \\w+\\) .* on network back`)
  await lab.until(`a lost route on ${at} is named`, async () => {
    const { Findings, Healing } = await auditOf(at)
    return [...Findings, ...Healing.Last].some(({ Text }) => wrong.test(Text))
  })

  const ends = async (...argv: readonly string[]): Promise<readonly [number, string]> => {
    const { code, stdout, stderr } = await lab.try('m3', 'network', 'trace', ...argv)
    return [code, stdout.trim().split('\n').at(-1) ?? stderr]
  }
  await lab.until('the route is as it was', async () => {
    const [code, end] = await ends('probe.1', address)
    if (code !== 0) throw new Error(end)
    return true
  })
  t.match(await ends('probe.1', 'web:80'), [0, /^=> delivered to web\.\d on \w+ \(eth\d\)/])
  t.match(await ends('probe.1', 'web:81'), [1, /no process of the container waits on tcp port 81/])
  t.match(await ends('stranger.1', address), [1, /front and back are different networks/])
  t.match(await ends('probe.1', '10.0.1.250'), [1, /=> unreachable: no task has 10\.0\.1\.250/])
  t.match(await ends('w1', 'w2:8080'), [0, /=> delivered to web\.\d/])
  t.match(await ends('w1', 'w2:8099'), [1, /=> refused: port 8099\/tcp is not published at /])
  await create('idle', '--network', 'back', '--replicas', '0', '--detach')
  await lab.until('a service without tasks refuses', async () => {
    const [code, end] = await ends('probe.1', 'idle')
    if (code !== 1 || end !== '=> refused: no serving task') throw new Error(`${code}: ${end}`)
    return true
  })
  await lab.cli('m1', 'service', 'rm', 'idle')
})

/** Of the network `guests`, which running tasks join. */
const guestAddress = '10.210.0.9'

/** Stranger and probe are on no network together but the one that they were connected to. */
async function guestsMeet(t: Test): Promise<void> {
  const [probe, stranger] = await Promise.all(['probe', 'stranger'].map(firstPid))
  t.same(await lookupAll(probe ?? 0, 'guest', 1), [guestAddress])
  t.match(await fetchFrom(probe ?? 0, 'guest'), /hello from/)
  t.match(await fetchFrom(stranger ?? 0, 'probe.1'), /hello from/)
}

t.test('running tasks join a network, with addresses and names of their own', async (t) => {
  const subnet = ['--subnet', '10.210.0.0/24', '--ip-range', '10.210.0.128/25']
  await lab.cli('m1', 'network', 'create', '--attachable', ...subnet, 'guests')
  const refused = await lab.try('m1', 'network', 'connect', 'back', 'stranger.1')
  t.match(refused, { code: 1, stderr: /network "back" is not attachable/ })
  const wish = ['--ip', guestAddress, '--alias', 'guest']
  await lab.cli('m2', 'network', 'connect', ...wish, 'guests', 'stranger.1')
  await lab.cli('m3', 'network', 'connect', 'guests', 'probe.1')
  await guestsMeet(t)
  const taken = await lab.try('m1', 'network', 'connect', ...wish, 'guests', 'both.1')
  t.match(taken, { code: 1, stderr: /\("10\.210\.0\.9"\) is in use by task "stranger\.1"/ })
  const both = await firstPid('both')
  await t.rejects(fetchAt(both, guestAddress, 2_000), 'who is not on it does not reach it')
  await lab.cli('m1', 'network', 'connect', 'guests', 'both.1')
  t.match(await fetchFrom(both, 'guest'), /hello from/)
  const events = await lab.cli('m1', 'events', '--since', '1h', '--until', '0s')
  t.match(events, /network connect .*com\.docker\.swarm\.service\.name=stranger.*name=guests/)
})

t.test("services on their host's network, and on none", async (t) => {
  await create('hosty', '--network', 'host')
  await create('lonely', '--network', 'none')
  const [task] = await lab.running('m1', 'hosty')
  const node = task?.node ?? ''
  const pid = await firstPid('hosty')
  const namespace = async (process: string): Promise<string> =>
    (await lab.run(node, 'readlink', `/proc/${process}/ns/net`)).stdout
  t.equal(await namespace(`${pid}`), await namespace('self'))
  t.equal((await inside(pid, 'hostname')).trim(), node)
  const resolver = (await lab.run(node, 'cat', '/etc/resolv.conf')).stdout
  t.equal(await inside(pid, 'cat', '/etc/resolv.conf'), resolver)
  const page = `http://${lab.address(node)}:80/`
  t.match((await lab.until('it answers', () => ask('w2', page))).container, node)
  const links = await inside(await firstPid('lonely'), 'ip', '-o', 'link')
  t.match(links.trim(), /^1: lo: [^\n]*$/)
  await lab.cli('m1', 'service', 'rm', 'hosty', 'lonely')
})

t.test('what was connected outlived daemons and leaders, and is taken off again', async (t) => {
  const leader = await lab.leader('m1')
  const other = leader === 'm1' ? 'm2' : 'm1'
  await Promise.all([lab.kill(leader), lab.kill('w2')])
  await lab.start('w2')
  await guestsMeet(t)
  await lab.until('another one leads', async () => (await lab.leader(other)) !== leader)
  await lab.start(leader)
  await lab.leader('m1')
  await lab.cli('m1', 'network', 'disconnect', 'guests', 'stranger.1')
  const [probe, stranger] = await Promise.all(['probe', 'stranger'].map(firstPid))
  await t.rejects(inside(probe ?? 0, 'nslookup', 'guest'), 'its name is gone')
  t.notMatch(await inside(stranger ?? 0, 'ip', 'addr'), guestAddress)
  const wish = ['--ip', guestAddress, 'guests', 'stranger.1']
  await lab.cli('m1', 'network', 'connect', ...wish)
  const again = await lab.until('it answers', () => fetchAt(probe ?? 0, guestAddress))
  t.match(again, /hello from/, 'its address is given again')
  const used = await lab.try('m1', 'network', 'rm', 'guests')
  t.match(used, { code: 1, stderr: /in use by task \w+\.1, which was connected to it/ })
  await lab.cli('m1', 'service', 'update', '-q', '--update-monitor', '1s', '--force', 'stranger')
  const on = await lab.cli('m1', 'network', 'inspect', '-f', '{{json .Containers}}', 'guests')
  t.match(on, /"Name":"probe\.1\./)
  t.notMatch(on, /"Name":"stranger\.1\./, 'a replacement is on the networks of its service')
})

t.test('a network in use stays, one that is not goes', async (t) => {
  const refused = await lab.try('m1', 'network', 'rm', 'back')
  t.not(refused.code, 0)
  t.match(refused.stderr, /back.*in use/s)
  await lab.cli('m1', 'service', 'rm', 'web', 'probe', 'stranger', 'both')
  await lab.until('the networks can be removed', async () => {
    // One may go before the other.
    await lab.try('m1', 'network', 'rm', 'back', 'front', 'guests')
    return !/back|front|guests/.test(await lab.cli('m1', 'network', 'ls'))
  })
  t.notMatch(await lab.cli('m1', 'network', 'ls'), /back|front|guests/)
})
