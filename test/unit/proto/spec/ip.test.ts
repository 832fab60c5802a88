import { isIP } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import {
  firstOf,
  formatIp,
  formatRange,
  type IpRange,
  parseIp,
  parseIpRange,
  rangeHolds,
  rangesOverlap,
  sizeOf,
} from '../../../../proto/spec/ip.ts'

const range = (text: string): IpRange =>
  parseIpRange(text) ?? (t.fail(`${text} is no range`) as never)

t.test('an address comes back as it was, in the shortest form', async (t) => {
  for (const text of [
    '0.0.0.0',
    '10.1.2.3',
    '255.255.255.255',
    '::',
    '::1',
    'fd77:1::2',
    '1:0:0:2::3',
  ]) {
    const address = parseIp(text)
    t.equal(address && formatIp(address), text)
  }
  const long = parseIp('2001:DB8:0:0:0:0:0:1')
  t.equal(long && formatIp(long), '2001:db8::1')
  const one = parseIp('1:0:2:3:4:5:6:7')
  t.equal(one && formatIp(one), '1:0:2:3:4:5:6:7', 'one group of zeros is not shortened')
  t.equal(parseIp('10.0.0'), undefined)
  t.equal(parseIp('10.0.0.0/8'), undefined)
})

t.test('every written address is one for Node too, and is read as the same number', async (t) => {
  const v4 = fc
    .bigInt({ min: 0n, max: 2n ** 32n - 1n })
    .map((value) => ({ bits: 32 as const, value }))
  const v6 = fc
    .bigInt({ min: 0n, max: 2n ** 128n - 1n })
    .map((value) => ({ bits: 128 as const, value }))
  const sparse = fc
    .array(fc.constantFrom(0n, 0n, 1n, 0xffffn), { minLength: 8, maxLength: 8 })
    .map((groups) => ({
      bits: 128 as const,
      value: groups.reduce<bigint>((all, one) => (all << 16n) | one, 0n),
    }))
  const property = fc.property(fc.oneof(v4, v6, sparse), (address) => {
    fc.pre(address.bits === 32 || address.value >> 32n !== 0xffffn)
    const text = formatIp(address)
    t.equal(isIP(text), address.bits === 32 ? 4 : 6, text)
    t.same(parseIp(text), address)
  })
  fc.assert(property, { numRuns: 200 })
})

t.test('ranges have a first address, a size, and may share addresses', async (t) => {
  t.equal(formatRange(range('10.1.2.3/16')), '10.1.0.0/16')
  t.equal(formatRange(range('fd00::5/64')), 'fd00::/64')
  t.equal(firstOf(range('10.0.0.255/24')), 10n << 24n)
  t.equal(sizeOf(range('10.0.0.0/24')), 256n)
  t.ok(rangesOverlap(range('10.0.0.0/8'), range('10.200.0.0/24')))
  t.ok(rangesOverlap(range('10.200.0.0/24'), range('10.0.0.0/8')))
  t.notOk(rangesOverlap(range('10.0.0.0/24'), range('10.0.1.0/24')))
  t.notOk(rangesOverlap(range('::/0'), range('10.0.0.0/8')), 'of two families')
  t.ok(rangeHolds(range('10.0.0.0/8'), range('10.1.0.0/16')))
  t.notOk(rangeHolds(range('10.1.0.0/16'), range('10.0.0.0/8')))
})
