// "Did you mean": the nearest known word to a mistyped one.

/** The known word that differs least, undefined when none is near enough to be meant. */
export function suggestion(word: string, known: readonly string[]): string | undefined {
  const most = word.length <= 3 ? 1 : 2
  let best: { readonly word: string; readonly steps: number } | undefined
  for (const candidate of known) {
    const steps = candidate.startsWith(word) && word.length >= 3 ? 0 : distance(word, candidate)
    if (steps <= most && steps < (best?.steps ?? Number.POSITIVE_INFINITY)) {
      best = { word: candidate, steps }
    }
  }
  return best?.word
}

/** Letters to insert, remove, change or swap with a neighbour (optimal string alignment). */
export function distance(a: string, b: string): number {
  let before: readonly number[] = []
  let row: readonly number[] = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swaps = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swap = swaps ? (before[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, swap))
    }
    before = row
    row = next
  }
  return row[b.length] ?? 0
}
