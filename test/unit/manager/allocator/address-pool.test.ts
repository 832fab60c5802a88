// The addresses of one subnet: what is never given, the order, and when a freed one is given again.
import fc from 'fast-check'
import t from 'tap'
import { AddressPool } from '../../../../manager/allocator/address-pool.ts'

const all = Number.POSITIVE_INFINITY

function aPool(subnet: string, facts: { ipRange?: string; gateway?: string; from?: number } = {}) {
  const { ipRange = '', gateway = '', from = 0 } = facts
  return new AddressPool({ subnet, ipRange, gateway }, from)
}

function takeAll(pool: AddressPool, acked = all): readonly string[] {
  const addresses: string[] = []
  for (let taken = pool.take(acked); taken.kind === 'taken'; taken = pool.take(acked)) {
    addresses.push(taken.address)
  }
  return addresses
}

t.test('every address but those of the subnet and the gateway is given, once', async (t) => {
  const pool = aPool('10.1.0.0/29', { gateway: '10.1.0.1' })
  t.equal(pool.size, 5)
  t.same(takeAll(pool), ['10.1.0.2', '10.1.0.3', '10.1.0.4', '10.1.0.5', '10.1.0.6'])
  t.same(pool.take(all), { kind: 'full' })
  t.equal(pool.used, 5)
})

t.test('a range within the subnet is all that is given', async (t) => {
  const pool = aPool('10.1.0.0/16', { ipRange: '10.1.5.0/30', gateway: '10.1.5.2' })
  t.same(takeAll(pool), ['10.1.5.0', '10.1.5.1', '10.1.5.3'])
  const last = aPool('10.1.0.0/24', { ipRange: '10.1.0.252/30', gateway: '10.1.0.1' })
  t.same(takeAll(last), ['10.1.0.252', '10.1.0.253', '10.1.0.254'])
})

t.test('IPv6, also far behind the beginning of a /64', async (t) => {
  const pool = aPool('fd00:1::/126', { gateway: 'fd00:1::1' })
  t.same(takeAll(pool), ['fd00:1::2'])
  const far = aPool('fd00:1::/64', {
    ipRange: 'fd00:1::ffff:ffff:ffff:0/126',
    gateway: 'fd00:1::1',
  })
  t.same(takeAll(far)[3], 'fd00:1::ffff:ffff:ffff:3')
  const wide = aPool('fd00:1::/64', { gateway: 'fd00:1::1' })
  t.same(wide.take(all), { kind: 'taken', address: 'fd00:1::2' })
})

t.test(
  'what was free the longest is given next, and not before every node let go of it',
  async (t) => {
    const pool = aPool('10.1.0.0/29', { gateway: '10.1.0.1' })
    takeAll(pool)
    pool.release('10.1.0.5', 100)
    pool.release('10.1.0.2', 101)
    t.same(pool.take(99), { kind: 'waiting' })
    t.notOk(pool.hasNext(99))
    t.ok(pool.hasNext(100))
    t.same(pool.take(100), { kind: 'taken', address: '10.1.0.5' })
    t.same(pool.take(100), { kind: 'waiting' })
    t.same(pool.take(101), { kind: 'taken', address: '10.1.0.2' })
    t.same(pool.take(101), { kind: 'full' })
  },
)

t.test('a new leader holds everything for freed just now', async (t) => {
  const pool = aPool('10.1.0.0/29', { gateway: '10.1.0.1', from: 50 })
  pool.claim('10.1.0.3')
  pool.startAfter('10.1.0.3')
  t.same(pool.take(49), { kind: 'waiting' })
  t.same(takeAll(pool, 50), ['10.1.0.4', '10.1.0.5', '10.1.0.6', '10.1.0.2'])
})

t.test('what was taken in vain is given again at once', async (t) => {
  const pool = aPool('10.1.0.0/29', { gateway: '10.1.0.1' })
  takeAll(pool)
  pool.giveBack('10.1.0.4')
  t.ok(pool.hasNext(0))
  t.same(pool.take(0), { kind: 'taken', address: '10.1.0.4' })
})

t.test('what nobody heard of comes before what was freed', async (t) => {
  const pool = aPool('10.1.0.0/29', { gateway: '10.1.0.1' })
  takeAll(pool)
  pool.release('10.1.0.3', 1)
  pool.giveBack('10.1.0.4')
  t.same(takeAll(pool), ['10.1.0.4', '10.1.0.3'])
})

t.test('foreign and reserved addresses change nothing', async (t) => {
  const pool = aPool('10.1.0.0/29', { gateway: '10.1.0.1' })
  for (const address of ['10.2.0.1', '10.1.0.1', '10.1.0.7', 'fd00::1', 'x']) {
    t.notOk(pool.claim(address))
    pool.release(address, 1)
    pool.giveBack(address)
  }
  t.ok(pool.claim('10.1.0.2'))
  t.notOk(pool.claim('10.1.0.2'))
  pool.release('10.1.0.2', 1)
  t.ok(pool.claim('10.1.0.2'), 'a freed one may be claimed')
  t.equal(takeAll(pool).length, 4)
})

type Step =
  | { readonly kind: 'take' | 'release' | 'giveBack'; readonly pick: number }
  | { readonly kind: 'ack' }

t.test('no address is given twice, nor before its time, and none is lost', async (t) => {
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({
      kind: fc.constantFrom(
        'take' as const,
        'take' as const,
        'release' as const,
        'giveBack' as const,
      ),
      pick: fc.nat(20),
    }),
    fc.constant({ kind: 'ack' as const }),
  )
  const property = fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const pool = aPool('10.1.0.0/28', { gateway: '10.1.0.1' })
    const held: string[] = []
    const freedAt = new Map<string, number>()
    let index = 1
    let acked = 0
    for (const one of steps) {
      index += 1
      if (one.kind === 'ack') acked = index
      else if (one.kind === 'take') {
        const taken = pool.take(acked)
        if (taken.kind !== 'taken') {
          const open = [...freedAt.values()].filter((at) => at <= acked).length
          if (taken.kind === 'full' && held.length < pool.size) return false
          // Only the oldest is looked at, and it is the first to be let go of.
          if (open > 0) return false
          continue
        }
        if (held.includes(taken.address)) return false
        if ((freedAt.get(taken.address) ?? 0) > acked) return false
        freedAt.delete(taken.address)
        held.push(taken.address)
      } else {
        const [address] = held.splice(one.pick % Math.max(1, held.length), 1)
        if (address === undefined) continue
        if (one.kind === 'release') {
          pool.release(address, index)
          freedAt.set(address, index)
        } else pool.giveBack(address)
      }
    }
    return pool.used === held.length
  })
  fc.assert(property, { numRuns: 300 })
  t.pass()
})

t.test('an address that is asked for', async (t) => {
  const subnet = { subnet: '10.0.1.0/24', ipRange: '10.0.1.8/29', gateway: '10.0.1.9' }
  const pool = new AddressPool(subnet, 0)
  const ask = (address: string, acked = Number.POSITIVE_INFINITY) => pool.takeThis(address, acked)
  t.equal(ask('10.0.1.10'), 'taken')
  t.equal(ask('10.0.1.10'), 'used')
  for (const bad of ['10.0.1.0', '10.0.1.255', '10.0.1.9', '10.0.2.5', 'fd00::1', 'x']) {
    t.equal(ask(bad), 'unusable', bad)
  }
  t.equal(ask('10.0.1.200'), 'taken', 'outside of the range that is given from')
  t.equal(ask('10.0.1.200'), 'used')
  t.match(pool, { used: 1, usedOutside: 1, size: 7 })
  t.same(pool.take(0), { kind: 'taken', address: '10.0.1.8' })
  t.same(pool.take(0), { kind: 'taken', address: '10.0.1.11' }, 'what was asked for is passed over')
  for (const address of ['10.0.1.10', '10.0.1.200']) pool.release(address, 7)
  for (const address of ['10.0.1.10', '10.0.1.200']) {
    t.equal(ask(address, 6), 'waiting', address)
    t.equal(ask(address, 7), 'taken', address)
    pool.giveBack(address)
    t.equal(ask(address, 0), 'taken', 'nobody heard of it')
  }
  t.equal(pool.claim('10.0.1.200'), false)
  t.equal(pool.claim('10.0.1.201'), true)
  pool.release('10.0.1.202', 9)
  t.equal(ask('10.0.1.202', 0), 'taken', "it was nobody's")
})

t.test('a new leader takes what is asked for as freed just now', async (t) => {
  const pool = new AddressPool({ subnet: 'fd00:1::/64', ipRange: '', gateway: 'fd00:1::1' }, 5)
  for (const address of ['fd00:1::9', 'fd00:1:0:0:ffff::1']) {
    t.equal(pool.takeThis(address, 4), 'waiting')
    t.equal(pool.takeThis(address, 5), 'taken')
  }
  t.equal(pool.takeThis('fd00:1:0:0:ffff:0:0:1', 9), 'used', 'however it is written')
})
