// Which door stands for a published port: by its bind address, and by whether the host's firewall is opened for it. Pure.
import { formatIpv4, requireSubnet } from './ipv4.ts'
import {
  dataPlaneAddress,
  dataPlaneAddress6,
  doorSubnet,
  firewallDoor,
  firewallDoor6,
} from './network-state.ts'
import { familyOf } from './overlay-state.ts'

/** What doors are told apart by. */
export interface DoorUse {
  /** Of one host address. */
  readonly bindAddress: string
  readonly isFirewallFirst: boolean
}

export function doorKey({ bindAddress, isFirewallFirst }: DoorUse): string {
  return isFirewallFirst ? `${bindAddress} firewall-first` : bindAddress
}

/** Of ports on every address of the family. */
export function commonDoor(family: 4 | 6, isFirewallFirst: boolean): string {
  if (isFirewallFirst) return family === 4 ? firewallDoor : firewallDoor6
  return family === 4 ? dataPlaneAddress : dataPlaneAddress6
}

/** Whether it is one of those left to the host's firewall. */
export function isFirewallDoor(door: string): boolean {
  if (door.includes(':')) return door.startsWith('fd77::2:')
  return Number(door.split('.').at(-1)) >= 128
}

/** One that is not taken; undefined: there are 124 or 126 of them only. */
export function freeDoor(use: DoorUse, isTaken: (door: string) => boolean): string | undefined {
  const { bindAddress, isFirewallFirst } = use
  const [first, end] = isFirewallFirst ? [129, 255] : [4, 128]
  const { base } = requireSubnet(doorSubnet, 'doors')
  for (let offset = first; offset < end; offset++) {
    // Doors over IPv6 are numbered like those over IPv4.
    const door =
      familyOf(bindAddress) === 4
        ? formatIpv4(base + offset)
        : `fd77::${isFirewallFirst ? 2 : 1}:${offset}`
    if (!isTaken(door)) return door
  }
  return undefined
}
