// One network as the allocator keeps it: its pools, and who waits for an address of it.
import type { Network, NetworkAddresses, ServiceId, TaskId } from '../../proto/objects/index.ts'
import { AddressPool, type Taken } from './address-pool.ts'

export type Given =
  | { readonly kind: 'given'; readonly addresses: NetworkAddresses }
  | {
      readonly kind: 'none'
      readonly why: string
      /** It is free as soon as every node has let go of it. */
      readonly isWaiting: boolean
    }

export class NetworkState {
  readonly network: Network
  readonly blockedServices = new Set<ServiceId>()
  readonly blockedTasks = new Set<TaskId>()
  readonly #pools: readonly AddressPool[]
  /** When what has the newest of its addresses was made. */
  #newestMs = -1

  /** `freshFromIndex`: as for AddressPool. */
  constructor(network: Network, freshFromIndex: number) {
    this.network = network
    this.#pools = network.subnets.map((subnet) => new AddressPool(subnet, freshFromIndex))
  }

  /** Whether it could give one of each family now. */
  hasNext(ackedIndex: number): boolean {
    return this.#pools.every((pool) => pool.hasNext(ackedIndex))
  }

  /** One of each family, or of none. `wished`: these, at most one of each. */
  give(ackedIndex: number, wished: readonly string[] = []): Given {
    const addresses: string[] = []
    for (const pool of this.#pools) {
      const wish = wished.find((address) => isOf(pool.subnet.subnet, address))
      const taken = wish === undefined ? pool.take(ackedIndex) : takeThis(pool, wish, ackedIndex)
      if (taken.kind !== 'taken') {
        this.giveBack(addresses)
        if (wish !== undefined) return { kind: 'none', ...this.#whyNot(wish, taken.kind) }
        const isWaiting = taken.kind === 'waiting'
        return { kind: 'none', why: this.#why(pool, taken.kind), isWaiting }
      }
      addresses.push(taken.address)
    }
    return { kind: 'given', addresses: { networkId: this.network.id, addresses } }
  }

  /** What was given was not written. */
  giveBack(addresses: readonly string[]): void {
    for (const address of addresses) for (const pool of this.#pools) pool.giveBack(address)
  }

  claim(addresses: readonly string[]): void {
    for (const address of addresses) for (const pool of this.#pools) pool.claim(address)
  }

  /** While learning: the rest is given from behind the newest ones on. */
  learn(addresses: readonly string[], createdAtMs: number): void {
    this.claim(addresses)
    if (createdAtMs < this.#newestMs) return
    this.#newestMs = createdAtMs
    for (const address of addresses) for (const pool of this.#pools) pool.startAfter(address)
  }

  /** They were somebody's until the commit of that Raft index. */
  release(addresses: readonly string[], atIndex: number): void {
    for (const address of addresses) for (const pool of this.#pools) pool.release(address, atIndex)
  }

  #whyNot(wish: string, kind: 'waiting' | 'full'): { why: string; isWaiting: boolean } {
    const what = `address ${wish} of network "${this.network.spec.name}"`
    return kind === 'waiting'
      ? {
          why: `${what} was freed, and a node still knows it: it is given as soon as none does`,
          isWaiting: true,
        }
      : { why: `${what} is in use: ask for another`, isWaiting: false }
  }

  /** Without numbers that change, so that a task's error is written once. */
  #why({ size, subnet }: AddressPool, kind: 'waiting' | 'full'): string {
    const where = subnet.ipRange === '' ? subnet.subnet : `${subnet.ipRange} in ${subnet.subnet}`
    const all = `no free address on network "${this.network.spec.name}": all ${size} of ${where}`
    return kind === 'full'
      ? `${all} are in use`
      : `${all} are in use, or were freed and are still known to a node`
  }
}

function takeThis(pool: AddressPool, address: string, ackedIndex: number): Taken {
  const taken = pool.takeThis(address, ackedIndex)
  if (taken === 'taken') return { kind: 'taken', address }
  return { kind: taken === 'waiting' ? 'waiting' : 'full' }
}

/** Of its family. */
function isOf(subnet: string, address: string): boolean {
  return subnet.includes(':') === address.includes(':')
}
