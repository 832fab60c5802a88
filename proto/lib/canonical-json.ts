// One text for equal values, however they were built: what is hashed or compared.

/** Is the same with quotes around it. */
const isPlain = /^[\w ./:@=-]*$/

/** Keys that engines enumerate before all others, as numbers: part of the text since the first version. */
const indexMax = 2 ** 32 - 2

/**
 * JSON with object keys sorted by UTF-16 units, those first that are whole numbers, and undefined members left out, so that equal values
 * have equal texts however they were built. For plain data only.
 */
export function canonicalJson(value: unknown): string {
  if (typeof value !== 'object' || value === null) return plainText(value)
  return Array.isArray(value) ? arrayText(value) : objectText(value)
}

function plainText(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'true' : 'false'
  if (typeof value === 'number') return Number.isFinite(value) ? `${value}` : 'null'
  return typeof value === 'string' && isPlain.test(value) ? `"${value}"` : JSON.stringify(value)
}

function arrayText(items: readonly unknown[]): string {
  let text = '['
  for (let i = 0; i < items.length; i++) {
    if (i > 0) text += ','
    const item = items[i]
    text += item === undefined ? 'null' : canonicalJson(item)
  }
  return `${text}]`
}

function objectText(value: object): string {
  const members = value as Readonly<Record<string, unknown>>
  let text = '{'
  for (const key of inOrder(Object.keys(members))) {
    const member = members[key]
    if (member === undefined) continue
    if (text.length > 1) text += ','
    text += `${plainText(key)}:${canonicalJson(member)}`
  }
  return `${text}}`
}

/** Engines enumerate whole numbers first. */
function inOrder(keys: string[]): readonly string[] {
  const first = keys[0]
  if (first === undefined || indexOf(first) === undefined) return keys.sort()
  const indexes = keys.filter((key) => indexOf(key) !== undefined)
  return [...indexes, ...keys.slice(indexes.length).sort()]
}

/** Undefined: the key is no whole number as engines write them. */
function indexOf(key: string): number | undefined {
  const first = key.charCodeAt(0)
  if (first < 48 || first > 57) return undefined
  const index = Number(key)
  return index <= indexMax && String(index) === key && Number.isInteger(index) ? index : undefined
}
