// One text for equal values, however they were built: what is hashed or compared.

/**
 * JSON with object keys sorted by UTF-16 units and undefined members left out, so that equal values have equal texts however
 * they were built. For plain data only.
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member !== 'object' || member === null || Array.isArray(member)) return member
    const entries = Object.entries(member).filter(([, inner]) => inner !== undefined)
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
  })
}
