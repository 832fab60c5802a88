// How long a registry is waited for, by pulls and pushes alike.

export interface Patience {
  /** For a whole manifest; default 30,000. */
  readonly answerMs: number
  /** For the next byte of a layer, in either direction; default 120,000. */
  readonly stalledMs: number
  /** Once all layers are here, for its configuration, and until they are unpacked; default 3,600,000. */
  readonly unpackMs: number
}

export const usualPatience: Patience = {
  answerMs: 30_000,
  stalledMs: 120_000,
  unpackMs: 3_600_000,
}
