import fc from 'fast-check'
import t from 'tap'
import {
  addressBytes,
  addressRange,
  isInRange,
  reversedAddress,
} from '../../../../../worker/network/dns/addresses.ts'

const hex = (text: string): string | undefined => addressBytes(text)?.toString('hex')

t.test('addresses of both families become bytes, however they are written', async (t) => {
  t.equal(hex('10.0.1.255'), '0a0001ff')
  t.equal(hex('fd00::1'), 'fd000000000000000000000000000001')
  t.equal(hex('::'), '0'.repeat(32))
  t.equal(hex('1:2:3:4:5:6:7:8'), '00010002000300040005000600070008')
  t.equal(hex('FD00:0:0::0001'), hex('fd00::1'))
  t.equal(hex('fd00::10.0.1.2'), 'fd00000000000000000000000a000102')
})

t.test('what is no address is none', async (t) => {
  for (const text of [
    '',
    '10.0.1',
    '10.0.1.256',
    'fd00::1::2',
    'fe80::1%eth0',
    'web',
    '010.0.0.1',
  ]) {
    t.equal(addressBytes(text), undefined, text)
  }
})

t.test('a subnet holds its addresses and no others', async (t) => {
  const holds = (subnet: string, address: string): boolean => {
    const [range, bytes] = [addressRange(subnet), addressBytes(address)]
    if (range === undefined || bytes === undefined) throw new Error('bad example')
    return isInRange(range, bytes)
  }
  t.ok(holds('10.0.1.0/24', '10.0.1.255'))
  t.notOk(holds('10.0.1.0/24', '10.0.2.0'))
  t.ok(holds('10.0.0.0/9', '10.127.255.255'))
  t.notOk(holds('10.0.0.0/9', '10.128.0.0'))
  t.ok(holds('0.0.0.0/0', '192.0.2.1'))
  t.ok(holds('10.0.1.7/32', '10.0.1.7'))
  t.ok(holds('fd00:1::/64', 'fd00:1::ffff'))
  t.notOk(holds('fd00:1::/64', '10.0.1.1'))
})

t.test('what is no subnet is none', async (t) => {
  for (const text of [
    '10.0.1.0',
    '10.0.1.0/33',
    '10.0.1.0/x',
    'x/8',
    'fd00::/129',
    '10.0.1.0/-1',
  ]) {
    t.equal(addressRange(text), undefined, text)
  }
})

t.test('the reverse name of every address leads back to it', async (t) => {
  const reverse = (bytes: Buffer): string =>
    bytes.length === 4
      ? `${[...bytes].reverse().join('.')}.in-addr.arpa`
      : `${[...bytes.toString('hex')].reverse().join('.')}.ip6.arpa`
  const address = fc
    .constantFrom(4, 16)
    .chain((length) => fc.uint8Array({ minLength: length, maxLength: length }))
  fc.assert(
    fc.property(address, (bytes) => {
      const found = reversedAddress(reverse(Buffer.from(bytes)))
      return found?.equals(bytes) === true
    }),
  )
  t.pass()
})

t.test('other names below arpa stand for no address', async (t) => {
  const names = ['1.0.10.in-addr.arpa', '1.2.3.4.5.in-addr.arpa', '300.1.0.10.in-addr.arpa', 'web']
  for (const name of [...names, '1.ip6.arpa', `${'0.'.repeat(31)}00.ip6.arpa`, 'arpa']) {
    t.equal(reversedAddress(name), undefined, name)
  }
})
