// What a benchmark tells: rounds of ours, the peer's beside them, and how often ours fits into the peer's. Pure.

/** The rounds of one thing measured on one side. */
export interface Measurement {
  /** The same words on both sides: what has no namesake there stands alone. */
  readonly what: string
  readonly goalMs: number | undefined
  /** None when it was left out. */
  readonly roundsMs: readonly number[]
}

export interface Figure {
  readonly what: string
  /** Median of the rounds. */
  readonly ms: number
  readonly goalMs: number | undefined
  /** The same on Docker; undefined where it was not measured. */
  readonly dockerMs: number | undefined
  /** Docker's by ours: 10 says that Docker takes ten times as long. */
  readonly ratio: number | undefined
  /** Every round, shortest first. */
  readonly roundsMs: string
  readonly dockerRoundsMs: string | undefined
}

/** What was measured of one thing, in ms. */
export function measurement(
  what: string,
  goalMs: Measurement['goalMs'],
  roundsMs: readonly number[],
): Measurement {
  return { what, goalMs, roundsMs }
}

/** Ours in their order, each with Docker's of the same name. */
export function figures(
  ours: readonly Measurement[],
  dockers: readonly Measurement[],
): readonly Figure[] {
  return ours.filter(({ roundsMs }) => roundsMs.length > 0).map((own) => besideOurs(own, dockers))
}

function besideOurs(own: Measurement, dockers: readonly Measurement[]): Figure {
  const sorted = inOrder(own.roundsMs)
  const other = dockers.find(({ what, roundsMs }) => what === own.what && roundsMs.length > 0)
  const dockerSorted = other === undefined ? undefined : inOrder(other.roundsMs)
  const ms = median(sorted)
  const dockerMs = dockerSorted === undefined ? undefined : median(dockerSorted)
  return {
    what: own.what,
    ms,
    goalMs: own.goalMs,
    dockerMs,
    ratio: dockerMs === undefined ? undefined : Number((dockerMs / ms).toFixed(1)),
    roundsMs: sorted.join(' '),
    dockerRoundsMs: dockerSorted?.join(' '),
  }
}

/** Rows for the eye: a column that no row fills is left out. */
export function tableRows(rows: readonly object[]): readonly object[] {
  const filled = new Set(
    rows.flatMap((row) =>
      Object.entries(row)
        .filter(([, value]) => value !== undefined)
        .map(([name]) => name),
    ),
  )
  return rows.map((row) =>
    Object.fromEntries(
      Object.entries(row)
        .filter(([name]) => filled.has(name))
        .map(([name, value]) => [name, value ?? '']),
    ),
  )
}

function inOrder(roundsMs: readonly number[]): readonly number[] {
  return roundsMs.map(Math.round).sort((a, b) => a - b)
}

/** The upper one of two in the middle. */
function median(sorted: readonly number[]): number {
  return sorted[sorted.length >> 1] ?? Number.NaN
}
