// The tree that a compose file is read into: values that know where they were written. Merging and normalising keep
// the places, so that whoever finds a fault later can say the file and the line. Not YAML: yaml-tree.ts reads it.
import { SwarmError } from '../../proto/errors.ts'

/** A place in a file; line and column count from 1; line 0: the whole of what `file` names. */
export interface At {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** A number keeps its text as Go prints it: integers beyond 2^53 are exact there. */
export type Scalar =
  | { readonly kind: 'null'; readonly at: At }
  | { readonly kind: 'bool'; readonly value: boolean; readonly at: At }
  | { readonly kind: 'number'; readonly value: number; readonly text: string; readonly at: At }
  | { readonly kind: 'text'; readonly value: string; readonly at: At }
  /** A point in time, written without quotes; RFC 3339. */
  | { readonly kind: 'time'; readonly value: string; readonly at: At }

export interface ListNode {
  readonly kind: 'list'
  readonly items: readonly Node[]
  readonly at: At
}

export interface Entry {
  /** Of the key. */
  readonly at: At
  readonly value: Node
}

export interface MapNode {
  readonly kind: 'map'
  readonly entries: ReadonlyMap<string, Entry>
  readonly at: At
}

export type Node = Scalar | ListNode | MapNode

/** Something wrong with a file, or something in it that has no effect. */
export interface Notice {
  readonly at: At
  /** As `services.web.ports`; empty: the whole file. */
  readonly path: string
  readonly text: string
}

/** The value of a key; undefined without it. */
export function entryOf(node: MapNode, key: string): Node | undefined {
  return node.entries.get(key)?.value
}

export function textNode(value: string, at: At): Node {
  return { kind: 'text', value, at }
}

export function integerNode(value: number, at: At): Node {
  return { kind: 'number', value, text: String(value), at }
}

export function boolNode(value: boolean, at: At): Node {
  return { kind: 'bool', value, at }
}

export function listNode(items: readonly Node[], at: At): ListNode {
  return { kind: 'list', items, at }
}

/** A map of the given order; keys without a value are left out. */
export function mapNode(
  fields: Readonly<Record<string, Node | undefined>> | Iterable<readonly [string, Node]>,
  at: At,
): MapNode {
  const pairs = Symbol.iterator in fields ? [...fields] : Object.entries(fields)
  const entries = new Map<string, Entry>()
  for (const [key, value] of pairs)
    if (value !== undefined) entries.set(key, { at: value.at, value })
  return { kind: 'map', entries, at }
}

/** What a value is called in an error. */
export function kindText(node: Node): string {
  const words = {
    null: 'nothing',
    bool: 'true or false',
    number: 'a number',
    text: 'a string',
    time: 'a date',
    list: 'a list',
    map: 'a mapping',
  } as const
  return words[node.kind]
}

/** `web.yml:3:5: services.web.ports: must be a list`. */
export function noticeText({ at, path, text }: Notice): string {
  const place = at.line === 0 ? at.file : `${at.file}:${at.line}:${at.column}`
  return [place, path, text].filter((part) => part !== '').join(': ')
}

/** One error for all faults, a line each, in the order of the files. */
export function faultsError(faults: readonly Notice[]): SwarmError {
  const [first] = faults
  const lines = faults.map(noticeText)
  const shown = lines.slice(0, 20)
  const rest = lines.length > 20 ? [`and ${lines.length - 20} more`] : []
  return new SwarmError('INVALID_ARGUMENT', [...shown, ...rest].join('\n'), {
    details: first === undefined ? {} : { file: first.at.file, line: first.at.line },
  })
}

export function faultError(at: At, path: string, text: string): SwarmError {
  return faultsError([{ at, path, text }])
}
