// Networks of the cluster over hosts as they are met: with iptables, iptables-legacy and ufw that drop what is not admitted, before
// and after the daemon's start, and a network with the very subnet of their LAN. Every pair of containers is asked over both
// families, by ping, TCP and UDP, by address, name and virtual address. One lab for the whole file.
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { labNetwork } from '../../cli/lab/lab.ts'
import { hostNames, type LabRecord } from '../../cli/lab/lab-record.ts'
import { hostAddress, inHost } from '../../cli/lab/topology.ts'
import { runCommand } from '../../proto/lib/command.ts'
import {
  dropByDefault,
  enableUfw,
  type FirewallHost,
  ownUfwFiles,
} from '../support/lab-firewalls.ts'
import {
  addressOn,
  askAll,
  askMany,
  both,
  type Check,
  type Family,
  families,
  hostProbe,
  type ManyCheck,
  type Member,
  membersOf,
  ofFamily,
  onceAllKnow,
  type Table,
  vipOn,
  vniOf,
} from '../support/overlay-lab.ts'
import { endProbes, type Probe } from '../support/probe/probe.ts'
import { probePort, type Question, type Transfer } from '../support/probe/protocol.ts'
import { labNameHere, TestLab } from '../support/test-lab.ts'

t.setTimeout(900_000)
const hosts = ['m1', 'm2', 'm3', 'w1', 'w2']
/** The client outside is on the lab's host "registry": of no cluster, with an address of the LAN and these two. */
const outsideHost = 'registry'
const outside = ['198.51.100.7', 'fd98::7']

const wished = 'matrix'
const ufwFiles = ownUfwFiles(join('/tmp/tsswarm-test-labs', labNameHere(wished), 'ufw'))
const daemonPrefix = (host: string): readonly string[] => (host === 'w1' ? ufwFiles : [])

/** IPv6 addresses on the LAN, ways to the client outside, and the firewalls of three hosts. */
async function prepare(record: LabRecord): Promise<void> {
  const network = labNetwork(record)
  for (const host of [...hostNames(record), outsideHost]) {
    const routes = [
      `route add 198.51.100.0/24 via ${hostAddress(network, outsideHost)}`,
      `route add fd98::/64 via ${lan6(outsideHost)}`,
    ]
    const addresses = outside.map((address) => `addr add ${address} dev eth0`)
    const lines = [
      `addr add ${lan6(host)}/64 dev eth0 nodad`,
      ...(host === outsideHost ? addresses : routes),
    ]
    await must(record, host, ['ip', '-batch', '-'], `${lines.join('\n')}\n`)
  }
  await Promise.all([
    dropByDefault(firewallOf(record, 'm2'), ['iptables', 'ip6tables']),
    dropByDefault(firewallOf(record, 'm3'), ['iptables-legacy', 'ip6tables-legacy']),
    enableUfw(firewallOf(record, 'w1')),
  ])
}

function firewallOf({ name }: LabRecord, host: string): FirewallHost {
  return { lab: name, host, prefix: daemonPrefix(host) }
}

async function must(
  { name }: Pick<LabRecord, 'name'>,
  host: string,
  argv: readonly string[],
  input = '',
): Promise<string> {
  const { code, stdout, stderr } = await runCommand(inHost(name, host, argv), { input })
  if (code === 0) return stdout
  throw new Error(`${host}: ${argv.join(' ')}: ${stdout}${stderr}`)
}

function lan6(host: string): string {
  return host === outsideHost ? 'fd99::2' : `fd99::1${hosts.indexOf(host) + 1}`
}

const lab = await TestLab.up(wished, { managers: 3, workers: 2, prepare, daemonPrefix })
t.teardown(async () => {
  await endProbes()
  await lab.down()
})
const [a, b] = lab.record.subnet
const lanSubnets = [`10.${a}.${b}.0/24`, 'fd99::/64']
const lan = (host: string): readonly string[] => [lab.address(host), lan6(host)]

const run = (host: string, argv: readonly string[], input = ''): Promise<string> =>
  must(lab.record, host, argv, input)

async function create(name: string, ...flags: readonly string[]): Promise<void> {
  await lab.cli(
    'm1',
    'service',
    'create',
    '--quiet',
    '--detach',
    '--name',
    name,
    ...flags,
    'lab/hello',
  )
}

/** Transit addresses of the nodes: whom a task sees when the client cannot be told. */
const transits = new Map<string, readonly string[]>()
const macs = new Map<string, string>()
for (const host of hosts) {
  const path = (await lab.nodeView('m1', host))?.node?.path
  transits.set(host, path?.transit ?? [])
  macs.set(host, path?.mac ?? '')
}
const transit = (host: string, family: Family): string => ofFamily(transits.get(host) ?? [], family)

// Ports answer over IPv6 where the ingress network has it; the one made with the cluster has not.
await lab.cli('m1', 'network', 'rm', 'ingress')
await lab.cli('m1', 'network', 'create', '--ingress', '--ipv6', 'ingress')
const networks = ['red', 'blue', 'lan']
await lab.cli('m1', 'network', 'create', '--ipv6', 'red')
await lab.cli('m1', 'network', 'create', '--ipv6', '--internal', 'blue')
// Of the same subnet as the LAN, but no addresses of hosts: what these send to one another would be counted as a task's.
const lanRange = ['--ip-range', `10.${a}.${b}.128/25`]
const lanFlags = [...lanSubnets.flatMap((one) => ['--subnet', one]), ...lanRange]
await lab.cli('m1', 'network', 'create', ...lanFlags, 'lan')
const places = networks.flatMap((network) => hosts.map((host) => ({ network, host })))
await Promise.all(
  places.map(({ network, host }) =>
    create(`${network}-${host}`, '--network', network, '--constraint', `node.hostname==${host}`),
  ),
)
/** A container of each network on each host, alone in its service. */
const members = await membersOf(
  lab,
  'm1',
  places.map(({ network, host }) => `${network}-${host}`),
  places.length,
)
const networkOf = ({ name }: Member): string => name.split('-')[0] ?? ''
const member = (name: string): Member => {
  const found = members.find((one) => one.name === name)
  if (found === undefined) throw new Error(`there is no ${name}`)
  return found
}
// Its policies come while everything runs.
await dropByDefault(firewallOf(lab.record, 'w2'), ['iptables', 'ip6tables'])
const client = await hostProbe(lab, outsideHost, 'serve')
const onHosts = new Map<string, Probe>()
for (const host of hosts) onHosts.set(host, await hostProbe(lab, host))

function report(t: Test, what: string, { checks, wrong }: Table): void {
  t.same(wrong, [], `${what}: ${checks} checks`)
}

/** The same of containers that were just made. */
async function reportOnceKnown(
  t: Test,
  what: string,
  asked: readonly (readonly [Probe, readonly Check[]])[],
): Promise<void> {
  const wrong = await onceAllKnow(lab, what, async () => (await askAll(asked)).wrong)
  t.same(wrong, [], what)
}

/** Every way from one container to another of its network. */
function pairChecks(from: Member, to: Member): readonly Check[] {
  const network = networkOf(from)
  return families.flatMap((family) => {
    const own = addressOn(from, network, family)
    const bySelf = `${to.name} ${from === to ? vipOn(to, network, family) : own}`
    const ways: readonly (readonly [string, string])[] = [
      [addressOn(to, network, family), `${to.name} ${own}`],
      [`${to.service}.1`, `${to.name} ${own}`],
      [vipOn(to, network, family), bySelf],
      [to.service, bySelf],
    ]
    return ways.flatMap(([address, right]): readonly Check[] => [
      ...both({ to: address, family }, right),
      { question: { kind: 'ping', to: address, family }, right: ['pong'] },
    ])
  })
}

const ofNetwork = (network: string): readonly Member[] =>
  members.filter((one) => networkOf(one) === network)

t.test('every container reaches every one of its network, in every way', async (t) => {
  const asked = members.map((from): readonly [Probe, readonly Check[]] => [
    from.probe,
    ofNetwork(networkOf(from)).flatMap((to) => pairChecks(from, to)),
  ])
  const checks = asked.reduce((sum, [, some]) => sum + some.length, 0)
  t.equal(checks, 3 * 5 * 5 * 2 * 4 * 3)
  await reportOnceKnown(t, 'pairs of one network', asked)
})

/** What is said where nobody is. */
const nobody = ['', 'EHOSTUNREACH', 'ENETUNREACH', 'ECONNREFUSED', 'EACCES']

t.test('no container reaches one of another network', async (t) => {
  const table = await askAll(
    members.map((from) => {
      const others = members.filter((to) => networkOf(to) !== networkOf(from))
      const checks = others.flatMap((to) =>
        families.flatMap((family): readonly Check[] => [
          ...[addressOn(to, networkOf(to), family), vipOn(to, networkOf(to), family)].flatMap(
            (address): readonly Check[] => [
              ...both({ to: address }, ...nobody),
              { question: { kind: 'ping', to: address }, right: [''] },
            ],
          ),
          { question: { kind: 'name', to: to.service, family }, right: ['ENOTFOUND'] },
        ]),
      )
      return [from.probe, checks]
    }),
    1_000,
  )
  t.equal(table.checks, 15 * 10 * 2 * 7)
  report(t, 'pairs of two networks', table)
  for (const to of members) {
    const strangers = (await to.probe.heard()).filter((name) => !name.startsWith(networkOf(to)))
    t.same(strangers, [], `${to.name} heard nobody else`)
  }
})

/** Counts what crosses the LAN, on each port of its switch. */
async function countOnLan(rules: readonly string[], names: readonly string[]): Promise<void> {
  const ports = [...hosts, outsideHost, 'machine'].map((host) => `"${host}"`).join(', ')
  const table = [
    'add table netdev probe',
    'delete table netdev probe',
    'table netdev probe {',
    ...names.map((name) => `counter ${name} { }`),
    `chain in { type filter hook ingress devices = { ${ports} } priority 0;`,
    ...rules,
    '}',
    '}',
  ]
  await run('switch', ['nft', '-f', '-'], `${table.join('\n')}\n`)
}

async function counted(name: string): Promise<number> {
  const text = await run('switch', ['nft', 'list', 'counter', 'netdev', 'probe', name])
  return Number(/packets (\d+)/.exec(text)?.[1])
}

/** One datagram with DF set, headers included in its size; whether it left. */
async function sendWhole(
  from: Member,
  to: Member,
  family: Family,
  bytes: number,
): Promise<boolean> {
  const address = addressOn(to, networkOf(to), family)
  const payload = bytes - (family === 4 ? 28 : 48)
  const words = `${from.name} ${family} ${bytes}\n`
  // IPV6_MTU_DISCOVER by its number, for which socat has no name.
  const target =
    family === 4
      ? `UDP4:${address}:${probePort},mtudiscover=2`
      : `UDP6:[${address}]:${probePort},setsockopt-int=41:23:2`
  const argv = ['nsenter', '-t', `${from.pid}`, '-n', '--', 'socat', '-u', '-', target]
  const { code, stderr } = await runCommand(argv, { input: words.padEnd(payload, 'x') })
  if (code !== 0 && !/Message too long/.test(stderr)) throw new Error(stderr)
  return code === 0
}

t.test('1450 bytes pass whole, 1451 do not, 40 kB in parts', async (t) => {
  const parts = [
    'ip frag-off & 0x3fff != 0 counter name parts',
    'udp dport 4789 meta length > 1500 counter name parts',
  ]
  await countOnLan(
    [...parts, 'udp dport 4789 meta length 1500 counter name full'],
    ['parts', 'full'],
  )
  const next = (from: Member): Member =>
    member(`${networkOf(from)}-${hosts[(hosts.indexOf(from.host) + 1) % hosts.length]}`)
  for (const bytes of [1450, 1451]) {
    await Promise.all(
      members.map(async (from) => {
        for (const family of families) {
          const words = `${from.name} ${family} ${bytes}`
          t.equal(await sendWhole(from, next(from), family, bytes), bytes === 1450, words)
          const arrives = async (): Promise<boolean> =>
            (await next(from).probe.heard()).includes(words)
          if (bytes === 1450) await lab.until(`${words} arrives`, arrives)
          else t.equal(await arrives(), false)
        }
      }),
    )
  }
  // The last answers may be under way still.
  await lab.until('each fills a packet of the LAN, and so does its answer', async () => {
    return (await counted('full')) >= 60
  })
  const table = await askAll(
    members.map((from) => {
      const network = networkOf(from)
      const others = ofNetwork(network).filter((to) => to !== from)
      const checks = others.flatMap((to) =>
        families.flatMap((family) =>
          [addressOn(to, network, family), vipOn(to, network, family)].map(
            (address): Check => ({
              question: { kind: 'udp', to: address, bytes: 40_000 },
              right: [`${to.name} ${addressOn(from, network, family)} 40000`],
            }),
          ),
        ),
      )
      return [from.probe, checks]
    }),
    15_000,
  )
  report(t, 'datagrams of 40 kB there and back', table)
  t.equal(await counted('parts'), 0, 'no packet of the LAN is in parts')
})

/** Asks with a source address that is another's, over UDP and TCP, and with words that must not be heard. */
function forgedChecks(claimed: Member, targets: readonly Member[]): readonly Check[] {
  return targets.flatMap((to) =>
    families.flatMap((family) => {
      const from = addressOn(claimed, networkOf(claimed), family)
      const question = { to: addressOn(to, networkOf(to), family), from, words: 'forged' }
      return both(question, ...nobody)
    }),
  )
}

t.test('what claims the address of another container is dropped', async (t) => {
  const attackers = [
    [
      'red-m1',
      ['blue-m2', 'lan-w1', 'red-m2'],
      ['blue-m1', 'blue-m3', 'lan-m1', 'lan-w2', 'red-m3'],
    ],
    ['blue-w1', ['red-m2', 'blue-m2'], ['red-w1', 'red-m1', 'blue-w2', 'lan-w1']],
  ] as const
  for (const [name, claimed, targets] of attackers) {
    const attacker = member(name)
    const victims = claimed.map(member)
    const lines = victims.flatMap((victim) =>
      families.map((family) => {
        const address = addressOn(victim, networkOf(victim), family)
        return `addr add ${address} dev eth0${family === 6 ? ' nodad' : ''}`
      }),
    )
    const inside = ['nsenter', '-t', `${attacker.pid}`, '-n', '--']
    await run('m1', [...inside, 'ip', '-batch', '-'], `${lines.join('\n')}\n`)
    const checks = victims.flatMap((victim) => forgedChecks(victim, targets.map(member)))
    report(t, `${name} in the name of others`, await askAll([[attacker.probe, checks]], 1_000))
    const undo = lines.map((line) => line.replace('addr add', 'addr del').replace(' nodad', ''))
    await run('m1', [...inside, 'ip', '-batch', '-'], `${undo.join('\n')}\n`)
    const friend = member(`${networkOf(attacker)}-m2`)
    const to = addressOn(attacker, networkOf(attacker), 4)
    await friend.probe.ask([{ kind: 'udp', to, words: 'honest' }])
    t.ok((await attacker.probe.heard()).includes('honest'), 'with its own address one is heard')
  }
  for (const to of members) t.notOk((await to.probe.heard()).includes('forged'), to.name)
})

t.test('VXLAN of a host that is no node is dropped, whatever it knows', async (t) => {
  const [target, claimed] = [member('red-m1'), member('red-m2')]
  const stranger = lab.address(outsideHost)
  const mac = macs.get('m1') ?? ''
  const device = [
    `link add vx0 address ${macs.get('m2')} mtu 1450 type vxlan id ${await vniOf(lab, 'm1', 'red')} local ${stranger} dstport 4789 nolearning`,
    'link set vx0 up',
    ...families.flatMap((family) => [
      `addr add ${addressOn(claimed, 'red', family)}/${family === 4 ? 24 : '64 nodad'} dev vx0`,
      `neigh replace ${addressOn(target, 'red', family)} lladdr ${mac} dev vx0 nud permanent`,
    ]),
  ]
  await run(outsideHost, ['ip', '-batch', '-'], `${device.join('\n')}\n`)
  const entry = [...['bridge', 'fdb', 'replace', mac, 'dev', 'vx0'], ...['dst', lab.address('m1')]]
  await run(outsideHost, [...entry, 'self', 'static'])
  const send = (words: string): Promise<unknown> =>
    client.ask(
      families.map((family) => {
        const from = addressOn(claimed, 'red', family)
        return { kind: 'udp', to: addressOn(target, 'red', family), from, words: words + family }
      }),
      200,
    )
  const hears = async (words: string): Promise<boolean> => {
    const heard = await target.probe.heard()
    return families.every((family) => heard.includes(words + family))
  }
  const member1 = ['inet', 'tsswarm', 'vteps', `{ ${stranger} }`]
  await lab.until('as a node it is heard, so the way is right', async () => {
    await run('m1', ['nft', 'add', 'element', ...member1])
    await send('node')
    return await hears('node')
  })
  await lab.until('its daemon takes out what somebody added', async () => {
    const vteps = await run('m1', ['nft', 'list', 'set', 'inet', 'tsswarm', 'vteps'])
    return !vteps.includes(`${stranger} `) && !vteps.includes(`${stranger},`)
  })
  for (let round = 0; round < 5; round++) await send('stranger')
  const questions = families.map((family): Question => {
    return { kind: 'udp', to: addressOn(target, 'red', family), words: `friend${family}` }
  })
  await claimed.probe.ask(questions)
  t.ok(await hears('friend'), 'its owner is heard')
  t.notMatch((await target.probe.heard()).join(), 'stranger')
  await run(outsideHost, ['ip', 'link', 'del', 'vx0'])
})

/** An IPv6 address as a number, in hexadecimal. */
function digits(address: string): string {
  const [head = '', tail = ''] = address.split('::')
  const [before, after] = [head, tail].map((part) => part.split(':').filter((one) => one !== ''))
  const missing = 8 - (before?.length ?? 0) - (after?.length ?? 0)
  const words = [...(before ?? []), ...new Array<string>(missing).fill('0'), ...(after ?? [])]
  return `0x${words.map((word) => word.padStart(4, '0')).join('')}`
}

t.test('what is sent to a task that is gone never leaves its host', async (t) => {
  const gone = member('lan-m3')
  const [four, six] = families.map((family) => addressOn(gone, 'lan', family))
  const others = ofNetwork('lan').filter((one) => one !== gone)
  const number4 = `0x${(four ?? '')
    .split('.')
    .map((byte) => Number(byte).toString(16).padStart(2, '0'))
    .join('')}`
  // In the clear, asked for by ARP, or inside of VXLAN: 8 + 8 + 14 bytes and then its place in the inner header.
  const rules = [
    `ip daddr ${four} counter name plain`,
    `arp daddr ip ${four} counter name plain`,
    `ip6 daddr ${six} counter name plain`,
    `udp dport 4789 @th,368,32 ${number4} counter name inner`,
    `udp dport 4789 @th,432,128 ${digits(six ?? '')} counter name inner`,
  ]
  await countOnLan(rules, ['plain', 'inner'])
  const questions = [four, six].flatMap((to = '') => both({ to }))
  const ask = (right: readonly string[]): Promise<Table> =>
    askAll(
      others.map(({ probe }) => [
        probe,
        [0, 1, 2, 3, 4].flatMap(() => questions.map(({ question }) => ({ question, right }))),
      ]),
      1_000,
    )
  await ask([])
  t.ok((await counted('inner')) >= 80, 'while it lives, they are seen on their way to it')
  t.equal(await counted('plain'), 0)
  // A host of the LAN has its addresses, and a server.
  for (const address of [four, six]) {
    await run(outsideHost, ['ip', 'addr', 'add', `${address}`, 'dev', 'eth0'])
  }
  await gone.probe.end()
  await lab.cli('m1', 'service', 'rm', gone.service)
  await lab.until('nobody finds a way to it', async () => {
    const table = await askAll(
      others.map(({ probe }) => [
        probe,
        questions.flatMap(({ question }) =>
          question.kind === 'tcp' ? [{ question, right: ['EHOSTUNREACH', 'ENETUNREACH'] }] : [],
        ),
      ]),
      3_000,
    )
    return table.wrong.length === 0
  })
  await countOnLan(rules, ['plain', 'inner'])
  report(t, 'stale addresses', await ask(nobody))
  for (const name of ['plain', 'inner']) t.equal(await counted(name), 0, `${name}: 0 packets`)
  t.notMatch((await client.heard()).join(), 'lan-')
  for (const address of [four, six]) {
    await run(outsideHost, ['ip', 'addr', 'del', `${address}`, 'dev', 'eth0'])
  }
})

/** A service with a task on each worker, and ports on every node. */
async function published(
  name: string,
  port: number,
  on: readonly string[],
): Promise<readonly Member[]> {
  const flags = [
    ...['--replicas', '2', '--replicas-max-per-node', '1', '--constraint', 'node.role==worker'],
    ...on.flatMap((network) => ['--network', network]),
    ...['--publish', `${port}:${probePort}`, '--publish', `${port}:${probePort}/udp`],
  ]
  await create(name, ...flags)
  return await membersOf(lab, 'm1', [name], 2)
}

/** Often enough that both tasks answer, but for one time in a million. */
const times = 24

/** TCP and UDP, each answered by all tasks; `seen`: the client's address as a task sees it. */
function manyChecks(
  question: Transfer,
  tasks: readonly Member[],
  seen: (task: Member) => string,
): readonly ManyCheck[] {
  const right = tasks.map((task) => `${task.name} ${seen(task)}`)
  return both(question).map((check) => ({ question: check.question, times, right }))
}

/** All tasks of a service that was just made answer, and nobody else. */
async function sameOnceKnown(
  t: Test,
  what: string,
  asked: readonly (readonly [Probe, readonly ManyCheck[]])[],
): Promise<void> {
  t.same(await onceAllKnow(lab, what, () => askMany(asked)), [], what)
}

/** Its own virtual address, as a task of it sees itself and the others. */
function ownVipChecks(
  task: Member,
  tasks: readonly Member[],
  network: string,
): readonly ManyCheck[] {
  return families.flatMap((family) => {
    const own = addressOn(task, network, family)
    const seen = (by: Member): string => (by === task ? vipOn(task, network, family) : own)
    return manyChecks({ to: vipOn(task, network, family) }, tasks, seen)
  })
}

t.test('a container on three networks, one internal, with TCP and UDP published', async (t) => {
  const hub = await published('hub', 8080, networks)
  const toHub = members
    .filter(({ name }) => name !== 'lan-m3')
    .map((from) => {
      const network = networkOf(from)
      const checks = hub.flatMap((to) =>
        families.flatMap((family) => {
          const right = `${to.name} ${addressOn(from, network, family)}`
          return both({ to: addressOn(to, network, family) }, right)
        }),
      )
      return [from.probe, checks] as const
    })
  const fromHub = hub.map((from) => {
    const others = members.filter(({ name }) => name !== 'lan-m3')
    const checks = others.flatMap((to) =>
      families.flatMap((family) => {
        const right = `${to.name} ${addressOn(from, networkOf(to), family)}`
        return both({ to: addressOn(to, networkOf(to), family) }, right)
      }),
    )
    return [from.probe, checks] as const
  })
  await reportOnceKnown(t, 'to and from it on each network', [...toHub, ...fromHub])
  const own = hub.map(
    (task) => [task.probe, networks.flatMap((on) => ownVipChecks(task, hub, on))] as const,
  )
  await sameOnceKnown(t, 'its own virtual addresses', own)
  const clients = hosts.flatMap((host) =>
    families.flatMap((family) => {
      const from = ofFamily(outside, family)
      return manyChecks({ to: ofFamily(lan(host), family), port: 8080, from }, hub, () => from)
    }),
  )
  await sameOnceKnown(t, 'from outside through every node', [[client, clients]])
  await Promise.all(hub.map(({ probe }) => probe.end()))
  await Promise.all(ofNetwork('lan').map(({ probe }) => probe.end()))
  const gone = ofNetwork('lan')
    .map(({ name }) => name)
    .filter((name) => name !== 'lan-m3')
  await lab.cli('m1', 'service', 'rm', 'hub', ...gone)
  await lab.until('the network can be removed', async () => {
    return (await lab.try('m1', 'network', 'rm', 'lan')).code === 0
  })
})

let site: readonly Member[] = []

t.test('published ports answer from wherever they are asked', async (t) => {
  site = await published('site', 8081, ['red'])
  const port = 8081
  const local =
    (host: string, family: Family) =>
    (task: Member): string => {
      if (task.host !== host) return transit(host, family)
      return family === 4 ? '169.254.77.1' : 'fd77::1'
    }
  const fromHosts = hosts.map((host): readonly [Probe, readonly ManyCheck[]] => [
    onHosts.get(host) ?? client,
    [
      ...manyChecks({ to: '127.0.0.1', port }, site, local(host, 4)),
      // Handed to 127.0.0.1.
      ...manyChecks({ to: '::1', port }, site, local(host, 4)),
      ...lan(host).flatMap((to) => manyChecks({ to, port }, site, () => to)),
    ],
  ])
  await sameOnceKnown(t, 'from each host: 127.0.0.1, ::1 and its own addresses', fromHosts)
  const inside = [...ofNetwork('red'), ...site].map(
    (from): readonly [Probe, readonly ManyCheck[]] => {
      const next = hosts[(hosts.indexOf(from.host) + 1) % hosts.length] ?? ''
      return [
        from.probe,
        families.flatMap((family) => [
          ...manyChecks(
            { to: ofFamily(lan(from.host), family), port },
            site,
            local(from.host, family),
          ),
          ...manyChecks({ to: ofFamily(lan(next), family), port }, site, () =>
            ofFamily(lan(from.host), family),
          ),
        ]),
      ]
    },
  )
  await sameOnceKnown(t, 'from containers: their own host and another, tasks themselves', inside)
  const own = site.map((task) => [task.probe, ownVipChecks(task, site, 'red')] as const)
  await sameOnceKnown(t, 'its own virtual address', own)
  const table = await askAll(
    ofNetwork('blue').map((from) => [
      from.probe,
      lan(from.host).flatMap((to) => both({ to, port }, ...nobody)),
    ]),
    1_000,
  )
  report(t, 'an internal network leads nowhere', table)
  const out = families.flatMap((family) => both({ to: ofFamily(lan(outsideHost), family) }))
  const outwards = ofNetwork('red').map((from): readonly [Probe, readonly Check[]] => [
    from.probe,
    out.map(({ question }) => {
      const family = question.kind === 'name' ? 4 : question.to.includes(':') ? 6 : 4
      return { question, right: [`${outsideHost} ${ofFamily(lan(from.host), family)}`] }
    }),
  ])
  report(t, 'to the outside, as their host', await askAll(outwards))
})

t.test(
  'a task sees the address of each client from outside, whichever node it came in by',
  async (t) => {
    let asked = 0
    for (const host of hosts) {
      for (const family of families) {
        for (const { question } of both({ to: ofFamily(lan(host), family), port: 8081 })) {
          const counts = await client.many(question, 1_000)
          const address = ofFamily(lan(outsideHost), family)
          const right = site.reduce((sum, { name }) => sum + (counts[`${name} ${address}`] ?? 0), 0)
          asked += 1_000
          t.equal(right, 1_000, `${question.kind} over IPv${family} through ${host}`)
          if (right !== 1_000) t.comment(counts)
        }
      }
    }
    t.comment(`${asked} connections`)
  },
)

t.test('firewalls stay as they were set, but for two marked accepts', async (t) => {
  const tools = [
    ['m2', 'iptables', 'FORWARD'],
    ['m2', 'ip6tables', 'FORWARD'],
    ['m3', 'iptables-legacy', 'FORWARD'],
    ['m3', 'ip6tables-legacy', 'FORWARD'],
    ['w1', 'iptables', 'ufw-user-forward'],
    ['w1', 'ip6tables', 'ufw6-user-forward'],
    ['w2', 'iptables', 'FORWARD'],
    ['w2', 'ip6tables', 'FORWARD'],
  ] as const
  for (const [host, tool, chain] of tools) {
    const policies = (await run(host, [tool, '-S'])).split('\n').filter((line) => /^-P/.test(line))
    t.same(policies, ['-P INPUT DROP', '-P FORWARD DROP', '-P OUTPUT ACCEPT'], `${host}: ${tool}`)
    const rules = (await run(host, [tool, '-S', chain]))
      .split('\n')
      .filter((line) => /^-A/.test(line))
    t.equal(rules.length, 2, `${host}: ${tool} ${chain}`)
    t.ok(rules.every((rule) => / -[io] dp0 /.test(rule)))
  }
})

t.test('another port, other addresses and other pools for the data path', async (t) => {
  const paths = ['m1', 'm2'].map((host) => [host, `10.${a}.${b}.2${host.slice(1)}1`] as const)
  for (const [host, address] of paths) {
    await lab.cli(host, 'swarm', 'leave', '--force')
    await run(host, ['ip', 'addr', 'add', `${address}/24`, 'dev', 'eth0'])
  }
  await run('m2', ['iptables', '-I', 'INPUT', '-p', 'udp', '--dport', '5789', '-j', 'ACCEPT'])
  const [[, first], [, second]] = [paths[0] ?? ['', ''], paths[1] ?? ['', '']]
  await lab.cli(
    ...['m1', 'swarm', 'init', '--advertise-addr', lab.address('m1'), '--data-path-addr', first],
    ...['--data-path-port', '5789', '--default-addr-pool', '10.77.0.0/16'],
    ...['--default-addr-pool-mask-length', '26'],
  )
  const token = await lab.cli('m1', 'swarm', 'join-token', '-q', 'worker')
  await lab.cli(
    ...['m2', 'swarm', 'join', '--token', token, '--advertise-addr', lab.address('m2')],
    ...['--data-path-addr', second, `${lab.address('m1')}:2377`],
  )
  const rules = paths.map(([, from]) => `ip saddr ${from} udp dport 5789 counter name ours`)
  await countOnLan(
    [
      ...rules,
      `ip saddr { ${[...paths.map(([, from]) => from), lab.address('m1'), lab.address('m2')].join(', ')} } udp dport 4789 counter name usual`,
    ],
    ['ours', 'usual'],
  )
  await lab.cli('m1', 'network', 'create', 'deep')
  for (const host of ['m1', 'm2']) {
    await create(`deep-${host}`, '--network', 'deep', '--constraint', `node.hostname==${host}`)
  }
  const deep = await membersOf(lab, 'm1', ['deep-m1', 'deep-m2'], 2)
  const subnet = await lab.cli('m1', 'network', 'inspect', '-f', '{{json .IPAM.Config}}', 'deep')
  t.match(subnet, /"Subnet":"10\.77\.\d+\.\d+\/26"/)
  const checks = deep.map(
    (from) =>
      [
        from.probe,
        deep
          .filter((to) => to !== from)
          .flatMap((to) => {
            const right = `${to.name} ${addressOn(from, 'deep', 4)}`
            return [addressOn(to, 'deep', 4), vipOn(to, 'deep', 4), to.service].flatMap(
              (to): readonly Check[] => [
                ...both({ to }, right),
                { question: { kind: 'ping', to }, right: ['pong'] },
              ],
            )
          }),
      ] as const,
  )
  await reportOnceKnown(t, 'pairs over port 5789', checks)
  t.ok((await counted('ours')) > 10, 'from and to the addresses of the data path')
  t.equal(await counted('usual'), 0)
  await Promise.all(deep.map(({ probe }) => probe.end()))
})
