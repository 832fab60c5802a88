// What nft would find in our tables for one packet, from what the kernel lists of them. Pure.
import { type IpRange, ipInRange, parseIpRange } from '../../proto/spec/ip.ts'
import type { ChainRules, ObservedTable } from './kernel-state.ts'

/** What the map leads to: for a verdict map `jump CHAIN`. */
export function mapped(
  table: ObservedTable | undefined,
  map: string,
  key: string,
): string | undefined {
  const beginning = `${key} : `
  const element = table?.elements.get(map)?.find((one) => one.startsWith(beginning))
  return element?.slice(beginning.length)
}

export function isElement(table: ObservedTable | undefined, set: string, element: string): boolean {
  return table?.elements.get(set)?.includes(element) ?? false
}

/** Whether the address is in a set of subnets. */
export function isWithin(table: ObservedTable | undefined, set: string, address: string): boolean {
  return table?.elements.get(set)?.some((subnet) => holds(subnet, address)) ?? false
}

/** Whether the pair is in a set of pairs of subnets. */
export function isPair(
  table: ObservedTable | undefined,
  set: string,
  [first, second]: readonly [string, string],
): boolean {
  const pairs = table?.elements.get(set) ?? []
  return pairs.some((pair) => {
    const [a = '', b = ''] = pair.split(' . ')
    return holds(a, first) && holds(b, second)
  })
}

export function holds(subnet: string, address: string): boolean {
  const range: IpRange | undefined = parseIpRange(subnet)
  return range !== undefined && ipInRange(range, address)
}

/** Where a chain of a service or a port leads a new connection. */
export interface Balanced {
  readonly targets: readonly Target[]
  /** Clients of which it lets in; undefined: all. */
  readonly sources: readonly string[] | undefined
  readonly isMasqueraded: boolean
  /** A rule of it is none of ours: what it does is not known. */
  readonly foreign: string | undefined
}

export interface Target {
  readonly address: string
  /** Undefined: the port stays. */
  readonly port: number | undefined
}

export function readChain(rules: ChainRules): Balanced {
  const sources: string[] = []
  let targets: readonly Target[] = []
  let [isLimited, isMasqueraded] = [false, false]
  let foreign: string | undefined
  for (const rule of rules) {
    const source = /^ip6? saddr (\S+) /.exec(rule)?.[1]
    const to = / dnat ip6? to (.*)$/.exec(` ${rule}`)?.[1]
    if (rule === 'drop') isLimited = true
    else if (rule.startsWith('ct mark set ')) isMasqueraded = true
    else if (to === undefined) foreign ??= rule
    else {
      if (source !== undefined) sources.push(source)
      targets = targetsOf(to)
    }
  }
  return { targets, sources: isLimited ? sources : undefined, isMasqueraded, foreign }
}

function targetsOf(text: string): readonly Target[] {
  const map = /map \{ (.*) \}$/.exec(text)?.[1]
  if (map === undefined) return [singleTarget(text)]
  return map.split(', ').map((entry) => {
    const [address = '', port] = entry.replace(/^\d+ : /, '').split(' . ')
    return { address, port: port === undefined ? undefined : Number(port) }
  })
}

/** `10.1.0.5`, `10.1.0.5:80`, `fd00::5` or `[fd00::5]:80`. */
function singleTarget(text: string): Target {
  const bracketed = /^\[(.*)\]:(\d+)$/.exec(text)
  const dotted = /^([\d.]+):(\d+)$/.exec(text)
  const [, address, port] = bracketed ?? dotted ?? []
  if (address === undefined) return { address: text, port: undefined }
  return { address, port: Number(port) }
}
