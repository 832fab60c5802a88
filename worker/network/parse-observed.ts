// What `ip -j`, `nft -j` and /proc/sys say, as the items of kernel-state.ts. Pure. IPv4 only.
import { createHash } from 'node:crypto'
import { type Json, listOf, numberOf, objectOf, objects, parseJson, textOf } from './json.ts'
import type { ObservedItem, ObservedTable } from './kernel-state.ts'

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
    const kind = textOf(objectOf(link.linkinfo).info_kind) || textOf(link.link_type)
    const isUp = listOf(link.flags).includes('UP')
    return {
      name,
      index: numberOf(link.ifindex),
      peerIndex: numberOf(link.link_index),
      item: {
        kind: 'link',
        key: name,
        identity: kind,
        fields: {
          alias: textOf(link.ifalias),
          mtu: `${numberOf(link.mtu)}`,
          address: textOf(link.address),
          state: isUp ? 'up' : 'down',
        },
      },
      addresses: objects(link.addr_info)
        .filter((info) => info.family === 'inet' && info.scope !== 'host')
        .map((info) => ({
          kind: 'address',
          key: `${name} ${textOf(info.local)}/${numberOf(info.prefixlen)}`,
          identity: '',
          fields: {},
        })),
    }
  })
}

/** Answer of `ip -4 -j route show table main [dev D]`; `dev` is what a listing of one device leaves out. */
export function parseRoutes(text: string, dev = ''): readonly ObservedItem[] {
  return objects(parseJson(text))
    .filter((route) => route.protocol !== 'kernel')
    .map((route) => {
      const metric = route.metric === undefined ? '' : ` metric ${numberOf(route.metric)}`
      return {
        kind: 'route',
        key: textOf(route.dst) + metric,
        identity: '',
        fields: {
          type: textOf(route.type) || 'unicast',
          via: textOf(route.gateway),
          dev: textOf(route.dev) || (route.type === undefined ? dev : ''),
          src: textOf(route.prefsrc),
        },
      }
    })
}

/** Answer of `ip -4 -j neigh show nud permanent`. */
export function parseNeighbours(text: string): readonly ObservedItem[] {
  return objects(parseJson(text)).map((entry) => ({
    kind: 'neighbour',
    key: `${textOf(entry.dev)} ${textOf(entry.dst)}`,
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
  const shape = createHash('sha256')
  for (const entry of entries) {
    if (entry.metainfo !== undefined) continue
    const set = objectOf(entry.set ?? entry.map)
    if (set.name !== undefined) {
      elements.set(textOf(set.name), listOf(set.elem).map(elementText))
    }
    shape.update(`${JSON.stringify(entry, withoutVariables)}\n`)
  }
  return { shape: shape.digest('hex'), elements }
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
  if (object.elem !== undefined) return elementText(objectOf(object.elem).val ?? '')
  return JSON.stringify(object)
}
