// Several compose files as one. Inputs are normalised. Source: swarm-semantics 4, "merge of -c files": values that say nothing
// (false, 0, "") do not override, except whole numbers such as replicas; plain lists are joined; ports go by the published
// port, volumes by target, secrets and configs by source.
import { compareKeys, compareText } from './go-text.ts'
import { entryOf, type ListNode, listNode, type MapNode, mapNode, type Node } from './node.ts'
import type { Fields, Shape, Struct } from './shape.ts'

/** The files in their order, the first with everything that only it may say. */
export function mergeFiles(files: readonly MapNode[], shape: Struct): MapNode {
  const [first, ...later] = files
  if (first === undefined) throw new Error('no file to merge')
  return later.reduce((base, over) => mergeFile(base, over, shape), first)
}

function mergeFile(base: MapNode, over: MapNode, shape: Struct): MapNode {
  const keys = ['services', 'networks', 'volumes', 'secrets', 'configs']
  const merged = keys.flatMap((key): readonly (readonly [string, Node])[] => {
    const from = entryOf(base, key)
    const to = entryOf(over, key)
    const of = shape.fields[key]?.shape
    if (to?.kind !== 'map' || of?.kind !== 'objects') return from === undefined ? [] : [[key, from]]
    const objects = new Map(from?.kind === 'map' ? objectsOf(from) : [])
    for (const [name, value] of objectsOf(to)) {
      const before = objects.get(name)
      const isMerged = key === 'services' && before !== undefined
      objects.set(name, isMerged ? mergeNodes(of.of, before, value) : value)
    }
    return [[key, mapNode(sorted([...objects]), to.at)]]
  })
  const rest = [...base.entries].filter(([key]) => !keys.includes(key))
  return mapNode([...rest.map(([key, { value }]) => [key, value] as const), ...merged], base.at)
}

function objectsOf(node: MapNode): readonly (readonly [string, Node])[] {
  return [...node.entries].map(([key, { value }]) => [key, value] as const)
}

function sorted(pairs: readonly (readonly [string, Node])[]): readonly (readonly [string, Node])[] {
  return [...pairs].sort(([a], [b]) => compareKeys(a, b))
}

function mergeNodes(shape: Shape, base: Node, over: Node): Node {
  switch (shape.kind) {
    case 'struct':
      return base.kind === 'map' && over.kind === 'map'
        ? mergeStruct(shape.fields, base, over)
        : over
    case 'bool':
      return over.kind === 'bool' && over.value ? over : base
    case 'duration':
      return over.kind === 'text' && over.value === '0s' ? base : over
    case 'texts':
    case 'list':
    case 'hosts':
    case 'test':
      return mergeLists(base, over)
    case 'textMap':
      return mergeMaps(base, over, () => true)
    case 'assignments':
      // A pointer to an empty text counts as empty, as does none.
      return mergeMaps(base, over, (value) => !shape.keepsNull || !saysNothing(value))
    case 'ports':
      return mergeKeyed(base, over, publishedOf)
    case 'mounts':
      return mergeKeyed(base, over, (item) => textAt(item, 'target'))
    case 'references':
      return mergeKeyed(base, over, (item) => textAt(item, 'source'))
    case 'networks':
      return mergeNetworks(base, over)
    case 'ulimits':
      return mergeMaps(base, over, () => true)
    case 'any':
      return mergeAny(base, over)
    default:
      return over
  }
}

/** Lists that are sorted by their keys are so even when the later file says nothing of them. */
const keyed = ['ports', 'mounts', 'references']

function mergeStruct(fields: Fields, base: MapNode, over: MapNode): MapNode {
  const merged: [string, Node][] = []
  for (const [key, { shape }] of Object.entries(fields)) {
    const from = entryOf(base, key)
    const to = entryOf(over, key)
    if (from === undefined) {
      if (to !== undefined) merged.push([key, to])
    } else if (to !== undefined) {
      merged.push([key, key === 'logging' ? mergeLogging(from, to) : mergeNodes(shape, from, to)])
    } else
      merged.push([
        key,
        keyed.includes(shape.kind) ? mergeNodes(shape, from, emptyList(from)) : from,
      ])
  }
  const extras = new Map<string, Node>()
  for (const [key, { value }] of base.entries)
    if (!Object.hasOwn(fields, key)) extras.set(key, value)
  for (const [key, { value }] of over.entries) {
    if (Object.hasOwn(fields, key)) continue
    const before = extras.get(key)
    const isSameKind =
      before?.kind === value.kind && (value.kind === 'map' || value.kind === 'list')
    extras.set(key, before !== undefined && isSameKind ? mergeAny(before, value) : value)
  }
  return mapNode([...merged, ...sorted([...extras])], over.at)
}

function emptyList(like: Node): Node {
  return listNode([], like.at)
}

function mergeLists(base: Node, over: Node): Node {
  if (base.kind !== 'list' || over.kind !== 'list') return over
  return listNode([...base.items, ...over.items], over.at)
}

function mergeMaps(base: Node, over: Node, overrides: (value: Node) => boolean): Node {
  if (base.kind !== 'map' || over.kind !== 'map') return over
  const merged = new Map(objectsOf(base))
  for (const [key, value] of objectsOf(over)) {
    if (!merged.has(key) || overrides(value) || merged.get(key)?.kind === 'null') {
      merged.set(key, value)
    }
  }
  return mapNode(sorted([...merged]), over.at)
}

function mergeKeyed(base: Node, over: Node, keyOf: (item: Node) => string): Node {
  if (base.kind !== 'list' || over.kind !== 'list') return over
  const merged = new Map<string, Node>()
  for (const item of [...base.items, ...over.items]) merged.set(keyOf(item), item)
  const items = [...merged].sort(([a], [b]) => compareText(a, b)).map(([, item]) => item)
  const result: ListNode = listNode(items, over.items.length === 0 ? base.at : over.at)
  return result
}

/** All ports without a published one have the same key. */
function publishedOf(item: Node): string {
  const published = item.kind === 'map' ? entryOf(item, 'published') : undefined
  return (published?.kind === 'number' ? published.text : '').padStart(5, '0')
}

function textAt(item: Node, key: string): string {
  const value = item.kind === 'map' ? entryOf(item, key) : undefined
  return value?.kind === 'text' ? value.value : ''
}

/** Options are joined when both speak of one driver, or one of them of none. */
function mergeLogging(base: Node, over: Node): Node {
  if (base.kind !== 'map' || over.kind !== 'map') return over
  const from = textAt(base, 'driver')
  const to = textAt(over, 'driver')
  if (from !== to && from !== '' && to !== '') return over
  const options = entryOf(base, 'options')
  const more = entryOf(over, 'options')
  // As Swarm's client does it: options of the later file need some in the earlier one to be joined to.
  const joined =
    options === undefined || more === undefined ? options : mergeMaps(options, more, () => true)
  return mapNode(
    { driver: entryOf(base, 'driver') ?? entryOf(over, 'driver'), options: joined },
    over.at,
  )
}

/** Aliases are replaced, also by none; options stay; addresses are replaced by others. */
function mergeNetworks(base: Node, over: Node): Node {
  if (base.kind !== 'map' || over.kind !== 'map') return over
  const merged = new Map(objectsOf(base))
  for (const [name, value] of objectsOf(over)) {
    const before = merged.get(name)
    if (before?.kind !== 'map') merged.set(name, value.kind === 'null' ? (before ?? value) : value)
    else if (value.kind === 'map') {
      const pick = (key: string): Node | undefined => entryOf(value, key) ?? entryOf(before, key)
      const fields = {
        aliases: entryOf(value, 'aliases'),
        driver_opts: entryOf(before, 'driver_opts'),
        ipv4_address: pick('ipv4_address'),
        ipv6_address: pick('ipv6_address'),
      }
      merged.set(name, mapNode(fields, value.at))
    }
  }
  return mapNode(sorted([...merged]), over.at)
}

/** Values that the format says nothing about. */
function mergeAny(base: Node, over: Node): Node {
  if (base.kind === 'map' && over.kind === 'map') {
    const merged = new Map(objectsOf(base))
    for (const [key, value] of objectsOf(over)) {
      const before = merged.get(key)
      merged.set(key, before === undefined ? value : mergeAny(before, value))
    }
    return mapNode(sorted([...merged]), over.at)
  }
  if (base.kind === 'list' && over.kind === 'list') return mergeLists(base, over)
  return saysNothing(over) ? base : over
}

function saysNothing(node: Node): boolean {
  switch (node.kind) {
    case 'null':
      return true
    case 'bool':
      return !node.value
    case 'number':
      return node.value === 0
    case 'text':
      return node.value === ''
    default:
      return false
  }
}
