// What `ip` and `bridge` write, as items that can be compared (kernel-state.ts). Pure; which items a node needs is said
// in desired-kernel.ts and compile-overlay.ts.
import type { DesiredItem } from './kernel-state.ts'

export interface LinkOptions {
  readonly mtu?: number
  readonly mac?: string
  readonly alias?: string
  /** Lines that make it, in its own namespace. */
  readonly create?: readonly string[]
}

/** A veth, or the loopback under the name `lo`. */
export function linkItem(name: string, options: LinkOptions): DesiredItem {
  const fields = {
    ...(options.alias === undefined ? {} : { alias: options.alias }),
    ...(options.mtu === undefined ? {} : { mtu: `${options.mtu}` }),
    ...(options.mac === undefined ? {} : { address: options.mac }),
  }
  return {
    kind: 'link',
    key: name,
    fields: { ...fields, state: 'up' },
    identity: name === 'lo' ? 'loopback' : 'veth',
    create: options.create ?? [],
    put: [['link set', name, ...words(fields), 'up'].join(' ')],
  }
}

export interface VxlanOptions {
  readonly vni: number
  readonly mac: string
  readonly mtu: number
  /** Address of this host in the underlay. */
  readonly local: string
  readonly port: number
  /** File of the namespace it goes to. */
  readonly netns: string
  /** Nobody on the way may take its packets apart: what is too large is lost. */
  readonly isWhole?: boolean
}

/** Made from the host's namespace, so that its socket stays there, right into another one. */
export function vxlanItem(name: string, options: VxlanOptions): DesiredItem {
  const { vni, mac, mtu, local, port, netns, isWhole = false } = options
  const how = isWhole ? 'nolearning df set' : 'nolearning'
  const what = `type vxlan id ${vni} local ${local} dstport ${port} ${how}`
  return {
    kind: 'link',
    key: name,
    fields: { mtu: `${mtu}`, address: mac, state: 'up' },
    identity: vxlanIdentity({ vni, local, port, isLearning: false, isWhole }),
    create: [],
    hostCreate: [`link add ${name} netns ${netns} address ${mac} mtu ${mtu} ${what}`],
    put: [`link set ${name} mtu ${mtu} address ${mac} up`],
  }
}

/** What of a VXLAN device cannot be changed in place. */
export function vxlanIdentity(device: {
  readonly vni: number
  readonly local: string
  readonly port: number
  readonly isLearning: boolean
  readonly isWhole: boolean
}): string {
  const { vni, local, port, isLearning, isWhole } = device
  const how = `${isLearning ? ' that learns' : ''}${isWhole ? ' in whole packets' : ''}`
  return `vxlan ${vni} from ${local} on port ${port}${how}`
}

/** `address` with prefix length. */
export function addressItem(link: string, address: string): DesiredItem {
  const how = address.includes(':') ? ' nodad' : ''
  return {
    kind: 'address',
    key: `${link} ${address}`,
    fields: {},
    identity: '',
    create: [],
    put: [`addr replace ${address} dev ${link}${how}`],
  }
}

export interface RouteOptions {
  readonly type?: 'unreachable' | 'local'
  readonly via?: string
  readonly dev?: string
  readonly src?: string
  readonly mtu?: string
}

export interface RoutePlace {
  /** The kernel takes no word of smaller ones further on, and takes no packet apart for them. */
  readonly isMtuFixed?: boolean
  /** Undefined: the main one. */
  readonly table?: number | 'local'
  /** The next hop is no neighbour by its address. */
  readonly isOnlink?: boolean
}

/** `destination`: `default`, `::/0`, a subnet, or a single address without prefix length. */
export function routeItem(
  destination: string,
  options: RouteOptions,
  place: RoutePlace = {},
): DesiredItem {
  const { type, mtu, ...how } = options
  const target = type === undefined ? destination : `${type} ${destination}`
  const line = [
    'route replace',
    target,
    ...words(how),
    ...(place.isOnlink === true ? ['onlink'] : []),
    ...(mtu === undefined ? [] : [place.isMtuFixed === true ? 'mtu lock' : 'mtu', mtu]),
    ...(place.table === undefined ? [] : ['table', `${place.table}`]),
  ]
  return {
    kind: 'route',
    key: routeKey(destination, place.table),
    fields: { type: 'unicast', via: '', dev: '', src: '', mtu: '', ...options },
    identity: '',
    create: [],
    put: [line.join(' ')],
  }
}

export function routeKey(destination: string, table: RoutePlace['table']): string {
  return table === undefined ? destination : `${destination} table ${table}`
}

export function neighbourItem(link: string, address: string, mac: string): DesiredItem {
  return {
    kind: 'neighbour',
    key: `${link} ${address}`,
    fields: { lladdr: mac },
    identity: '',
    create: [],
    put: [`neigh replace ${address} lladdr ${mac} dev ${link} nud permanent`],
  }
}

/** Which host of the underlay a MAC address of a VXLAN device lies behind. */
export function fdbItem(link: string, mac: string, host: string): DesiredItem {
  return {
    kind: 'fdb',
    key: `${link} ${mac}`,
    fields: { dst: host },
    identity: '',
    create: [],
    put: [`fdb replace ${mac} dev ${link} dst ${host} self static`],
  }
}

export type AddressFamily = 4 | 6

export interface RuleOptions {
  readonly mark?: number
  readonly mask?: number
  readonly action:
    | { readonly kind: 'lookup'; readonly table: string }
    | { readonly kind: 'goto'; readonly pref: number }
    | { readonly kind: 'nop' }
}

/** A rule has no replace: it is its own identity, and made anew when anything of it differs. */
export function ruleItem(family: AddressFamily, pref: number, options: RuleOptions): DesiredItem {
  const { mark, mask = 0xffffffff, action } = options
  const match = mark === undefined ? '' : ` fwmark ${mark}/${hex(mask)}`
  const what = actionText(action)
  return {
    kind: 'rule',
    key: ruleKey(family, pref),
    fields: {},
    identity: ruleIdentity(mark, mask, what),
    create: [`${ruleFamily(family)}rule add pref ${pref}${match} ${what}`],
    put: [],
  }
}

/** What a line about a rule begins with: nothing else in it tells the family (see kernel.ts). */
export function ruleFamily(family: AddressFamily): string {
  return family === 4 ? '' : '-6 '
}

export function ruleKey(family: AddressFamily, pref: number): string {
  return `${family} pref ${pref}`
}

/** `action` as `ip` reads it. */
export function ruleIdentity(mark: number | undefined, mask: number, action: string): string {
  return mark === undefined ? action : `mark ${mark}/${hex(mask)} ${action}`
}

function actionText(action: RuleOptions['action']): string {
  switch (action.kind) {
    case 'lookup':
      return `lookup ${action.table}`
    case 'goto':
      return `goto ${action.pref}`
    case 'nop':
      return 'nop'
  }
}

function hex(value: number): string {
  return `0x${value.toString(16)}`
}

function words(options: object): string[] {
  return Object.entries(options).map(([name, value]) => `${name} ${value}`)
}
