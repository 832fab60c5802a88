// Writes a tree as Swarm's client does: Go's YAML with an indent of two, block style, quotes only where they are needed.
import { compareKeys } from './go-text.ts'
import type { ListNode, MapNode, Node } from './node.ts'
import { isPlainText } from './plain-scalar.ts'

/** Mappings keep the order of their entries. The last line ends with a line break. */
export function emitYaml(root: MapNode): string {
  return root.entries.size === 0 ? '{}\n' : mapLines(root, 0).join('\n').concat('\n')
}

/** The entries by their keys, in the order of Go's YAML. */
export function sortedMap(node: MapNode): MapNode {
  const entries = [...node.entries].sort(([a], [b]) => compareKeys(a, b))
  return { ...node, entries: new Map(entries) }
}

/** Lines of a block without the indent of the first. */
function mapLines(node: MapNode, indent: number): string[] {
  const pad = ' '.repeat(indent)
  return [...node.entries].flatMap(([key, { value }], i) => {
    const lead = i === 0 ? '' : pad
    const head = keyHead(key, indent)
    return valueLines(value, indent + 2, `${lead}${head}`, true)
  })
}

function keyHead(key: string, indent: number): string {
  if (!key.includes('\n') && key.length <= 128) return `${scalarText(key, indent, true)}:`
  return `? ${scalarText(key, indent + 2, false)}\n${' '.repeat(indent)}:`
}

function listLines(node: ListNode, indent: number): string[] {
  const pad = ' '.repeat(indent)
  return node.items.flatMap((item, i) =>
    valueLines(item, indent + 2, `${i === 0 ? '' : pad}-`, false),
  )
}

/** `head` is what stands before the value on its line; below a key a block begins on the next line. */
function valueLines(value: Node, indent: number, head: string, isBelowKey: boolean): string[] {
  switch (value.kind) {
    case 'map':
      if (value.entries.size === 0) return [`${head} {}`]
      return blockLines(mapLines(value, indent), indent, head, isBelowKey)
    case 'list':
      if (value.items.length === 0) return [`${head} []`]
      return blockLines(listLines(value, indent), indent, head, isBelowKey)
    case 'null':
      return [`${head} null`]
    case 'bool':
      return [`${head} ${value.value}`]
    case 'number':
      return [`${head} ${value.text}`]
    case 'time':
      return [`${head} ${value.value}`]
    case 'text':
      return [`${head} ${scalarText(value.value, indent, false)}`]
  }
}

function blockLines(
  lines: readonly string[],
  indent: number,
  head: string,
  isBelowKey: boolean,
): string[] {
  const [first = '', ...rest] = lines
  return isBelowKey
    ? [head, `${' '.repeat(indent)}${first}`, ...rest]
    : [`${head} ${first}`, ...rest]
}

/** A text as plain, quoted or literal scalar. */
function scalarText(text: string, indent: number, isKey: boolean): string {
  const may = allowedStyles(text)
  if (text.includes('\n') && may.literal && !isKey) return literal(text, indent)
  if (text.includes('\n')) return doubleQuoted(text)
  if (!isPlainText(text)) return doubleQuoted(text)
  if (may.plain && text !== '') return text
  return may.single ? `'${text.replaceAll("'", "''")}'` : doubleQuoted(text)
}

interface Styles {
  readonly plain: boolean
  readonly single: boolean
  readonly literal: boolean
}

const indicators = /^(---|\.\.\.)|^[#,[\]{}&*!|>'"%@`]|^[-?:](?=\s|$)|:(?=[ \t\r\n]|$)|[ \t\n]#/
/** What is no printable character of YAML; pairs of surrogates count as none in Go's writer. */
const special = /[^\t\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd]|[\x85\u2028\u2029\ufeff]/u

function allowedStyles(text: string): Styles {
  const isSpecial = special.test(text)
  const hasSpaceBreak = / \n/.test(text)
  const hasBreakSpace = /\n /.test(text)
  const edges = /^[ \n]|[ \n]$/.test(text)
  const fit = !hasSpaceBreak && !isSpecial
  const single = fit && !hasBreakSpace && !text.includes('\t')
  return {
    plain: single && !edges && !text.includes('\n') && !indicators.test(text),
    single,
    literal: fit && !text.endsWith(' '),
  }
}

function literal(text: string, indent: number): string {
  const hint = /^[ \n]/.test(text) ? '2' : ''
  const isKept = text === '\n' || text.endsWith('\n\n')
  const chomp = text.endsWith('\n') ? (isKept ? '+' : '') : '-'
  // Go's writer takes a line break at the beginning for the one behind the header, and so loses it.
  const written = text.replace(/^\n/, '').replace(/\n$/, '')
  const pad = ' '.repeat(indent)
  const lines = written.split('\n').map((line) => (line === '' ? '' : `${pad}${line}`))
  return text === '\n' ? `|${hint}${chomp}` : [`|${hint}${chomp}`, ...lines].join('\n')
}

const escapes: Readonly<Record<string, string>> = {
  '\0': '\\0',
  '\x07': '\\a',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\v': '\\v',
  '\f': '\\f',
  '\r': '\\r',
  '\x1b': '\\e',
  '"': '\\"',
  '\\': '\\\\',
  '\x85': '\\N',
  '\u2028': '\\L',
  '\u2029': '\\P',
}

function doubleQuoted(text: string): string {
  const chars = [...text].map((char) => escapes[char] ?? (special.test(char) ? codeOf(char) : char))
  return `"${chars.join('')}"`
}

function codeOf(char: string): string {
  const code = char.codePointAt(0) ?? 0
  const hex = code.toString(16).toUpperCase()
  if (code <= 0xff) return `\\x${hex.padStart(2, '0')}`
  return code <= 0xffff ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`
}
