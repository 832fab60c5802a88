import fc from 'fast-check'
import t from 'tap'
import {
  type AddressPool,
  claimAddress,
  createPool,
  freeAddress,
  takeAddress,
} from '../../../../worker/network/address-pool.ts'
import { formatIpv4, requireSubnet } from '../../../../worker/network/ipv4.ts'

const aPool = (subnet = '10.0.0.0/29'): AddressPool => createPool(requireSubnet(subnet, 'subnet'))

function take(pool: AddressPool): { readonly text: string; readonly pool: AddressPool } {
  const taken = takeAddress(pool)
  if (taken.kind === 'exhausted') throw new Error('exhausted')
  return { text: formatIpv4(taken.address), pool: taken.pool }
}

const address = (pool: AddressPool, offset: number): number => pool.subnet.base + offset

t.test('addresses rise and leave out the first and the last of the subnet', async (t) => {
  let pool = aPool()
  const given: string[] = []
  for (let i = 0; i < 6; i++) {
    const next = take(pool)
    given.push(next.text)
    pool = next.pool
  }
  t.same(given, ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6'])
  t.same(takeAddress(pool), { kind: 'exhausted' })
})

t.test(
  'a freed address waits until all others were used, then the one freed first comes first',
  async (t) => {
    let pool = aPool()
    for (let i = 0; i < 4; i++) pool = take(pool).pool
    pool = freeAddress(pool, address(pool, 3))
    pool = freeAddress(pool, address(pool, 1))
    const given: string[] = []
    for (let i = 0; i < 4; i++) {
      const next = take(pool)
      given.push(next.text)
      pool = next.pool
    }
    t.same(given, ['10.0.0.5', '10.0.0.6', '10.0.0.3', '10.0.0.1'])
  },
)

t.test('a claimed address is not given again, and those skipped are not lost', async (t) => {
  let pool = claimAddress(aPool(), address(aPool(), 4))
  pool = claimAddress(pool, address(pool, 2))
  const given: string[] = []
  for (;;) {
    const taken = takeAddress(pool)
    if (taken.kind === 'exhausted') break
    given.push(formatIpv4(taken.address))
    pool = taken.pool
  }
  t.same(given, ['10.0.0.5', '10.0.0.6', '10.0.0.1', '10.0.0.3'])
})

t.test('addresses of another subnet change nothing', async (t) => {
  const pool = aPool()
  t.equal(freeAddress(pool, 1), pool)
  t.equal(claimAddress(pool, 1), pool)
})

t.test('freeing twice, or what was never taken, breaks an invariant', async (t) => {
  const pool = take(aPool()).pool
  t.throws(() => freeAddress(pool, address(pool, 2)), { name: 'InvariantError' })
  const freed = freeAddress(pool, address(pool, 1))
  t.throws(() => freeAddress(freed, address(pool, 1)), { name: 'InvariantError' })
})

t.test(
  'whatever the order of taking and freeing, no address has two holders and none is lost',
  async (t) => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { maxLength: 200 }), (steps) => {
        let pool = aPool('10.0.0.0/28')
        const held: number[] = []
        const freedOrder: number[] = []
        for (const step of steps) {
          if (step < 12) {
            const taken = takeAddress(pool)
            if (taken.kind === 'exhausted') {
              t.equal(held.length, 14)
              continue
            }
            t.notOk(held.includes(taken.address))
            if (freedOrder.includes(taken.address)) t.equal(taken.address, freedOrder.shift())
            held.push(taken.address)
            pool = taken.pool
          } else if (held.length > 0) {
            const [gone] = held.splice(step % held.length, 1)
            if (gone === undefined) throw new Error('no address held')
            pool = freeAddress(pool, gone)
            freedOrder.push(gone)
          }
        }
      }),
    )
  },
)
