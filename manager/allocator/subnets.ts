// Which subnets a network gets: those it asks for, checked, or the first free ones of the cluster's pools.
import type { Network, NetworkSubnet } from '../../proto/objects/index.ts'
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
} from '../../proto/spec/ip.ts'
import type { NetworkSpec, SubnetSpec } from '../../proto/spec/network-spec.ts'
import { reservedRanges, whyReserved } from '../../proto/spec/reserved-ranges.ts'

export interface SubnetPools {
  /** CIDRs of both families. */
  readonly pools: readonly string[]
  /** Prefix length of what is cut from the IPv4 ones. */
  readonly size: number
  /** What nodes have for themselves, which no network may meet in their data planes. */
  readonly locals?: readonly LocalSubnet[]
}

export interface LocalSubnet {
  readonly subnet: string
  /** Name of the node. */
  readonly node: string
}

export type SubnetPlan =
  | { readonly kind: 'ok'; readonly subnets: readonly NetworkSubnet[] }
  | {
      readonly kind: 'refused'
      readonly code: 'INVALID_ARGUMENT' | 'RESOURCE_EXHAUSTED'
      readonly field: string
      readonly reason: string
    }

type Refusal = Extract<SubnetPlan, { kind: 'refused' }>

/** Cut from a pool of IPv6. Source: RFC 4291, section 2.5.4. */
const subnetSizeV6 = 64
/** A network without a free address is of no use. */
const prefixMax: Readonly<Record<IpRange['bits'], number>> = { 32: 30, 128: 126 }

interface Wish {
  /** In messages. */
  readonly field: string
  readonly bits: IpRange['bits']
  readonly spec: SubnetSpec
}

/** Decides about a new network beside the others. O(networks log networks). */
export function planSubnets(
  spec: NetworkSpec,
  others: Iterable<Network>,
  pools: SubnetPools,
): SubnetPlan {
  const wishes = wishesOf(spec)
  if (!Array.isArray(wishes)) return wishes as Refusal
  const locals = (pools.locals ?? []).flatMap((local) => usedLocally(local))
  const used = [...[...others].flatMap((network) => usedBy(network)), ...locals]
  const subnets: NetworkSubnet[] = []
  for (const wish of wishes as readonly Wish[]) {
    const range = wish.spec.subnet === '' ? freeRange(wish, used, pools) : askedRange(wish, used)
    if ('kind' in range) return range
    const inner = innerOf(wish, range)
    if ('kind' in inner) return inner
    subnets.push(inner)
  }
  return { kind: 'ok', subnets }
}

/** One of IPv4, and one of IPv6 when it is wished. */
function wishesOf(spec: NetworkSpec): readonly Wish[] | Refusal {
  const given = new Map<IpRange['bits'], Wish>()
  for (const [i, subnet] of spec.subnets.entries()) {
    const field = `subnets[${i}]`
    const bits = familyOf(subnet)
    if (given.has(bits)) {
      return refuse(field, `is a second one of ${familyName(bits)}: give one of each family`)
    }
    given.set(bits, { field: `${field}.subnet`, bits, spec: subnet })
  }
  const none = { subnet: '', ipRange: '', gateway: '' }
  const v4 = given.get(32) ?? { field: 'subnets', bits: 32, spec: none }
  const v6 = given.get(128) ?? (spec.ipv6 ? { field: 'subnets', bits: 128, spec: none } : undefined)
  return v6 === undefined ? [v4] : [v4, v6]
}

/** Of the subnet, or of what is said about it. */
function familyOf({ subnet, ipRange, gateway }: SubnetSpec): IpRange['bits'] {
  return parseIpRange(subnet || ipRange || gateway || '0.0.0.0/0')?.bits ?? 32
}

interface UsedRange {
  readonly range: IpRange
  /** Whose it is, in words. */
  readonly by: string
  /** Beside choosing another. */
  readonly remedy?: string
}

function usedLocally({ subnet, node }: LocalSubnet): readonly UsedRange[] {
  const range = parseIpRange(subnet)
  const remedy = 'give that node another local subnet in the configuration of its daemon'
  return range === undefined ? [] : [{ range, by: `the local network of node ${node}`, remedy }]
}

function usedBy({ spec, subnets }: Network): readonly UsedRange[] {
  return subnets.flatMap(({ subnet }) => {
    const range = parseIpRange(subnet)
    return range === undefined ? [] : [{ range, by: `network "${spec.name}"` }]
  })
}

function askedRange({ field, spec }: Wish, used: readonly UsedRange[]): IpRange | Refusal {
  const range = parseIpRange(spec.subnet)
  const said = `("${spec.subnet}")`
  if (range === undefined)
    return refuse(field, `${said} is no subnet: write for example 10.1.0.0/16`)
  if (range.value !== firstOf(range)) {
    return refuse(field, `${said} has host bits set: write ${formatRange(range)}`)
  }
  if (range.prefix > prefixMax[range.bits] || range.prefix < 8) {
    return refuse(field, `${said} must have a prefix from 8 to ${prefixMax[range.bits]}`)
  }
  const special = whyReserved(range)
  if (special !== undefined) return refuse(field, `${said} cannot be used: ${special}`)
  const other = used.find((one) => rangesOverlap(one.range, range))
  if (other === undefined) return range
  const whose = `${formatRange(other.range)} of ${other.by}`
  const instead = ['choose another subnet, or none', ...(other.remedy ? [other.remedy] : [])]
  return refuse(field, `${said} overlaps with ${whose}: ${instead.join(', or ')}`)
}

/** The first subnet of the pools that meets no other. */
function freeRange(wish: Wish, used: readonly UsedRange[], pools: SubnetPools): IpRange | Refusal {
  const { bits } = wish
  const taken = [...used.map(({ range }) => range), ...reservedRanges]
    .filter((range) => range.bits === bits)
    .sort((a, b) => (firstOf(a) < firstOf(b) ? -1 : 1))
  const own = pools.pools
    .flatMap((text) => parseIpRange(text) ?? [])
    .filter((pool) => pool.bits === bits)
  for (const pool of own) {
    const prefix = Math.max(pool.prefix, bits === 32 ? pools.size : subnetSizeV6)
    const found = freeIn(pool, prefix, taken)
    if (found !== undefined) return found
  }
  const names = own.map(formatRange).join(', ')
  const size = bits === 32 ? pools.size : subnetSizeV6
  return {
    kind: 'refused',
    code: 'RESOURCE_EXHAUSTED',
    field: wish.field,
    reason:
      `cannot be chosen: every /${size} of the cluster's address pools (${names}) is in use. ` +
      'Remove networks that nothing uses, or name a subnet of your own with --subnet',
  }
}

/** `taken` in order of their first addresses. */
function freeIn(pool: IpRange, prefix: number, taken: readonly IpRange[]): IpRange | undefined {
  const step = 1n << BigInt(pool.bits - prefix)
  const end = firstOf(pool) + sizeOf(pool)
  let at = firstOf(pool)
  for (const range of taken) {
    if (firstOf(range) >= at + step) break
    const behind = firstOf(range) + sizeOf(range)
    // Subnets are aligned to their size.
    if (behind > at) at = ((behind + step - 1n) / step) * step
  }
  return at + step <= end ? { bits: pool.bits, value: at, prefix } : undefined
}

function innerOf({ field, spec }: Wish, range: IpRange): NetworkSubnet | Refusal {
  const subnet = formatRange(range)
  const inner = spec.ipRange === '' ? undefined : parseIpRange(spec.ipRange)
  if (inner !== undefined && !rangeHolds(range, inner)) {
    return refuse(
      field.replace(/subnet$/, 'ipRange'),
      `("${spec.ipRange}") is no part of ${subnet}`,
    )
  }
  const address =
    spec.gateway === '' ? { bits: range.bits, value: firstOf(range) + 1n } : parseIp(spec.gateway)
  const last = firstOf(range) + sizeOf(range) - 1n
  const isHost =
    address !== undefined &&
    address.bits === range.bits &&
    address.value > firstOf(range) &&
    address.value < last
  if (!isHost) {
    const reason = `("${spec.gateway}") is no address of a host in ${subnet}`
    return refuse(field.replace(/subnet$/, 'gateway'), reason)
  }
  const ipRange = inner === undefined ? '' : formatRange(inner)
  return { subnet, ipRange, gateway: formatIp(address) }
}

function refuse(field: string, reason: string): Refusal {
  return { kind: 'refused', code: 'INVALID_ARGUMENT', field, reason }
}

function familyName(bits: IpRange['bits']): string {
  return bits === 32 ? 'IPv4' : 'IPv6'
}
