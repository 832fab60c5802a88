// Whether two plain values are the same, however they were built.

/**
 * Compares objects and lists by what is in them: the order of fields does not matter, and a field that is undefined is as one
 * that is absent. For plain data only: texts, numbers, truth values, lists and objects of those. Values that are one and the
 * same object cost nothing.
 */
export function isSameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) || Array.isArray(b)) return isSameList(a, b)
  const left = said(a)
  const right = new Map(said(b))
  return (
    left.length === right.size &&
    left.every(([key, value]) => right.has(key) && isSameValue(value, right.get(key)))
  )
}

function isSameList(a: unknown, b: unknown): boolean {
  if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false
  return a.every((one: unknown, i) => isSameValue(one, b[i]))
}

function said(value: object): readonly (readonly [string, unknown])[] {
  return Object.entries(value).filter(([, inner]) => inner !== undefined)
}
