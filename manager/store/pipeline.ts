// Entries that were proposed and are not applied yet, oldest first. Each builds on the one before; what Raft turns away for a while is
// proposed again, in order, once the fate of all others is known.
import { InvariantError } from '../../proto/lib/assert.ts'
import type { Clock } from '../../proto/lib/clock.ts'
import type { Batch } from './batch.ts'
import { encodeEntry, isEntryOf } from './entry-codec.ts'
import type { ProposalOutcome, Proposer } from './proposer.ts'

const busyMs = 2

interface Flight {
  readonly batch: Batch
  readonly data: Uint8Array
  /** Outcomes of earlier attempts are of no interest. */
  attempt: number
  /** Certainly not in the log, or void there. */
  isRefused: boolean
}

export interface PipelineDeps {
  readonly proposer: Proposer
  readonly clock: Clock
  /**
   * Leadership is over. The batches are out of the pipeline: of `unknown` ones nobody can tell whether they will be
   * applied, `refused` ones will not.
   */
  readonly onLost: (unknown: readonly Batch[], refused: readonly Batch[]) => void
}

export class Pipeline {
  readonly #deps: PipelineDeps
  #flights: Flight[] = []

  constructor(deps: PipelineDeps) {
    this.#deps = deps
  }

  get size(): number {
    return this.#flights.length
  }

  get first(): Batch | undefined {
    return this.#flights[0]?.batch
  }

  /** The newest batch. */
  get last(): Batch | undefined {
    return this.#flights.at(-1)?.batch
  }

  /** Whether something waits to be proposed again: nothing may be proposed behind it. */
  get isHeld(): boolean {
    return this.#flights.some(({ isRefused }) => isRefused)
  }

  propose(batch: Batch): void {
    const data = encodeEntry(batch.header, batch.encoded)
    const flight: Flight = { batch, data, attempt: 0, isRefused: false }
    this.#flights.push(flight)
    this.#send(flight)
  }

  /** The batch that a committed entry is. */
  find(data: Uint8Array): Batch | undefined {
    for (const { batch } of this.#flights) if (isEntryOf(data, batch.header)) return batch
    return undefined
  }

  /** The oldest batch was applied. */
  shift(): Batch {
    const flight = this.#flights.shift()
    if (flight === undefined) throw new InvariantError('no proposal is in flight')
    this.#retry()
    return flight.batch
  }

  /** The batch was committed before one that it builds on, and so is void. */
  voided(batch: Batch): void {
    for (const flight of this.#flights) if (flight.batch === batch) flight.isRefused = true
    this.#retry()
  }

  /** Takes all batches out. */
  clear(): readonly Batch[] {
    const flights = this.#flights
    this.#flights = []
    return flights.map(({ batch }) => batch)
  }

  #send(flight: Flight): void {
    flight.attempt += 1
    flight.isRefused = false
    const { attempt } = flight
    void this.#deps.proposer.propose(flight.data).then((outcome) => {
      const isCurrent = flight.attempt === attempt && !flight.isRefused
      if (isCurrent && this.#flights.includes(flight)) this.#ended(flight, outcome)
    })
  }

  #ended(flight: Flight, outcome: ProposalOutcome): void {
    switch (outcome.kind) {
      case 'busy':
        flight.isRefused = true
        this.#retry()
        return
      case 'not-leader': {
        // What was proposed behind it builds on it, and is void wherever it ends.
        const at = this.#flights.indexOf(flight)
        const batches = this.clear()
        this.#deps.onLost(batches.slice(0, at), batches.slice(at))
        return
      }
      case 'unknown':
        this.#deps.onLost(this.clear(), [])
        return
      case 'committed':
        throw new InvariantError('a proposal was said to be committed before it was applied', {
          index: outcome.index,
        })
    }
  }

  /** Proposes again when nothing else is under way that could come between. */
  #retry(): void {
    const flights = this.#flights
    if (flights.length === 0 || flights.some(({ isRefused }) => !isRefused)) return
    this.#deps.clock.setTimer(busyMs, () => {
      if (this.#flights !== flights || flights.some(({ isRefused }) => !isRefused)) return
      for (const flight of [...flights]) this.#send(flight)
    })
  }
}
