// Sorting names as people do: web2 before web10.

/** Negative when a comes first. Digits compare as numbers. */
export function naturalCompare(a: string, b: string): number {
  const left = a.match(/\d+|\D+/g) ?? []
  const right = b.match(/\d+|\D+/g) ?? []
  for (let i = 0; i < Math.min(left.length, right.length); i += 1) {
    const [x = '', y = ''] = [left[i], right[i]]
    if (x === y) continue
    const byNumber = /^\d/.test(x) && /^\d/.test(y) ? Number(x) - Number(y) : 0
    if (byNumber !== 0) return byNumber
    return x < y ? -1 : 1
  }
  return left.length - right.length
}
