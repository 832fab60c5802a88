// Where simulated code runs, and what a connection sees of the link under it.
import type { SimProcess } from 'raft-ts/testing'

/** One end of a connection: code that runs on a host. */
export interface Place {
  readonly host: string
  readonly process: SimProcess
}

export interface LinkView {
  isCut(from: string, to: string): boolean
  delayMs(): number
}

/** Keepalive notices after this long that nothing comes through. */
export const keepaliveMs = 3_000
