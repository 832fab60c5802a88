import t from 'tap'
import { seededRandom } from '../../../../../proto/lib/random.ts'
import { networkId, nodeId, serviceId, taskId } from '../../../../../proto/objects/ids.ts'
import type { IngressPort, NetworkView } from '../../../../../proto/objects/overlay.ts'
import { type Answer, lookUp } from '../../../../../worker/network/dns/lookup.ts'
import type { DnsRecord } from '../../../../../worker/network/dns/response.ts'
import { Zone } from '../../../../../worker/network/dns/zone.ts'
import { KnownViews } from '../../../../../worker/network/dns/zone-change.ts'
import { anEndpoint, anOverlay, aTaskEndpoint, aView } from '../../../../support/dns.ts'

const types = { A: 1, NS: 2, MX: 15, PTR: 12, AAAA: 28, SRV: 33, ANY: 255 } as const

interface World {
  readonly zone: Zone
  set(...views: readonly NetworkView[]): void
  /** What the asker gets, as text. */
  ask(name: string, type?: keyof typeof types, asker?: string): readonly string[] | string
}

function aWorld(...views: readonly NetworkView[]): World {
  const zone = new Zone()
  const known = new KnownViews()
  const random = seededRandom(1)
  const world: World = {
    zone,
    set: (...next) => zone.apply(known.update(next)),
    ask: (name, type = 'A', asker = '10.0.1.11') => {
      const labelCount = name.split('.').length
      const question = { name, labelCount, type: types[type], class: 1 }
      return inWords(lookUp(zone, question, asker, random))
    },
  }
  world.set(...views)
  return world
}

function inWords(answer: Answer): readonly string[] | string {
  if (answer.kind !== 'records') return answer.kind
  return [...answer.answers, ...answer.additional].map(recordInWords).sort()
}

function recordInWords(record: DnsRecord): string {
  switch (record.kind) {
    case 'address': {
      const { bytes, owner } = record
      const text = bytes.length === 4 ? bytes.join('.') : bytes.toString('hex')
      return owner === undefined ? text : `${owner} is ${text}`
    }
    case 'pointer':
      return record.target
    case 'service':
      return `${record.target} port ${record.port}`
  }
}

const second = aTaskEndpoint({ taskId: taskId('task2'), slot: 2, addresses: ['10.0.1.12'] })
const dnsrr = anEndpoint({ mode: 'dnsrr', vips: [] })

t.test('a service with a virtual address has that one, also while nobody serves', async (t) => {
  const world = aWorld(aView([aTaskEndpoint(), second]))
  t.same(world.ask('web'), ['10.0.1.2'])
  world.set(aView([aTaskEndpoint({ isServing: false })]))
  t.same(world.ask('web'), ['10.0.1.2'])
})

t.test('a dnsrr service has the addresses of its serving tasks', async (t) => {
  const world = aWorld(aView([aTaskEndpoint(), second], [dnsrr]))
  t.same(world.ask('web'), ['10.0.1.11', '10.0.1.12'])
  world.set(aView([aTaskEndpoint(), { ...second, isServing: false }], [dnsrr]))
  t.same(world.ask('web'), ['10.0.1.11'])
  world.set(aView([aTaskEndpoint({ isServing: false })], [dnsrr]))
  t.equal(world.ask('web'), 'nothing', 'and the name stays known: it is not asked outside')
})

t.test('tasks.NAME has the serving tasks, by name and by alias', async (t) => {
  const world = aWorld(aView([aTaskEndpoint(), second], [anEndpoint({ aliases: ['www'] })]))
  t.same(world.ask('tasks.web'), ['10.0.1.11', '10.0.1.12'])
  t.same(world.ask('tasks.www'), ['10.0.1.11', '10.0.1.12'])
  t.same(world.ask('www'), ['10.0.1.2'])
  t.equal(world.ask('tasks.other'), 'elsewhere', 'tasks.com is a name of the world')
})

t.test('a task is found by slot, by its whole name, by its id and its aliases', async (t) => {
  const tasks = [aTaskEndpoint({ aliases: ['blue', 'Blue.Box'] }), second]
  const world = aWorld(aView(tasks))
  for (const name of ['web.1', 'web.1.task1', 'task1', 'blue', 'blue.box']) {
    t.same(world.ask(name), ['10.0.1.11'], name)
  }
  t.same(world.ask('web.2'), ['10.0.1.12'])
  world.set(aView([{ ...aTaskEndpoint({ aliases: ['blue'] }), isServing: false }, second]))
  t.equal(world.ask('web.1'), 'nothing')
  t.equal(world.ask('blue'), 'nothing')
  world.set(aView([second]))
  t.equal(world.ask('web.1'), 'no-such-name')
  t.equal(world.ask('blue'), 'no-such-name')
})

t.test('a task of a global service is found by its node', async (t) => {
  const world = aWorld(aView([aTaskEndpoint({ slot: 0, nodeId: nodeId('NodeA') })]))
  t.same(world.ask('web.nodea'), ['10.0.1.11'])
})

t.test('names are those of the service also when it becomes known after its tasks', async (t) => {
  const world = aWorld(aView([aTaskEndpoint()], []))
  t.equal(world.ask('web.1'), 'no-such-name')
  t.same(world.ask('task1'), ['10.0.1.11'])
  world.set(aView())
  t.same(world.ask('web.1'), ['10.0.1.11'])
  world.set(aView([aTaskEndpoint()], [anEndpoint({ name: 'front' })]))
  t.equal(world.ask('web.1'), 'no-such-name')
  t.same(world.ask('front.1'), ['10.0.1.11'])
  t.equal(world.ask('web'), 'no-such-name')
})

t.test('services that share an alias are all behind it', async (t) => {
  const other = anEndpoint({ serviceId: serviceId('svc2'), name: 'api', vips: ['10.0.1.3'] })
  const services = [anEndpoint({ aliases: ['all'] }), { ...other, aliases: ['all'] }]
  const world = aWorld(aView([aTaskEndpoint()], services))
  t.same(world.ask('all'), ['10.0.1.2', '10.0.1.3'])
  world.set(aView([aTaskEndpoint()], [anEndpoint({ aliases: ['all'] })]))
  t.same(world.ask('all'), ['10.0.1.2'])
})

t.test('a name that is no DNS name is left out, the others stay', async (t) => {
  const aliases = ['a..b', 'x'.repeat(64), '', 'tab\tbed', 'fine']
  const world = aWorld(aView([aTaskEndpoint()], [anEndpoint({ aliases })]))
  t.same(world.ask('fine'), ['10.0.1.2'])
  t.equal(world.ask('a..b'), 'elsewhere')
})

t.test('both families, each to its own question', async (t) => {
  const service = anEndpoint({ vips: ['10.0.1.2', 'fd00:1::2'] })
  const network = anOverlay({ subnets: ['10.0.1.0/24', 'fd00:1::/64'] })
  const task = aTaskEndpoint({ addresses: ['10.0.1.11', 'fd00:1::11'] })
  const world = aWorld(aView([task], [service], network))
  t.same(world.ask('web', 'AAAA'), ['fd000001000000000000000000000002'])
  t.same(world.ask('web', 'ANY'), ['10.0.1.2', 'fd000001000000000000000000000002'])
  t.equal(world.ask('web', 'MX'), 'nothing')
})

t.test(
  'an IPv4-only service has no IPv6 address, and nobody outside is asked for one',
  async (t) => {
    t.equal(aWorld(aView()).ask('web', 'AAAA'), 'nothing')
  },
)

t.test('localhost is the asker itself', async (t) => {
  const world = aWorld(aView())
  t.same(world.ask('localhost'), ['127.0.0.1'])
  t.same(world.ask('db.localhost', 'AAAA', '192.0.2.1'), [`${'0'.repeat(31)}1`])
})

const frontend = (changes: Partial<NetworkView> = {}): NetworkView => ({
  network: anOverlay({ id: networkId('net2'), name: 'frontend', subnets: ['10.0.2.0/24'] }),
  services: [anEndpoint({ vips: ['10.0.2.2'] })],
  tasks: [aTaskEndpoint({ addresses: ['10.0.2.11'] })],
  ...changes,
})

t.test('an asker sees the names of all its networks, and of no others', async (t) => {
  const only2 = anEndpoint({ serviceId: serviceId('svc9'), name: 'db', vips: ['10.0.2.9'] })
  const stranger = aTaskEndpoint({ taskId: taskId('other'), slot: 7, addresses: ['10.0.1.40'] })
  const world = aWorld(aView([aTaskEndpoint(), stranger]), frontend({ services: [only2] }))
  for (const asker of ['10.0.1.11', '10.0.2.11']) {
    t.same(world.ask('db', 'A', asker), ['10.0.2.9'], 'from each of its addresses')
    t.same(world.ask('web', 'A', asker), ['10.0.1.2'])
  }
  t.equal(world.ask('db', 'A', '10.0.1.40'), 'no-such-name', 'a stranger to that network')
})

t.test(
  'of several networks the first by name counts; internal and ingress come last',
  async (t) => {
    const at1 = '10.0.1.2'
    const at2 = '10.0.2.2'
    const order = (one: object, two: object): unknown => {
      const views = [
        { ...aView(), network: anOverlay(one) },
        { ...frontend(), network: { ...frontend().network, ...two } },
      ]
      const world = aWorld(...views)
      const backwards = aWorld(...views.reverse())
      t.same(backwards.ask('web'), world.ask('web'), 'in whatever order they came')
      return world.ask('web')
    }
    t.same(order({}, {}), [at1])
    t.same(order({ name: 'zoo' }, {}), [at2])
    t.same(order({ isInternal: true }, {}), [at2])
    t.same(order({ isIngress: true }, { isInternal: true }), [at2])
  },
)

t.test('a network that changes its rank changes the order', async (t) => {
  const world = aWorld(aView(), frontend())
  world.set({ ...aView(), network: anOverlay({ isInternal: true }) }, frontend())
  t.same(world.ask('web'), ['10.0.2.2'])
})

t.test('both families come from one network, the first that has any address', async (t) => {
  const dual = frontend({ services: [anEndpoint({ vips: ['10.0.2.2', 'fd00:2::2'] })] })
  t.equal(aWorld(aView(), dual).ask('web', 'AAAA'), 'nothing')
  const idle = aView([aTaskEndpoint({ isServing: false })], [dnsrr])
  t.same(
    aWorld(idle, dual).ask('web'),
    ['10.0.2.2'],
    'one without addresses does not stand in the way',
  )
})

t.test('NAME.NETWORK is the name in that network', async (t) => {
  const world = aWorld(aView(), frontend())
  t.same(world.ask('web.frontend'), ['10.0.2.2'])
  t.same(world.ask('web.backend'), ['10.0.1.2'])
  t.same(world.ask('tasks.web.frontend'), ['10.0.2.11'])
  t.equal(world.ask('nobody.frontend'), 'elsewhere', 'a network may be called as a domain is')
})

t.test('single labels and numbers are not asked outside, other names are', async (t) => {
  const world = aWorld(aView())
  t.equal(world.ask('nobody'), 'no-such-name')
  t.equal(world.ask('nobody', 'AAAA'), 'no-such-name')
  t.equal(world.ask('com', 'NS'), 'elsewhere')
  t.equal(world.ask('web.99'), 'no-such-name')
  t.equal(world.ask('192.0.2.1'), 'no-such-name')
  t.equal(world.ask('example.com'), 'elsewhere')
  t.equal(
    world.ask('web.example.com'),
    'elsewhere',
    'as under Docker: search domains are not cut off',
  )
})

t.test('who is on no overlay network gets everything from outside', async (t) => {
  const world = aWorld(aView())
  t.equal(world.ask('web', 'A', '172.30.0.1'), 'elsewhere')
  t.equal(world.ask('nobody', 'A', 'fe80::1%eth0'), 'elsewhere')
})

t.test('a task that is not known yet sees the network its address lies in', async (t) => {
  t.same(aWorld(aView()).ask('web', 'A', '10.0.1.99'), ['10.0.1.2'])
})

t.test('an address that moved on belongs to the task that has it now', async (t) => {
  const late = aTaskEndpoint({ taskId: taskId('late'), slot: 5, addresses: ['10.0.1.11'] })
  const world = aWorld(aView(), frontend())
  world.set(aView([aTaskEndpoint(), late]), frontend())
  world.set(aView([late]), frontend())
  t.equal(world.ask('web.frontend'), 'elsewhere', 'the new one is not on the other network')
  t.same(world.ask('11.1.0.10.in-addr.arpa', 'PTR'), ['web.5.late.backend'])
})

t.test('addresses have names: tasks and services', async (t) => {
  const world = aWorld(aView([aTaskEndpoint(), second]))
  t.same(world.ask('12.1.0.10.in-addr.arpa', 'PTR'), ['web.2.task2.backend'])
  t.same(world.ask('web.2.task2.backend'), ['10.0.1.12'], 'which lead back')
  t.same(world.ask('2.1.0.10.in-addr.arpa', 'PTR'), ['web.backend'])
  t.equal(world.ask('2.1.0.10.in-addr.arpa', 'A'), 'nothing')
  t.equal(world.ask('77.1.0.10.in-addr.arpa', 'PTR'), 'no-such-name')
  t.equal(world.ask('1.2.0.192.in-addr.arpa', 'PTR'), 'elsewhere')
  t.equal(world.ask('home.arpa'), 'elsewhere')
  t.equal(world.ask('12.1.0.10.in-addr.arpa', 'PTR', '172.30.0.1'), 'elsewhere')
  world.set(aView([aTaskEndpoint(), { ...second, isServing: false }]))
  t.equal(world.ask('12.1.0.10.in-addr.arpa', 'PTR'), 'no-such-name')
})

t.test(
  'without a network name that can be part of a name, addresses have the short ones',
  async (t) => {
    const world = aWorld(aView([aTaskEndpoint()], [anEndpoint()], anOverlay({ name: 'my net' })))
    t.same(world.ask('11.1.0.10.in-addr.arpa', 'PTR'), ['web.1.task1'])
    t.same(world.ask('web'), ['10.0.1.2'])
  },
)

const aPort = (changes: Partial<IngressPort> = {}): IngressPort => ({
  protocol: 'tcp',
  targetPort: 80,
  publishedPort: 8080,
  bindAddress: '',
  sources: [],
  isMasqueraded: false,
  isFirewallFirst: false,
  isLocalFirst: false,
  ...changes,
})

const ingress = (ports: readonly IngressPort[]): NetworkView => ({
  network: anOverlay({
    id: networkId('ing'),
    name: 'ingress',
    subnets: ['10.9.0.0/24'],
    isIngress: true,
  }),
  services: [anEndpoint({ vips: ['10.9.0.2'], ports })],
  tasks: [aTaskEndpoint({ addresses: ['10.9.0.11'] })],
})

t.test('ports are found by name, target and published port', async (t) => {
  const world = aWorld(aView([aTaskEndpoint(), second]), ingress([aPort({ name: 'HTTP' })]))
  for (const port of ['http', '80', '8080']) {
    t.same(world.ask(`_${port}._tcp.web`, 'SRV'), ['web is 10.0.1.2', 'web port 80'], port)
  }
  t.same(world.ask('_http._tcp.tasks.web', 'SRV'), [
    'web.1.task1 is 10.0.1.11',
    'web.1.task1 port 80',
    'web.2.task2 is 10.0.1.12',
    'web.2.task2 port 80',
  ])
  t.same(world.ask('_80._tcp.web.backend', 'SRV'), [
    'web.backend is 10.0.1.2',
    'web.backend port 80',
  ])
  t.same(world.ask('_80._tcp.web.2', 'SRV'), ['web.2.task2 is 10.0.1.12', 'web.2.task2 port 80'])
})

t.test('ports that a service has not are no names', async (t) => {
  const world = aWorld(aView(), ingress([aPort()]))
  t.equal(world.ask('_http._tcp.web', 'SRV'), 'no-such-name')
  t.equal(world.ask('_80._udp.web', 'SRV'), 'no-such-name')
  t.equal(world.ask('_80._tcp.nobody', 'SRV'), 'no-such-name')
  t.equal(world.ask('_sip._tcp.example.com', 'SRV'), 'elsewhere')
  t.equal(world.ask('_80._tcp.web', 'A'), 'nothing')
})

t.test('a port without a serving task has no record', async (t) => {
  const world = aWorld(aView([aTaskEndpoint({ isServing: false })]), ingress([aPort()]))
  world.set(aView([aTaskEndpoint({ isServing: false })], [dnsrr]), {
    ...ingress([aPort()]),
    tasks: [],
  })
  t.same(world.ask('_80._tcp.web.backend', 'SRV'), 'nothing')
})

t.test('addresses come in random order, every one first some time', async (t) => {
  const zone = new Zone()
  const random = seededRandom(7)
  const tasks = Array.from({ length: 5 }, (_, i) =>
    aTaskEndpoint({ taskId: taskId(`t${i}`), slot: i + 1, addresses: [`10.0.1.${20 + i}`] }),
  )
  zone.apply(new KnownViews().update([aView(tasks, [dnsrr])]))
  const firsts = new Map<string, number>()
  for (let i = 0; i < 1_000; i++) {
    const question = { name: 'web', labelCount: 1, type: 1, class: 1 }
    const answer = lookUp(zone, question, '10.0.1.20', random)
    if (answer.kind !== 'records') throw new Error(answer.kind)
    const [first] = answer.answers
    const text = first === undefined ? '' : recordInWords(first)
    firsts.set(text, (firsts.get(text) ?? 0) + 1)
  }
  t.equal(firsts.size, 5)
  t.ok(
    [...firsts.values()].every((count) => count > 140 && count < 260),
    [...firsts].join(' '),
  )
})
