// Small arithmetic of the Raft benchmark: medians of rounds and quantiles of what was timed. Pure.

/** The upper one of two in the middle; 0 without rounds. */
export function median(rounds: readonly number[]): number {
  return quantile(rounds, 0.5)
}

/** The value below which so large a part of them lies; 0 without values. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
}

/** Two digits behind the point. */
export function rounded(value: number): number {
  return Math.round(value * 100) / 100
}
