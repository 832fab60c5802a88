// Holds a tree against the format: everything wrong is told with its place, and what is right is brought into one form
// (short forms become long ones, lists of assignments mappings, what says nothing is left out). Source: swarm-semantics 4.
import { mount, port, reference, serviceNetwork, ulimit } from './compose-schema.ts'
import { compareKeys, compareText } from './go-text.ts'
import { type At, type Entry, integerNode, listNode, mapNode, type Node, textNode } from './node.ts'
import { ScalarNormaliser } from './normalise-scalar.ts'
import type { Shape, Struct } from './shape.ts'
import { newestMinor } from './shape.ts'
import { mountOf, portsOf, shellWords, unknownMountOptions } from './short-forms.ts'

const nameOfObject = /^[a-zA-Z0-9._-]+$/

export class Normaliser extends ScalarNormaliser {
  /** Undefined: it says nothing, or it is wrong. */
  node(node: Node, shape: Shape, path: string): Node | undefined {
    switch (shape.kind) {
      case 'struct':
        return this.#struct(node, shape, path)
      case 'objects':
        return this.#objects(node, shape, path)
      case 'list':
        return this.#list(node, shape, path)
      case 'texts':
        return node.kind === 'list'
          ? this.#list(node, { of: { kind: 'text' }, isUnique: true }, path)
          : wrapped(this.text(node, path, 'a string or a list of strings'))
      case 'textMap':
      case 'assignments':
        return this.#assignments(node, shape, path)
      case 'hosts':
        return this.#hosts(node, path)
      case 'words':
      case 'test':
        return this.#words(node, shape.kind, path)
      case 'ports':
        return this.#ports(node, path)
      case 'mounts':
        return this.#mounts(node, path)
      case 'references':
        return this.#references(node, path)
      case 'networks':
        return this.#networks(node, path)
      case 'ulimits':
        return this.#ulimits(node, path)
      case 'external':
        return this.#external(node, path)
      case 'any':
        return sortedDeep(node)
      default:
        return this.scalar(node, shape, path)
    }
  }

  #struct(node: Node, shape: Struct, path: string): Node | undefined {
    if (node.kind === 'null' && shape.mayBeNull)
      return shape.isKept ? mapNode({}, node.at) : undefined
    if (node.kind === 'text' && shape.textIs !== undefined) {
      return mapNode({ [shape.textIs]: node }, node.at)
    }
    if (node.kind !== 'map') return this.wrong(node, path, 'a mapping')
    const known = new Map<string, Node>()
    for (const [key, { shape: of, since }] of Object.entries(shape.fields)) {
      const entry = node.entries.get(key)
      if (entry === undefined) continue
      const below = path === '' ? key : `${path}.${key}`
      if (since > this.minor) {
        this.fault(
          entry.at,
          below,
          `is known from version 3.${since} on, and the file says 3.${this.minor}`,
        )
        continue
      }
      const value = this.node(entry.value, of, below)
      if (value !== undefined) known.set(key, value)
    }
    for (const [key, entry] of node.entries) this.#otherKey(key, entry, shape, path)
    if (shape.extrasSince !== undefined) {
      for (const [key, value] of extrasOf(node.entries)) known.set(key, value)
    }
    return known.size === 0 && !shape.isKept ? undefined : mapNode(known, node.at)
  }

  #otherKey(key: string, entry: Entry, shape: Struct, path: string): void {
    if (Object.hasOwn(shape.fields, key)) return
    const below = path === '' ? key : `${path}.${key}`
    const { extrasSince } = shape
    if (key.startsWith('x-') && extrasSince !== undefined && extrasSince <= this.minor) return
    if (shape.others === 'dropped') {
      this.ignored.push({ at: entry.at, path: below, text: 'is not known and has no effect' })
    } else {
      this.fault(entry.at, below, `is no key that the format 3.${this.minor} knows here`)
    }
  }

  #objects(node: Node, shape: Extract<Shape, { kind: 'objects' }>, path: string): Node | undefined {
    if (node.kind !== 'map') return this.wrong(node, path, 'a mapping')
    const found: [string, Node][] = []
    for (const [key, entry] of node.entries) {
      const below = `${path}.${key}`
      if (!nameOfObject.test(key)) {
        this.fault(entry.at, below, 'a name may have letters, digits, ".", "_" and "-"')
        continue
      }
      const value = this.node(entry.value, shape.of, below)
      if (value !== undefined) found.push([key, value])
    }
    return mapNode(sortedPairs(found), node.at)
  }

  #list(
    node: Node,
    shape: { readonly of: Shape; readonly isUnique: boolean },
    path: string,
  ): Node | undefined {
    if (node.kind !== 'list') return this.wrong(node, path, 'a list')
    if (shape.isUnique) this.#unique(node.items, path)
    const items = node.items.flatMap((item, i) => {
      // Empty texts in a list are there; elsewhere they say nothing.
      if (item.kind === 'text' && item.value === '' && shape.of.kind === 'text') return [item]
      const found = this.node(item, shape.of, `${path}.${i}`)
      if (found === undefined && shape.of.kind === 'struct') return [mapNode({}, item.at)]
      return found ?? []
    })
    return items.length === 0 ? undefined : listNode(items, node.at)
  }

  #unique(items: readonly Node[], path: string): void {
    const seen = new Set<string>()
    for (const [i, item] of items.entries()) {
      const text = fingerprint(item)
      if (seen.has(text)) this.fault(item.at, `${path}.${i}`, 'is there twice')
      seen.add(text)
    }
  }

  #assignments(
    node: Node,
    shape: Extract<Shape, { kind: 'assignments' | 'textMap' }>,
    path: string,
  ): Node | undefined {
    const keepsNull = shape.kind === 'assignments' && shape.keepsNull
    const found = new Map<string, Node>()
    if (node.kind === 'list' && shape.kind === 'assignments') {
      this.#unique(node.items, path)
      for (const [i, item] of node.items.entries()) {
        const word = this.text(item, `${path}.${i}`, 'a string')?.value
        if (word === undefined) continue
        const equals = word.indexOf('=')
        const isBare = equals === -1
        const value = textNode(isBare ? '' : word.slice(equals + 1), item.at)
        found.set(
          isBare ? word : word.slice(0, equals),
          isBare && keepsNull ? { kind: 'null', at: item.at } : value,
        )
      }
    } else if (node.kind === 'map') {
      const mayBeNull = shape.kind === 'assignments' || shape.mayBeNull
      for (const [key, { value }] of node.entries) {
        if (key === '') this.fault(value.at, path, 'a key is empty')
        const isFit = ['text', 'number', 'time', ...(mayBeNull ? ['null'] : [])].includes(
          value.kind,
        )
        if (isFit) found.set(key, assigned(value, keepsNull))
        else
          this.wrong(
            value,
            `${path}.${key}`,
            `a string or a number${value.kind === 'bool' ? ': put it in quotes' : ''}`,
          )
      }
    } else
      return this.wrong(node, path, shape.kind === 'textMap' ? 'a mapping' : 'a mapping or a list')
    // Merging tells none from empty (merge.ts): load-compose.ts leaves the empty ones out.
    const isKept = path.endsWith('.logging.options')
    return found.size === 0 && !isKept ? undefined : mapNode(sortedPairs([...found]), node.at)
  }

  #hosts(node: Node, path: string): Node | undefined {
    if (node.kind === 'list')
      return this.#list(node, { of: { kind: 'text' }, isUnique: true }, path)
    const map = this.#assignments(node, { kind: 'assignments', keepsNull: true }, path)
    if (map?.kind !== 'map') return undefined
    const lines = [...map.entries].flatMap(([key, { value }]) =>
      value.kind === 'text' ? [textNode(`${key}:${value.value}`, value.at)] : [],
    )
    lines.sort((a, b) => compareText(textOf(a), textOf(b)))
    return lines.length === 0 ? undefined : listNode(lines, node.at)
  }

  #words(node: Node, kind: 'words' | 'test', path: string): Node | undefined {
    if (node.kind === 'list')
      return this.#list(node, { of: { kind: 'text' }, isUnique: false }, path)
    return this.parsed(node, path, (text, at) => {
      const words = kind === 'test' ? ['CMD-SHELL', text] : shellWords(text)
      return words.length === 0
        ? undefined
        : listNode(
            words.map((word) => textNode(word, at)),
            at,
          )
    })
  }

  #ports(node: Node, path: string): Node | undefined {
    if (node.kind !== 'list') return this.wrong(node, path, 'a list')
    this.#unique(node.items, path)
    const ports = node.items.flatMap((item, i) => this.#port(item, `${path}.${i}`))
    return listNode(ports, node.at)
  }

  #port(item: Node, path: string): readonly Node[] {
    if (item.kind === 'map') {
      this.#longForm(item.at, 2, path)
      return [this.node(item, port, path) ?? mapNode({}, item.at)]
    }
    if (item.kind !== 'text' && item.kind !== 'number') {
      this.wrong(item, path, 'a port, as "8080:80" or target: 80')
      return []
    }
    try {
      const { ports, address } = portsOf(item.kind === 'text' ? item.value : item.text, item.at)
      if (address !== '' && address !== '0.0.0.0') {
        const text = `the address ${address} has no effect, as in Swarm: the port is open on all addresses of every node. x-publish has host_ip=ADDRESS`
        this.ignored.push({ at: item.at, path, text })
      }
      return ports
    } catch (err) {
      this.fault(item.at, path, err instanceof Error ? err.message : String(err))
      return []
    }
  }

  #longForm(at: At, since: number, path: string): void {
    if (since <= this.minor) return
    this.fault(at, path, `the long form is known from version 3.${since} on`)
  }

  #mounts(node: Node, path: string): Node | undefined {
    if (node.kind !== 'list') return this.wrong(node, path, 'a list')
    const mounts = node.items.flatMap((item, i) => this.#mount(item, `${path}.${i}`) ?? [])
    return listNode(mounts, node.at)
  }

  #mount(item: Node, path: string): Node | undefined {
    if (item.kind === 'map') {
      this.#longForm(item.at, 2, path)
      if (!item.entries.has('type'))
        this.fault(item.at, path, '"type" is required in the long form')
      return this.node(item, mount, path)
    }
    return this.parsed(item, path, (text, at) => {
      for (const option of unknownMountOptions(text)) {
        this.ignored.push({ at, path, text: `option "${option}" is not known and has no effect` })
      }
      return mountOf(text, at)
    })
  }

  #references(node: Node, path: string): Node | undefined {
    if (node.kind !== 'list') return this.wrong(node, path, 'a list')
    const items = node.items.flatMap((item, i) => {
      const below = `${path}.${i}`
      if (item.kind === 'map') return this.node(item, reference, below) ?? []
      const source = this.text(item, below, 'a name or a mapping with "source"')
      return source === undefined ? [] : [mapNode({ source }, item.at)]
    })
    return listNode(items, node.at)
  }

  #networks(node: Node, path: string): Node | undefined {
    if (node.kind === 'list') {
      this.#unique(node.items, path)
      const names = node.items.flatMap((item, i) => this.text(item, `${path}.${i}`, 'a name') ?? [])
      const pairs = names.map((name): [string, Node] => [name.value, { kind: 'null', at: name.at }])
      return pairs.length === 0 ? undefined : mapNode(sortedPairs(pairs), node.at)
    }
    if (node.kind !== 'map') return this.wrong(node, path, 'a list or a mapping')
    const pairs = [...node.entries].map(([key, { value }]): [string, Node] => {
      const use = value.kind === 'null' ? value : this.node(value, serviceNetwork, `${path}.${key}`)
      return [key, use ?? { kind: 'null', at: value.at }]
    })
    return pairs.length === 0 ? undefined : mapNode(sortedPairs(pairs), node.at)
  }

  #ulimits(node: Node, path: string): Node | undefined {
    if (node.kind !== 'map') return this.wrong(node, path, 'a mapping')
    const pairs = [...node.entries].flatMap(([key, { value }]): [string, Node][] => {
      const below = `${path}.${key}`
      if (value.kind === 'number' && Number.isInteger(value.value))
        return [[key, value.value === 0 ? mapNode({}, value.at) : value]]
      if (value.kind !== 'map') {
        this.wrong(value, below, 'a whole number, or soft and hard')
        return []
      }
      for (const needed of ['soft', 'hard']) {
        if (!value.entries.has(needed)) this.fault(value.at, below, `"${needed}" is required`)
      }
      return [[key, this.node(value, ulimit, below) ?? integerNode(0, value.at)]]
    })
    return pairs.length === 0 ? undefined : mapNode(sortedPairs(pairs), node.at)
  }

  /** A switch, or the old form with a name. */
  #external(node: Node, path: string): Node | undefined {
    if (node.kind === 'bool') return node.value ? node : undefined
    if (node.kind !== 'map') return this.wrong(node, path, 'true or false')
    for (const [key, { at }] of node.entries) {
      if (key !== 'name') this.fault(at, `${path}.${key}`, 'is no key that the format knows here')
    }
    const name = node.entries.get('name')?.value
    const text = name === undefined ? undefined : this.text(name, `${path}.name`, 'a string')
    return mapNode({ name: text }, node.at)
  }
}

function assigned(value: Node, keepsNull: boolean): Node {
  switch (value.kind) {
    case 'number':
      return textNode(value.text, value.at)
    case 'time':
      return textNode(`${value.value.replace('T', ' ').replace(/Z$/, ' +0000 UTC')}`, value.at)
    case 'null':
      return keepsNull ? value : textNode('', value.at)
    default:
      return value
  }
}

function wrapped(node: Node | undefined): Node | undefined {
  return node === undefined ? undefined : listNode([node], node.at)
}

function textOf(node: Node): string {
  return node.kind === 'text' ? node.value : ''
}

function extrasOf(entries: ReadonlyMap<string, Entry>): readonly (readonly [string, Node])[] {
  const extras = [...entries].filter(([key]) => key.startsWith('x-'))
  return sortedPairs(extras.map(([key, { value }]) => [key, sortedDeep(value)]))
}

function sortedPairs(
  pairs: readonly (readonly [string, Node])[],
): readonly (readonly [string, Node])[] {
  return [...pairs].sort(([a], [b]) => compareKeys(a, b))
}

/** A value of which nothing is known, as it is written out. */
function sortedDeep(node: Node): Node {
  if (node.kind === 'list') return { ...node, items: node.items.map(sortedDeep) }
  if (node.kind !== 'map') return node
  return mapNode(
    sortedPairs([...node.entries].map(([key, { value }]) => [key, sortedDeep(value)])),
    node.at,
  )
}

/** Equal for equal values, wherever they stand. */
export function fingerprint(node: Node): string {
  switch (node.kind) {
    case 'null':
      return 'null'
    case 'list':
      return `[${node.items.map(fingerprint).join()}]`
    case 'map': {
      const pairs = [...node.entries].map(
        ([key, { value }]) => `${JSON.stringify(key)}:${fingerprint(value)}`,
      )
      return `{${pairs.sort().join()}}`
    }
    case 'number':
      return node.text
    default:
      return JSON.stringify(node.value)
  }
}

/** The second number of a version, "3.8"; undefined: not supported. */
export function minorOf(version: string): number | undefined {
  const match = /^3\.(\d{1,2})$/.exec(
    version === '' || version === '3' ? `3.${newestMinor}` : version,
  )
  const minor = Number(match?.[1] ?? Number.NaN)
  return minor <= newestMinor && String(minor) === match?.[1] ? minor : undefined
}
