// The functions a --format template may call: Go's built-in ones and docker's own.
import { SwarmError } from '../errors.ts'
import { goFormat, goText } from './go-format.ts'

/** What a template works on: JSON values, `undefined` for a field that is not there. */
export type Value =
  | string
  | number
  | boolean
  | undefined
  | readonly Value[]
  | { readonly [key: string]: Value }

export type TemplateFunction = (...args: readonly Value[]) => Value

/** Go's rule: false, 0, "", nothing and empty lists and maps are false. */
export function isTrue(value: Value): boolean {
  if (Array.isArray(value)) return value.length > 0
  if (isMap(value)) return Object.keys(value).length > 0
  return Boolean(value)
}

/** Whether the value is a map (an object that is not a list). */
export function isMap(value: Value): value is { readonly [key: string]: Value } {
  return typeof value === 'object' && !Array.isArray(value)
}

function fail(text: string): SwarmError {
  return new SwarmError('INVALID_ARGUMENT', `template: ${text}`)
}

function text(name: string, value: Value): string {
  if (typeof value === 'string') return value
  throw fail(`${name} needs a text, not ${goText(value)}`)
}

function integer(name: string, value: Value): number {
  if (typeof value === 'number' && Number.isInteger(value)) return value
  throw fail(`${name} needs a whole number, not ${goText(value)}`)
}

function compare(name: string, a: Value, b: Value): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0
  throw fail(`${name} cannot compare ${goText(a)} with ${goText(b)}`)
}

function equal(a: Value, b: Value): boolean {
  if (typeof a === 'object' || typeof b === 'object') {
    throw fail('eq and ne compare texts, numbers and booleans, not lists or maps')
  }
  if (a !== undefined && b !== undefined && typeof a !== typeof b) {
    throw fail(`eq and ne cannot compare ${goText(a)} with ${goText(b)}: different types`)
  }
  return a === b
}

function index(base: Value, ...keys: readonly Value[]): Value {
  return keys.reduce((value: Value, key) => {
    if (Array.isArray(value)) {
      const at = integer('index', key)
      if (at < 0 || at >= value.length) {
        throw fail(`index ${at} is outside of a list of ${value.length}`)
      }
      return value[at]
    }
    if (isMap(value)) return Object.hasOwn(value, text('index', key)) ? value[String(key)] : ''
    if (value === undefined) throw fail(`index ${goText(key)}: there is nothing to look it up in`)
    throw fail(`index works on lists and maps, not on ${goText(value)}`)
  }, base)
}

function slice(value: Value, from: Value = 0, to?: Value): Value {
  if (typeof value !== 'string' && !Array.isArray(value)) throw fail('slice needs a text or a list')
  const end = to === undefined ? value.length : integer('slice', to)
  const start = integer('slice', from)
  if (start < 0 || end > value.length || start > end) {
    throw fail(`slice ${start}:${end} is outside of a length of ${value.length}`)
  }
  return value.slice(start, end)
}

function length(value: Value): number {
  if (typeof value === 'string') return Buffer.byteLength(value)
  if (Array.isArray(value)) return value.length
  if (isMap(value)) return Object.keys(value).length
  throw fail(`len needs a text, a list or a map, not ${goText(value)}`)
}

function join(list: Value, separator: Value): string {
  if (!Array.isArray(list)) throw fail(`join needs a list, not ${goText(list)}`)
  return list.map(goText).join(text('join', separator))
}

/** As Go's Print: a space between two operands of which neither is a text. */
function print(...args: readonly Value[]): string {
  const gap = (i: number): string =>
    i > 0 && typeof args[i - 1] !== 'string' && typeof args[i] !== 'string' ? ' ' : ''
  return args.map((value, i) => gap(i) + goText(value)).join('')
}

const title = (value: string): string =>
  value.replace(
    /(^|[^\p{L}\p{N}_'])(\p{L})/gu,
    (_, before: string, letter: string) => `${before}${letter.toUpperCase()}`,
  )

/** `and` and `or` are absent: the evaluator does them, since they need not evaluate all arguments. */
export const templateFunctions: Readonly<Record<string, TemplateFunction>> = {
  not: (value) => !isTrue(value),
  eq: (first, ...others) => others.some((other) => equal(first, other)),
  ne: (a, b) => !equal(a, b),
  lt: (a, b) => compare('lt', a, b) < 0,
  le: (a, b) => compare('le', a, b) <= 0,
  gt: (a, b) => compare('gt', a, b) > 0,
  ge: (a, b) => compare('ge', a, b) >= 0,
  index,
  slice,
  len: length,
  print,
  println: (...args) => `${args.map(goText).join(' ')}\n`,
  printf: (format, ...args) => goFormat(text('printf', format), args),
  json: (value) => JSON.stringify(value ?? null),
  split: (value, separator) => text('split', value).split(text('split', separator)),
  join,
  title: (value) => title(text('title', value)),
  lower: (value) => text('lower', value).toLowerCase(),
  upper: (value) => text('upper', value).toUpperCase(),
  truncate: (value, most) => text('truncate', value).slice(0, integer('truncate', most)),
  pad: (value, before, after) => {
    const inner = text('pad', value)
    if (inner === '') return inner
    return ' '.repeat(integer('pad', before)) + inner + ' '.repeat(integer('pad', after))
  },
}

/** How many arguments a function takes: [least, most]. */
export const argumentCounts: Readonly<Record<string, readonly [number, number]>> = {
  not: [1, 1],
  eq: [2, 99],
  ne: [2, 2],
  lt: [2, 2],
  le: [2, 2],
  gt: [2, 2],
  ge: [2, 2],
  index: [1, 99],
  slice: [1, 3],
  len: [1, 1],
  printf: [1, 99],
  json: [1, 1],
  split: [2, 2],
  join: [2, 2],
  title: [1, 1],
  lower: [1, 1],
  upper: [1, 1],
  truncate: [2, 2],
  pad: [3, 3],
}
