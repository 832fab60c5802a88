// What `ip -j`, `bridge -j`, `nft -j` and /proc/sys say, as the items of kernel-state.ts. Pure.
import { createHash } from 'node:crypto'
import { type AddressFamily, routeKey, ruleIdentity, ruleKey, vxlanIdentity } from './items.ts'
import {
  type Json,
  type JsonObject,
  listOf,
  numberOf,
  objectOf,
  objects,
  parseJson,
  textOf,
} from './json.ts'
import type { ObservedItem, ObservedTable } from './kernel-state.ts'
import { ruleText, serviceChainPrefix } from './service-chains.ts'

export interface ObservedLink {
  readonly name: string
  readonly index: number
  /** Index of a veth's other end in whatever namespace that is; 0: none, or in the same namespace. */
  readonly peerIndex: number
  readonly item: ObservedItem
  readonly addresses: readonly ObservedItem[]
}

/** Answer of `ip -d -j addr show`. */
export function parseLinks(text: string): readonly ObservedLink[] {
  return objects(parseJson(text)).map((link) => {
    const name = textOf(link.ifname)
    const isUp = listOf(link.flags).includes('UP')
    return {
      name,
      index: numberOf(link.ifindex),
      peerIndex: numberOf(link.link_index),
      item: {
        kind: 'link',
        key: name,
        identity: identityOf(link),
        fields: {
          alias: textOf(link.ifalias),
          mtu: `${numberOf(link.mtu)}`,
          address: textOf(link.address),
          state: isUp ? 'up' : 'down',
        },
      },
      addresses: objects(link.addr_info)
        .filter((info) => info.scope !== 'host' && info.scope !== 'link')
        .map((info) => ({
          kind: 'address',
          key: `${name} ${textOf(info.local)}/${numberOf(info.prefixlen)}`,
          identity: '',
          fields: {},
        })),
    }
  })
}

/** What of a device cannot be changed in place. */
function identityOf(link: JsonObject): string {
  const { info_kind: kind, info_data: data } = objectOf(link.linkinfo)
  if (kind !== 'vxlan') return textOf(kind) || textOf(link.link_type)
  const { id, local, local6, port, learning, df } = objectOf(data)
  return vxlanIdentity({
    vni: numberOf(id),
    local: textOf(local) || textOf(local6),
    port: numberOf(port),
    isLearning: learning === true,
    isWhole: df === 'set',
  })
}

export interface RouteListing {
  readonly family: AddressFamily
  /** What a listing of one device leaves out. */
  readonly dev?: string
}

/** Answer of `ip -4|-6 -j route show table …`, without what the kernel made itself. */
export function parseRoutes(text: string, listing: RouteListing): readonly ObservedItem[] {
  return objects(parseJson(text))
    .filter((route) => route.protocol !== 'kernel')
    .map((route) => {
      const name = textOf(route.table)
      const table = name === '' ? undefined : name === 'local' ? name : Number(name)
      return {
        kind: 'route',
        key: routeKey(destinationOf(route, listing.family), table),
        identity: '',
        fields: {
          type: textOf(route.type) || 'unicast',
          via: textOf(route.gateway),
          dev: deviceOf(route, listing.dev ?? ''),
          src: textOf(route.prefsrc),
          mtu: mtuOf(route),
        },
      }
    })
}

/** IPv6 routes have a metric always; the usual one is as none. */
function destinationOf(route: JsonObject, family: AddressFamily): string {
  const { metric } = route
  const isUsual = metric === undefined || (family === 6 && metric === 1024)
  const dst = textOf(route.dst)
  const destination = family === 6 && dst === 'default' ? '::/0' : dst
  return isUsual ? destination : `${destination} metric ${numberOf(metric)}`
}

/** Unreachable IPv6 routes are said to leave by loopback. */
function deviceOf(route: JsonObject, listed: string): string {
  if (route.type === 'unreachable') return ''
  return textOf(route.dev) || (route.type === undefined ? listed : '')
}

/** Of a route, in bytes; empty: it has none. */
export function mtuOf(route: JsonObject): string {
  const mtu = objects(route.metrics)
    .map((metrics) => numberOf(metrics.mtu))
    .find((value) => value > 0)
  return mtu === undefined ? '' : `${mtu}`
}

/** Answer of `ip -4|-6 -j rule show`, without the rules every namespace begins with. */
export function parseRules(text: string, family: AddressFamily): readonly ObservedItem[] {
  return objects(parseJson(text))
    .filter(({ priority }) => ![0, 32_766, 32_767].includes(numberOf(priority)))
    .map((rule) => ({
      kind: 'rule',
      key: ruleKey(family, numberOf(rule.priority)),
      identity: ruleIdentity(
        rule.fwmark === undefined ? undefined : Number(textOf(rule.fwmark)),
        rule.fwmask === undefined ? 0xffffffff : Number(textOf(rule.fwmask)),
        ruleAction(rule),
      ),
      fields: {},
    }))
}

function ruleAction(rule: JsonObject): string {
  if (rule.nop !== undefined) return 'nop'
  if (rule.goto !== undefined) return `goto ${numberOf(rule.goto)}`
  return `lookup ${textOf(rule.table)}`
}

/** Answer of `bridge -j fdb show`: those that lie behind another host. */
export function parseFdb(text: string): readonly ObservedItem[] {
  return objects(parseJson(text))
    .filter(({ dst }) => dst !== undefined)
    .map((entry) => ({
      kind: 'fdb',
      key: `${textOf(entry.ifname)} ${textOf(entry.mac)}`,
      identity: '',
      fields: { dst: textOf(entry.dst) },
    }))
}

/** Answer of `ip -j neigh show nud permanent`; `dev`: the one device it was limited to, which it leaves out then. */
export function parseNeighbours(text: string, dev = ''): readonly ObservedItem[] {
  return objects(parseJson(text)).map((entry) => ({
    kind: 'neighbour',
    key: `${textOf(entry.dev) || dev} ${textOf(entry.dst)}`,
    identity: '',
    fields: { lladdr: textOf(entry.lladdr) },
  }))
}

/** Lines `/proc/sys/PATH:value` as of `grep -H`, keyed by PATH. */
export function parseSysctls(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>()
  for (const line of text.split('\n')) {
    const match = /^\/proc\/sys\/([^:]+):(.*)$/.exec(line)
    if (match?.[1] !== undefined) values.set(match[1], (match[2] ?? '').trim())
  }
  return values
}

/** Answer of `nft -j -s list table …`; undefined when there was no such table. */
export function parseTable(text: string): ObservedTable | undefined {
  const entries = objects(objectOf(parseJson(text)).nftables)
  if (!entries.some((entry) => entry.table !== undefined)) return undefined
  const elements = new Map<string, readonly string[]>()
  const serviceChains = new Map<string, string[]>()
  const shape = createHash('sha256')
  for (const entry of entries) {
    if (entry.metainfo !== undefined || noteServiceChain(entry, serviceChains)) continue
    const set = objectOf(entry.set ?? entry.map)
    if (set.name !== undefined) {
      elements.set(textOf(set.name), listOf(set.elem).map(elementText))
    }
    shape.update(`${JSON.stringify(entry, withoutVariables)}\n`)
  }
  return { shape: shape.digest('hex'), elements, serviceChains }
}

/** Whether the entry is of a chain that comes and goes; then it is taken into the map. */
function noteServiceChain(entry: JsonObject, chains: Map<string, string[]>): boolean {
  const chain = objectOf(entry.chain)
  const rule = objectOf(entry.rule)
  const name = textOf(chain.name) || textOf(rule.chain)
  // One that is hooked in does more than be jumped to.
  if (!serviceChainPrefix.test(name) || chain.hook !== undefined) return false
  const rules = chains.get(name) ?? []
  if (entry.rule !== undefined) rules.push(ruleText(rule.expr))
  chains.set(name, rules)
  return true
}

/** Handles count up over the life of a table; elements are compared one by one. */
function withoutVariables(name: string, value: unknown): unknown {
  return name === 'handle' || name === 'elem' ? undefined : value
}

/** An element as nft reads it: `a . b`, and for maps `a . b : c . d`. */
function elementText(element: Json): string {
  if (Array.isArray(element)) return element.map(elementText).join(' : ')
  if (typeof element !== 'object' || element === null) return `${element}`
  const object = objectOf(element)
  if (object.concat !== undefined) return listOf(object.concat).map(elementText).join(' . ')
  if (object.prefix !== undefined) {
    const prefix = objectOf(object.prefix)
    return `${textOf(prefix.addr)}/${numberOf(prefix.len)}`
  }
  if (object.jump !== undefined) return `jump ${textOf(objectOf(object.jump).target)}`
  if (object.elem !== undefined) return elementText(objectOf(object.elem).val ?? '')
  return JSON.stringify(object)
}
