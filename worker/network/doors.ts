// Which door stands for a published port: by its bind address, and by whether the host's firewall is opened for it. Pure.
import { formatIpv4, requireSubnet } from './ipv4.ts'
import type { AddressFamily } from './items.ts'
import {
  dataPlaneAddress,
  dataPlaneAddress6,
  doorSubnet,
  firewallDoor,
  firewallDoor6,
} from './network-state.ts'
import { familyOf } from './overlay-state.ts'

/** Of what a port at this address is for the data plane: the daemon hands over what comes to ::1, over IPv4. */
export function doorFamily(bindAddress: string): AddressFamily {
  return bindAddress === loopback6 ? 4 : familyOf(bindAddress)
}

/** The kernel leads nothing away from it (see loopback-listener.ts). */
export const loopback6 = '::1'

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
export function commonDoor(family: AddressFamily, isFirewallFirst: boolean): string {
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
      doorFamily(bindAddress) === 4
        ? formatIpv4(base + offset)
        : `fd77::${isFirewallFirst ? 2 : 1}:${offset}`
    if (!isTaken(door)) return door
  }
  return undefined
}
