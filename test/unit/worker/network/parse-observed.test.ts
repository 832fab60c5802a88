import t from 'tap'
import {
  parseLinks,
  parseNeighbours,
  parseRoutes,
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
  t.same(parseRoutes('\n'), [])
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
    parseRoutes(text).map(({ key, fields }) => [key, fields]),
    [
      ['default', { type: 'unicast', via: '169.254.77.1', dev: 'up0', src: '' }],
      ['172.30.0.0/16', { type: 'unreachable', via: '', dev: '', src: '' }],
      ['10.0.0.0/8 metric 100', { type: 'unicast', via: '1.1.1.1', dev: 'up0', src: '' }],
    ],
  )
})

t.test('a listing of one device leaves its name out', async (t) => {
  const text = JSON.stringify([
    { dst: '172.30.0.0/16', gateway: '169.254.77.2', prefsrc: '1.2.3.4' },
  ])
  t.same(parseRoutes(text, 'dp0')[0]?.fields, {
    type: 'unicast',
    via: '169.254.77.2',
    dev: 'dp0',
    src: '1.2.3.4',
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
