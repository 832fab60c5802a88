import t from 'tap'
import {
  elementsCommand,
  portChain,
  ruleText,
  tableCommands,
  vipChain,
} from '../../../../worker/network/service-chains.ts'

const port = {
  family: 4 as const,
  protocol: 'tcp',
  backends: ['10.0.0.5', '10.0.0.6'].map((address) => ({ address, port: 80 })),
  sources: undefined,
  isMasqueraded: false,
}

const six = { address: 'fd00::5', port: 80 }

t.test('a virtual address leads to each backend alike, to one alone, or nowhere', async (t) => {
  t.same(vipChain(4, []), [])
  t.same(vipChain(4, ['10.0.0.5']), ['meta l4proto { tcp, udp, sctp } dnat ip to 10.0.0.5'])
  t.same(vipChain(6, ['fd00::5', 'fd00::6']), [
    'meta l4proto { tcp, udp, sctp } dnat ip6 to numgen random mod 2 map { 0 : fd00::5, 1 : fd00::6 }',
  ])
})

t.test('a published port leads to the port of its tasks', async (t) => {
  const two = 'dnat ip to numgen random mod 2 map { 0 : 10.0.0.5 . 80, 1 : 10.0.0.6 . 80 }'
  t.same(portChain(port), [`meta l4proto tcp ${two}`])
  t.same(portChain({ ...port, backends: [] }), [])
  const [first] = port.backends
  const other = { address: '10.0.0.6', port: 8080 }
  t.same(portChain({ ...port, backends: first === undefined ? [] : [first, other] }), [
    `meta l4proto tcp ${two.replace('6 . 80', '6 . 8080')}`,
  ])
  t.same(
    portChain({ ...port, backends: [{ address: '10.0.0.5', port: 80 }], isMasqueraded: true }),
    ['ct mark set ct mark or 0x10000', 'meta l4proto tcp dnat ip to 10.0.0.5:80'],
  )
  t.same(portChain({ ...port, family: 6, backends: [six], sources: ['fd01::/64'] }), [
    'ip6 saddr fd01::/64 meta l4proto tcp dnat ip6 to [fd00::5]:80',
    'drop',
  ])
  t.same(portChain({ ...port, backends: [{ address: '10.0.0.5', port: 80 }], sources: [] }), [
    'drop',
  ])
})

/** A rule's expressions as nft 1.0.6 lists them. */
const l4 = (right: unknown): unknown => ({
  match: { op: '==', left: { meta: { key: 'l4proto' } }, right },
})
const dnat = (family: string, set: unknown): unknown => ({
  dnat: {
    family,
    addr: { map: { key: { numgen: { mode: 'random', mod: 2, offset: 0 } }, data: { set } } },
  },
})
const saddr = (protocol: string, right: unknown): unknown => ({
  match: { op: '==', left: { payload: { protocol, field: 'saddr' } }, right },
})
const read = (...expressions: readonly unknown[]): string =>
  ruleText(JSON.parse(JSON.stringify(expressions)))

t.test('what the kernel lists reads as what was written', async (t) => {
  const all = { set: ['tcp', 'udp', 'sctp'] }
  t.equal(
    read(
      l4(all),
      dnat('ip6', [
        [0, 'fd00::5'],
        [1, 'fd00::6'],
      ]),
    ),
    vipChain(6, ['fd00::5', 'fd00::6'])[0],
  )
  t.equal(read(l4(all), { dnat: { family: 'ip', addr: '10.0.0.5' } }), vipChain(4, ['10.0.0.5'])[0])
  const targets = [
    [0, { concat: ['10.0.0.5', 80] }],
    [1, { concat: ['10.0.0.6', 80] }],
  ]
  t.equal(read(l4('tcp'), dnat('ip', targets)), portChain(port)[0])
  const mark = {
    mangle: { key: { ct: { key: 'mark' } }, value: { '|': [{ ct: { key: 'mark' } }, 65_536] } },
  }
  t.equal(read(mark), portChain({ ...port, isMasqueraded: true })[0])
  const single = { dnat: { family: 'ip6', addr: 'fd00::5', port: 80 } }
  const limited = {
    ...port,
    family: 6 as const,
    backends: [six],
    sources: ['fd01::/64', 'fd02::1'],
  }
  const [first, second] = portChain(limited)
  t.equal(read(saddr('ip6', { prefix: { addr: 'fd01::', len: 64 } }), l4('tcp'), single), first)
  t.equal(read(saddr('ip6', 'fd02::1'), l4('tcp'), single), second)
  t.equal(read({ drop: null }), 'drop')
})

t.test('what is not ours reads as nothing of ours', async (t) => {
  const strange: readonly unknown[] = [
    { accept: null },
    { match: { op: '!=', left: { meta: { key: 'l4proto' } }, right: 'tcp' } },
    {
      match: { op: '==', left: { payload: { protocol: 'ip', field: 'daddr' } }, right: '1.1.1.1' },
    },
    { mangle: { key: { meta: { key: 'mark' } }, value: 1 } },
    {
      dnat: {
        family: 'ip',
        addr: { map: { key: { numgen: { mode: 'inc', mod: 2, offset: 0 } } } },
      },
    },
  ]
  for (const one of strange) t.equal(read(one), JSON.stringify(one))
})

t.test('commands of one transaction never refer to what is not there', async (t) => {
  t.same(
    tableCommands({
      deleted: [{ set: 'vips', elements: ['10.0.0.9 : jump svc4_1_old'] }],
      added: [{ set: 'vips', elements: ['10.0.0.8 : jump svc4_1_new'] }],
      newChains: ['svc4_1_new'],
      rules: new Map([
        ['svc4_1_new', ['drop']],
        ['svc4_1_kept', ['drop']],
      ]),
      deletedChains: ['svc4_1_old'],
    }),
    [
      'add chain inet tsswarm svc4_1_new',
      'add rule inet tsswarm svc4_1_new drop',
      'flush chain inet tsswarm svc4_1_kept',
      'add rule inet tsswarm svc4_1_kept drop',
      'delete element inet tsswarm vips { 10.0.0.9 : jump svc4_1_old }',
      'add element inet tsswarm vips { 10.0.0.8 : jump svc4_1_new }',
      'flush chain inet tsswarm svc4_1_old',
      'delete chain inet tsswarm svc4_1_old',
    ],
  )
  t.equal(elementsCommand('add', 'egress', ['a', 'b']), 'add element inet tsswarm egress { a, b }')
})
