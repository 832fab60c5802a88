import t from 'tap'
import {
  parseFdb,
  parseLinks,
  parseNeighbours,
  parseRoutes,
  parseRules,
  parseSysctls,
  parseTable,
} from '../../../../worker/network/parse-observed.ts'

t.test('links carry what we set and the index of their other end', async (t) => {
  const text = JSON.stringify([
    {},
    {
      ifindex: 7,
      link_index: 2,
      ifname: 'dp0',
      flags: ['BROADCAST', 'UP', 'LOWER_UP'],
      mtu: 1500,
      link_type: 'ether',
      address: '02:00:00:00:00:07',
      ifalias: 'tsswarm',
      linkinfo: { info_kind: 'veth' },
      addr_info: [
        { family: 'inet', local: '169.254.77.1', prefixlen: 30, scope: 'global' },
        { family: 'inet6', local: 'fe80::1', prefixlen: 64, scope: 'link' },
      ],
    },
    {
      ifindex: 1,
      ifname: 'lo',
      flags: ['LOOPBACK'],
      mtu: 65536,
      link_type: 'loopback',
      address: '00:00:00:00:00:00',
      addr_info: [{ family: 'inet', local: '127.0.0.1', prefixlen: 8, scope: 'host' }],
    },
  ])
  const [veth, lo, ...others] = parseLinks(text)
  t.same(others, [])
  t.same(veth, {
    name: 'dp0',
    index: 7,
    peerIndex: 2,
    item: {
      kind: 'link',
      key: 'dp0',
      identity: 'veth',
      fields: { alias: 'tsswarm', mtu: '1500', address: '02:00:00:00:00:07', state: 'up' },
    },
    addresses: [{ kind: 'address', key: 'dp0 169.254.77.1/30', identity: '', fields: {} }],
  })
  t.equal(lo?.item.identity, 'loopback')
  t.equal(lo?.item.fields.state, 'down')
  t.same(lo?.addresses, [])
})

t.test('no answer at all is an empty list', async (t) => {
  t.same(parseLinks(''), [])
  t.same(parseRoutes('\n', { family: 4 }), [])
  t.same(parseNeighbours('[]'), [])
  t.equal(parseTable(''), undefined)
  t.same(parseSysctls(''), new Map())
})

t.test('routes of the kernel itself are left out, metrics are part of the key', async (t) => {
  const text = JSON.stringify([
    { dst: '169.254.77.0/30', dev: 'up0', protocol: 'kernel', prefsrc: '169.254.77.2' },
    { dst: 'default', gateway: '169.254.77.1', dev: 'up0', flags: [] },
    { type: 'unreachable', dst: '172.30.0.0/16', flags: [] },
    { dst: '10.0.0.0/8', gateway: '1.1.1.1', dev: 'up0', metric: 100 },
  ])
  t.same(
    parseRoutes(text, { family: 4 }).map(({ key, fields }) => [key, fields]),
    [
      ['default', { type: 'unicast', via: '169.254.77.1', dev: 'up0', src: '', mtu: '' }],
      ['172.30.0.0/16', { type: 'unreachable', via: '', dev: '', src: '', mtu: '' }],
      ['10.0.0.0/8 metric 100', { type: 'unicast', via: '1.1.1.1', dev: 'up0', src: '', mtu: '' }],
    ],
  )
})

t.test('a listing of one device leaves its name out', async (t) => {
  const text = JSON.stringify([
    { dst: '172.30.0.0/16', gateway: '169.254.77.2', prefsrc: '1.2.3.4' },
  ])
  t.same(parseRoutes(text, { family: 4, dev: 'dp0' })[0]?.fields, {
    type: 'unicast',
    via: '169.254.77.2',
    dev: 'dp0',
    src: '1.2.3.4',
    mtu: '',
  })
})

t.test('permanent neighbours are keyed by device and address', async (t) => {
  const text =
    '[{"dst":"172.30.0.5","dev":"va","lladdr":"02:00:00:00:00:01","state":["PERMANENT"]}]'
  t.same(parseNeighbours(text), [
    {
      kind: 'neighbour',
      key: 'va 172.30.0.5',
      identity: '',
      fields: { lladdr: '02:00:00:00:00:01' },
    },
  ])
  const ofDevice = text.replace('"dev":"va",', '')
  t.equal(parseNeighbours(ofDevice, 'dp0')[0]?.key, 'dp0 172.30.0.5', 'a listing of one device')
})

t.test('sysctls are keyed by their path below /proc/sys', async (t) => {
  const text = '/proc/sys/net/ipv4/ip_forward:1\nnonsense\n/proc/sys/net/ipv4/tcp_mem:1\t2\t3\n'
  t.same(
    parseSysctls(text),
    new Map([
      ['net/ipv4/ip_forward', '1'],
      ['net/ipv4/tcp_mem', '1\t2\t3'],
    ]),
  )
})

/** A table as nft 1.0.6 lists it, cut down. */
const listing = (handle: number, elem: unknown, verdict = 'accept'): string =>
  JSON.stringify({
    nftables: [
      { metainfo: { version: '1.0.6' } },
      { table: { family: 'inet', name: 'tsswarm', handle } },
      { map: { family: 'inet', name: 'host_ports', table: 'tsswarm', handle, elem } },
      { set: { family: 'inet', name: 'egress', table: 'tsswarm', handle } },
      { rule: { chain: 'forward', handle, expr: [{ [verdict]: null }] } },
    ],
  })

const element = [{ concat: ['169.254.77.2', 'tcp', 8080] }, { concat: ['172.30.0.5', 80] }]

t.test('elements read as nft writes them', async (t) => {
  const table = parseTable(listing(1, [element, { prefix: { addr: '10.0.0.0', len: 8 } }, 'plain']))
  t.same(table?.elements.get('host_ports'), [
    '169.254.77.2 . tcp . 8080 : 172.30.0.5 . 80',
    '10.0.0.0/8',
    'plain',
  ])
  t.same(table?.elements.get('egress'), [])
})

t.test('the shape of a table is its rules, not its handles and elements', async (t) => {
  const shape = parseTable(listing(1, [element]))?.shape
  t.equal(parseTable(listing(99, []))?.shape, shape)
  t.not(parseTable(listing(1, [element], 'drop'))?.shape, shape)
})

t.test('elements with attributes are read by their value', async (t) => {
  const odd = { elem: { val: '10.0.0.1', timeout: 5 } }
  const table = parseTable(listing(1, [odd, { range: ['a', 'b'] }, null]))
  t.same(table?.elements.get('host_ports'), ['10.0.0.1', '{"range":["a","b"]}', 'null'])
})

t.test('a VXLAN device is known by what cannot be changed', async (t) => {
  const device = (data: unknown): unknown => ({
    ifname: 'vx100000',
    link_type: 'ether',
    linkinfo: { info_kind: 'vxlan', info_data: data },
  })
  const text = JSON.stringify([
    device({ id: 1_048_576, local: '10.99.0.1', port: 4789, learning: false }),
    device({ id: 1_048_576, local6: 'fd99::1', port: 4790, learning: true }),
  ])
  t.same(
    parseLinks(text).map(({ item }) => item.identity),
    [
      'vxlan 1048576 from 10.99.0.1 on port 4789',
      'vxlan 1048576 from fd99::1 on port 4790 that learns',
    ],
  )
})

t.test('routes of other tables, of IPv6 and with an MTU are told apart', async (t) => {
  const four = JSON.stringify([
    { dst: 'default', gateway: '100.127.0.2', dev: 'vx1', table: '100002', flags: ['onlink'] },
    { type: 'local', dst: '10.1.0.2', dev: 'lo', scope: 'host', table: 'local' },
    { type: 'local', dst: '10.1.0.3', dev: 'lo', scope: 'host' },
    { type: 'local', dst: '10.1.0.1', dev: 'lo', table: 'local', protocol: 'kernel' },
    { dst: '10.1.0.5', gateway: '100.127.0.2', dev: 'vx1', metrics: [{ mtu: 1400 }] },
  ])
  t.same(
    parseRoutes(four, { family: 4 }).map(({ key, fields }) => [key, fields.type, fields.mtu]),
    [
      ['default table 100002', 'unicast', ''],
      ['10.1.0.2 table local', 'local', ''],
      ['10.1.0.3', 'local', ''],
      ['10.1.0.5', 'unicast', '1400'],
    ],
  )
  const six = JSON.stringify([
    { dst: 'default', gateway: 'fd77::1', dev: 'up0', metric: 1024 },
    { type: 'unreachable', dst: 'fd01::/64', dev: 'lo', metric: 1024 },
    { dst: 'fd02::/64', dev: 'up0', metric: 5 },
    { dst: 'fe80::/64', dev: 'up0', protocol: 'kernel', metric: 256 },
  ])
  t.same(
    parseRoutes(six, { family: 6 }).map(({ key, fields }) => [key, fields.dev]),
    [
      ['::/0', 'up0'],
      ['fd01::/64', ''],
      ['fd02::/64 metric 5', 'up0'],
    ],
  )
})

t.test(
  'rules are keyed by family and preference, those every namespace has are left out',
  async (t) => {
    const text = JSON.stringify([
      { priority: 0, src: 'all', table: 'local' },
      { priority: 10, src: 'all', fwmark: '0', table: 'main' },
      { priority: 200, src: 'all', fwmark: '0x5', fwmask: '0x1f', goto: 10_000 },
      { priority: 10_000, src: 'all', nop: null },
      { priority: 32_766, src: 'all', table: 'main' },
    ])
    t.same(
      parseRules(text, 6).map(({ key, identity }) => [key, identity]),
      [
        ['6 pref 10', 'mark 0/0xffffffff lookup main'],
        ['6 pref 200', 'mark 5/0x1f goto 10000'],
        ['6 pref 10000', 'nop'],
      ],
    )
  },
)

t.test('of forwarding entries those count that lie behind another host', async (t) => {
  const text = JSON.stringify([
    { mac: '33:33:00:00:00:01', ifname: 'up0', flags: ['self'], state: 'permanent' },
    { mac: '02:00:00:00:00:02', ifname: 'vx1', dst: '10.99.0.2', flags: ['self'], state: 'static' },
  ])
  t.same(parseFdb(text), [
    { kind: 'fdb', key: 'vx1 02:00:00:00:00:02', identity: '', fields: { dst: '10.99.0.2' } },
  ])
})

t.test('chains of services are read by their rules and are no part of the shape', async (t) => {
  const entries = (...more: readonly unknown[]): string =>
    JSON.stringify({ nftables: [{ table: { name: 'tsswarm' } }, ...more] })
  const chain = { chain: { name: 'svc4_1_web', handle: 7 } }
  const rule = { rule: { chain: 'svc4_1_web', handle: 8, expr: [{ drop: null }] } }
  const table = parseTable(entries(chain, rule))
  t.same(table?.serviceChains, new Map([['svc4_1_web', ['drop']]]))
  t.equal(table?.shape, parseTable(entries())?.shape)
  const hooked = { chain: { name: 'svc4_1_web', hook: 'forward' } }
  t.not(parseTable(entries(hooked))?.shape, table?.shape, 'one that is hooked in is')
  const vips = { map: { name: 'vips', elem: [['10.1.0.2', { jump: { target: 'svc4_1_web' } }]] } }
  t.same(parseTable(entries(vips))?.elements.get('vips'), ['10.1.0.2 : jump svc4_1_web'])
})
