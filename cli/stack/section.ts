// Reading a normalised project by key, with the place of everything at hand for errors.
import { parseDurationNs } from './go-text.ts'
import { type At, entryOf, type MapNode, type Node, type Notice } from './node.ts'

/** What the reading of a project found wrong, and what has no effect. */
export interface Findings {
  readonly faults: Notice[]
  readonly notices: Notice[]
}

/** A mapping of the project and its path. Keys that are absent read as what absence means. */
export class Section {
  readonly node: MapNode
  readonly path: string
  readonly #findings: Findings

  constructor(node: MapNode, path: string, findings: Findings) {
    this.node = node
    this.path = path
    this.#findings = findings
  }

  has(key: string): boolean {
    return this.node.entries.has(key)
  }

  keys(): readonly string[] {
    return [...this.node.entries.keys()]
  }

  /** Of a key, else of the mapping. */
  at(key?: string): At {
    return (key === undefined ? undefined : this.node.entries.get(key)?.value.at) ?? this.node.at
  }

  pathOf(key: string): string {
    if (key === '') return this.path
    return this.path === '' ? key : `${this.path}.${key}`
  }

  fault(key: string, text: string): undefined {
    this.#findings.faults.push({ at: this.at(key), path: this.pathOf(key), text })
    return undefined
  }

  notice(key: string, text: string): undefined {
    this.#findings.notices.push({ at: this.at(key), path: this.pathOf(key), text })
    return undefined
  }

  text(key: string): string | undefined {
    const node = entryOf(this.node, key)
    return node?.kind === 'text' ? node.value : undefined
  }

  number(key: string): number | undefined {
    const node = entryOf(this.node, key)
    return node?.kind === 'number' ? node.value : undefined
  }

  bool(key: string): boolean | undefined {
    const node = entryOf(this.node, key)
    return node?.kind === 'bool' ? node.value : undefined
  }

  /** A duration in ms. */
  ms(key: string): number | undefined {
    const ns = parseDurationNs(this.text(key) ?? '')
    return ns === undefined ? undefined : Math.ceil(ns / 1e6)
  }

  texts(key: string): readonly string[] {
    return this.#items(key).flatMap((item) => (item.kind === 'text' ? [item.value] : []))
  }

  /** A mapping of texts. */
  pairs(key: string): Readonly<Record<string, string>> {
    const section = this.section(key)
    if (section === undefined) return {}
    return Object.fromEntries(section.keys().map((name) => [name, section.text(name) ?? '']))
  }

  section(key: string): Section | undefined {
    const node = entryOf(this.node, key)
    return node?.kind === 'map' ? new Section(node, this.pathOf(key), this.#findings) : undefined
  }

  /** The mappings of a list. */
  sections(key: string): readonly Section[] {
    return this.#items(key).flatMap((item, i) =>
      item.kind === 'map' ? [new Section(item, `${this.pathOf(key)}.${i}`, this.#findings)] : [],
    )
  }

  #items(key: string): readonly Node[] {
    const node = entryOf(this.node, key)
    return node?.kind === 'list' ? node.items : []
  }
}
