// Whether the address that this node advertises is still right, and which one is when it is not. Pure; not for what follows from
// a move (node-runtime.ts).
import { BlockList, isIP } from 'node:net'
import { controlPort, formatHostPort, type InterfaceAddress, parseHostPort } from './addresses.ts'
import type { SwarmState } from './swarm-state.ts'

/** Where this node has its address: an interface, and the subnet there. */
export type AdvertiseHome = NonNullable<SwarmState['advertiseHome']>

export type Advertised = Pick<SwarmState, 'listenAddress' | 'advertiseHost' | 'advertiseHome'>

export type AdvertiseStep =
  /** It is right, or was never one of this host: what is translated to it is for others to know. */
  | { readonly kind: 'keep' }
  /** It is one of this host: from now on this node follows its interface. */
  | { readonly kind: 'settle'; readonly next: Advertised }
  /** `soon`: on the same interface; otherwise the interface may only be late. `candidates`: how many there were to choose from. */
  | {
      readonly kind: 'move'
      readonly next: Advertised
      readonly isSoon: boolean
      readonly candidates: number
    }
  /** It is gone, and none is sure to be meant instead. */
  | { readonly kind: 'lost'; readonly candidates: number }

/**
 * The rule: an address the host never had is kept. One that it had and lost is replaced on its interface, if possible within its
 * subnet; when nothing is left there by one of that subnet elsewhere, or by the only one there is. Back to the interface as
 * soon as it has an address again. Always of the same family (IPv4 or IPv6).
 */
export function nextAdvertised(
  state: Advertised,
  addresses: readonly InterfaceAddress[],
): AdvertiseStep {
  const { advertiseHost: host, advertiseHome: home } = state
  const here = addresses.find(({ address }) => address === host)
  if (home === undefined) {
    return here === undefined ? { kind: 'keep' } : { kind: 'settle', next: settled(state, here) }
  }
  const usable = addresses.filter(({ address }) => isIP(address) === isIP(host))
  const atHome = usable.filter((one) => one.interface === home.interface)
  if (here !== undefined && (here.interface === home.interface || atHome.length === 0)) {
    return { kind: 'keep' }
  }
  const [first] = atHome
  if (first !== undefined) {
    const to = atHome.find((one) => isInSubnet(one, home)) ?? first
    const next = settled(state, to)
    return { kind: 'move', next, isSoon: true, candidates: atHome.length }
  }
  const near = usable.filter((one) => isInSubnet(one, home))
  const to = near[0] ?? (usable.length === 1 ? usable[0] : undefined)
  if (to === undefined) return { kind: 'lost', candidates: usable.length }
  // Its home stays what it was: it goes back there.
  const next = { ...settled(state, to), advertiseHome: home }
  return { kind: 'move', next, isSoon: false, candidates: near.length || usable.length }
}

function settled(state: Advertised, to: InterfaceAddress): Advertised {
  const listen = parseHostPort(state.listenAddress, controlPort, 'listen address')
  const follows = listen.host === state.advertiseHost
  return {
    listenAddress: follows ? formatHostPort({ ...listen, host: to.address }) : state.listenAddress,
    advertiseHost: to.address,
    advertiseHome: { interface: to.interface, cidr: to.cidr },
  }
}

function isInSubnet({ address }: InterfaceAddress, { cidr }: AdvertiseHome): boolean {
  const [net = '', bits = ''] = cidr.split('/')
  const family = isIP(net) === 6 ? 'ipv6' : 'ipv4'
  const subnet = new BlockList()
  subnet.addSubnet(net, Number(bits), family)
  return subnet.check(address, family)
}
