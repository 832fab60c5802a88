import fc from 'fast-check'
import t from 'tap'
import { seededRandom } from '../../../../proto/lib/random.ts'
import {
  contains,
  formatIpv4,
  formatSubnet,
  overlaps,
  parseIpv4,
  parseSubnet,
  randomMac,
  requireSubnet,
} from '../../../../worker/network/ipv4.ts'

t.test('every address survives formatting and parsing', async (t) => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), (value) => {
      t.equal(parseIpv4(formatIpv4(value)), value)
    }),
  )
})

t.test('text that is not a dotted quad is no address', async (t) => {
  for (const text of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.0.0.1',
    '01.2.3.4',
    '1.2.3.4 ',
    'a.b.c.d',
    '::1',
  ]) {
    t.equal(parseIpv4(text), undefined, text)
  }
})

t.test('a subnet needs a prefix and zero host bits', async (t) => {
  t.same(parseSubnet('172.30.0.0/16'), { base: 0xac1e0000, prefix: 16 })
  t.equal(formatSubnet({ base: 0xac1e0000, prefix: 16 }), '172.30.0.0/16')
  t.same(parseSubnet('0.0.0.0/0'), { base: 0, prefix: 0 })
  for (const text of [
    '172.30.0.0',
    '172.30.0.1/16',
    '172.30.0.0/33',
    '172.30.0.0/',
    '1.2.3.4/32/1',
  ]) {
    t.equal(parseSubnet(text), undefined, text)
  }
  t.throws(() => requireSubnet('10.0.0.1/8', 'local subnet'), {
    code: 'INVALID_ARGUMENT',
    message: /local subnet "10\.0\.0\.1\/8"/,
  })
  t.same(requireSubnet('10.0.0.0/8', 'x'), { base: 0x0a000000, prefix: 8 })
})

t.test('containment and overlap end at the last address', async (t) => {
  const subnet = requireSubnet('10.1.0.0/24', 'x')
  t.ok(contains(subnet, 0x0a0100ff))
  t.notOk(contains(subnet, 0x0a010100))
  t.notOk(contains(subnet, 0x0a00ffff))
  t.ok(overlaps(subnet, requireSubnet('10.0.0.0/8', 'x')))
  t.ok(overlaps(requireSubnet('10.0.0.0/8', 'x'), subnet))
  t.notOk(overlaps(subnet, requireSubnet('10.1.1.0/24', 'x')))
})

t.test('MAC addresses are unicast and locally administered', async (t) => {
  const random = seededRandom(7)
  const seen = new Set<string>()
  for (let i = 0; i < 200; i++) {
    const mac = randomMac(random)
    t.match(mac, /^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/)
    seen.add(mac)
  }
  t.equal(seen.size, 200)
})
