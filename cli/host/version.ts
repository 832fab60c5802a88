// Versions of programs and kernels as texts. Pure.

/** The first dotted number in a text: `crun version 1.8.1` is 1.8.1. */
export function findVersion(text: string): string | undefined {
  return /\d+(?:\.\d+)+/.exec(text)?.[0]
}

/** Compares number by number; missing ones count as 0, what follows the numbers does not count. */
export function isAtLeast(version: string, minimum: string): boolean {
  const have = numbers(version)
  const need = numbers(minimum)
  for (let at = 0; at < Math.max(have.length, need.length); at++) {
    const difference = (have[at] ?? 0) - (need[at] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return true
}

function numbers(version: string): readonly number[] {
  return (/^\d+(?:\.\d+)*/.exec(version)?.[0] ?? '0').split('.').map(Number)
}
