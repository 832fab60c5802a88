// Which address of a network's subnet comes next. Pure. For the networks of this node only: the addresses of
// cluster networks are the cluster allocator's.
import { invariant } from '../../proto/lib/assert.ts'
import { contains, type Subnet, sizeOf } from './ipv4.ts'

/**
 * Addresses never used go first, in rising order, then freed ones, the one freed longest ago first, so that whoever still
 * remembers an address has the most time to forget it. The first and the last address of a subnet are never given.
 */
export interface AddressPool {
  readonly subnet: Subnet
  /** Offset of the lowest address never used. */
  readonly nextOffset: number
  /** Freed addresses, oldest first. */
  readonly freed: readonly number[]
}

export function createPool(subnet: Subnet): AddressPool {
  return { subnet, nextOffset: 1, freed: [] }
}

export type Taken =
  | { readonly kind: 'taken'; readonly address: number; readonly pool: AddressPool }
  | { readonly kind: 'exhausted' }

/** The next free address and the pool without it. */
export function takeAddress(pool: AddressPool): Taken {
  if (pool.nextOffset < sizeOf(pool.subnet.prefix) - 1) {
    const address = pool.subnet.base + pool.nextOffset
    return { kind: 'taken', address, pool: { ...pool, nextOffset: pool.nextOffset + 1 } }
  }
  const [address, ...freed] = pool.freed
  if (address === undefined) return { kind: 'exhausted' }
  return { kind: 'taken', address, pool: { ...pool, freed } }
}

/** The pool without this very address, which somebody holds already. Addresses outside the subnet change nothing. */
export function claimAddress(pool: AddressPool, address: number): AddressPool {
  if (!contains(pool.subnet, address)) return pool
  const offset = address - pool.subnet.base
  if (offset < pool.nextOffset) {
    return { ...pool, freed: pool.freed.filter((other) => other !== address) }
  }
  const skipped = Array.from(
    { length: offset - pool.nextOffset },
    (_, index) => pool.subnet.base + pool.nextOffset + index,
  )
  return { ...pool, nextOffset: offset + 1, freed: [...skipped, ...pool.freed] }
}

/** Gives an address back; it becomes the last to be used again. Addresses outside the subnet change nothing. */
export function freeAddress(pool: AddressPool, address: number): AddressPool {
  if (!contains(pool.subnet, address)) return pool
  invariant(address - pool.subnet.base < pool.nextOffset, 'freed address was taken', { address })
  invariant(!pool.freed.includes(address), 'address is freed once', { address })
  return { ...pool, freed: [...pool.freed, address] }
}
