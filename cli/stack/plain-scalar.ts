// What a YAML scalar without quotes means to Swarm's client: YAML 1.2 with the octal numbers of 1.1 and dates.
import { goFloat } from './go-text.ts'
import type { At, Scalar } from './node.ts'

const words: ReadonlyMap<string, boolean | undefined> = new Map([
  ['true', true],
  ['True', true],
  ['TRUE', true],
  ['false', false],
  ['False', false],
  ['FALSE', false],
  ['', undefined],
  ['~', undefined],
  ['null', undefined],
  ['Null', undefined],
  ['NULL', undefined],
])

const infinity = /^[-+]?\.(inf|Inf|INF)$|^\.(nan|NaN|NAN)$/
const decimal = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/
const date =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:([Tt ])(\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d+)?(Z|[-+]\d\d:\d\d)?)?$/

/** The value of a plain scalar. */
export function plainScalar(text: string, at: At): Scalar {
  if (words.has(text)) {
    const value = words.get(text)
    return value === undefined ? { kind: 'null', at } : { kind: 'bool', value, at }
  }
  const time = timeOf(text)
  if (time !== undefined) return { kind: 'time', value: time, at }
  const number = numberOf(text)
  return number === undefined
    ? { kind: 'text', value: text, at }
    : { kind: 'number', ...number, at }
}

/** Whether the text without quotes would still be this text. */
export function isPlainText(text: string): boolean {
  return plainScalar(text, nowhere).kind === 'text' && !isOldBool(text) && !isBase60(text)
}

const nowhere: At = { file: '', line: 0, column: 0 }

/** Words that YAML 1.1 took for true and false. */
function isOldBool(text: string): boolean {
  return /^(y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF)$/.test(text)
}

/** Numbers to the base 60 of YAML 1.1, such as 22:22. */
function isBase60(text: string): boolean {
  return /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/.test(text)
}

function numberOf(text: string): { readonly value: number; readonly text: string } | undefined {
  if (infinity.test(text)) return { value: infinityOf(text), text }
  if (!/^[-+.0-9]/.test(text)) return undefined
  const plain = text.replaceAll('_', '')
  const integer = integerOf(plain)
  if (integer !== undefined) return { value: Number(integer), text: String(integer) }
  if (!decimal.test(plain) || (text.startsWith('.') && plain !== text)) return undefined
  const value = Number(plain)
  return Number.isFinite(value) ? { value, text: goFloat(value) } : undefined
}

function infinityOf(text: string): number {
  if (/nan/i.test(text)) return Number.NaN
  return text.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
}

/** Within 64 bits: what is larger is a float. */
function integerOf(text: string): bigint | undefined {
  const match = /^([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)$/.exec(text)
  if (match === null) return undefined
  const digits = (match[2] ?? '').replace(/^0[oO]?(?=[0-7]+$)/, '0o')
  const value = BigInt(digits.toLowerCase()) * (match[1] === '-' ? -1n : 1n)
  return value >= -(2n ** 63n) && value < 2n ** 64n ? value : undefined
}

function timeOf(text: string): string | undefined {
  const match = date.exec(text)
  if (match === null) return undefined
  const [, year, month, day, between, hour = '0', minute = '0', second = '0', part = ''] = match
  const zone = match[9]
  // With a T there must be a zone, with a blank there must be none.
  if (between !== undefined && (between === ' ') !== (zone === undefined)) return undefined
  const two = (digits: string | undefined): string => (digits ?? '').padStart(2, '0')
  const iso = `${year}-${two(month)}-${two(day)}T${two(hour)}:${two(minute)}:${two(second)}`
  const parsed = new Date(`${iso}Z`)
  if (Number.isNaN(parsed.getTime()) || parsed.toISOString().slice(0, 19) !== iso) return undefined
  return `${iso}${part.replace(/\.?0+$/, '')}${zone ?? 'Z'}`
}
