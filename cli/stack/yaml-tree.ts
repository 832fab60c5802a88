// Reads YAML text into a tree with places: anchors are followed, merge keys merged, double keys refused.
// The npm package yaml does the syntax; what a plain scalar means is plain-scalar.ts.
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml'
import type { At, Entry, Node } from './node.ts'
import { faultError, faultsError, type MapNode } from './node.ts'
import { plainScalar } from './plain-scalar.ts'

/** A file that stands for more than this is an attack or a mistake (anchors of anchors). */
const nodesMax = 200_000
const depthMax = 100

/** Errors: INVALID_ARGUMENT with file, line and column. */
export function parseYaml(file: string, text: string): MapNode {
  const lines = new LineCounter()
  const document = parseDocument(text, {
    schema: 'failsafe',
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: true,
    logLevel: 'silent',
  })
  const placeOf = (offset: number): At => {
    const { line, col } = lines.linePos(offset)
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) }
  }
  if (document.errors.length > 0) {
    throw faultsError(
      document.errors.map((err) => ({ at: placeOf(err.pos[0]), path: '', text: err.message })),
    )
  }
  const tree = new TreeReader(document, placeOf).read(document.contents, placeOf(0), 0)
  if (tree.kind === 'map') return tree
  throw faultError(tree.at, '', 'the top level must be a mapping with "services:"')
}

class TreeReader {
  readonly #document: Document
  readonly #placeOf: (offset: number) => At
  #nodes = 0

  constructor(document: Document, placeOf: (offset: number) => At) {
    this.#document = document
    this.#placeOf = placeOf
  }

  read(node: unknown, around: At, depth: number): Node {
    this.#nodes += 1
    if (this.#nodes > nodesMax) throw faultError(around, '', `more than ${nodesMax} values`)
    if (depth > depthMax) throw faultError(around, '', `nested more than ${depthMax} deep`)
    if (isAlias(node)) {
      return this.read(node.resolve(this.#document), this.#at(node, around), depth + 1)
    }
    const at = this.#at(node, around)
    if (isScalar(node)) return this.#scalar(node, at)
    if (isSeq(node)) {
      return { kind: 'list', items: node.items.map((item) => this.read(item, at, depth + 1)), at }
    }
    if (isMap(node)) return this.#map(node, at, depth)
    return { kind: 'null', at }
  }

  #at(node: unknown, around: At): At {
    const isPlaced = isAlias(node) || isScalar(node) || isSeq(node) || isMap(node)
    return isPlaced && node.range ? this.#placeOf(node.range[0]) : around
  }

  #scalar(node: { readonly value: unknown; type?: string; tag?: string }, at: At): Node {
    const text = String(node.value ?? '')
    const isText = node.type !== 'PLAIN' || node.tag === 'tag:yaml.org,2002:str'
    return isText && node.type !== undefined
      ? { kind: 'text', value: text, at }
      : plainScalar(text, at)
  }

  #map(
    node: { readonly items: readonly { key: unknown; value: unknown }[] },
    at: At,
    depth: number,
  ) {
    const entries = new Map<string, Entry>()
    const merged: Node[] = []
    for (const pair of node.items) {
      const keyAt = this.#at(pair.key, at)
      const key = this.read(pair.key, at, depth + 1)
      const value = this.read(pair.value, keyAt, depth + 1)
      if (isMergeKey(pair.key)) merged.push(value)
      else entries.set(this.#keyText(key), { at: keyAt, value })
    }
    for (const map of merged.flatMap((source) => mapsOf(source))) {
      for (const [key, entry] of map.entries) if (!entries.has(key)) entries.set(key, entry)
    }
    return { kind: 'map' as const, entries, at }
  }

  #keyText(key: Node): string {
    if (key.kind === 'text') return key.value
    throw faultError(key.at, '', 'a key must be a string: put it in quotes')
  }
}

/** In quotes it is a key as any other. */
function isMergeKey(key: unknown): boolean {
  return isScalar(key) && key.value === '<<' && key.type === 'PLAIN'
}

/** What a merge key names: a mapping or a list of them, the first of which wins. */
function mapsOf(source: Node): readonly MapNode[] {
  if (source.kind === 'map') return [source]
  if (source.kind === 'list') return source.items.flatMap((item) => mapsOf(item))
  throw faultError(source.at, '', '"<<" must name a mapping or a list of mappings')
}
