// Clients of a simulated cluster: they propose and read all the time, mostly where the leader seems to be, and
// tell the oracle what they were told.
import type { ProposeOutcome } from '../driver/outcomes.ts'
import type { SimRandom } from './random.ts'
import type { SimCluster } from './sim-cluster.ts'
import type { Member } from './sim-member.ts'

/** What a run is to have, counted from its beginning. */
export interface Hurry {
  readonly events: number
  readonly acknowledgements: number
}

/** Mean times between two requests while something is wanted. */
const lateForEventsMs = 5
const lateForAnswersMs = 50

export class Workload {
  readonly #cluster: SimCluster
  readonly #random: SimRandom
  /** Mean time between two requests. */
  readonly #pauseMs: number
  #proposed = 0
  #isRunning = true
  #hurry: Hurry = { events: 0, acknowledgements: 0 }

  constructor(cluster: SimCluster, pauseMs: number) {
    this.#cluster = cluster
    this.#random = cluster.world.stream('load')
    this.#pauseMs = pauseMs
    cluster.world.after(0, () => this.#next())
  }

  stop(): void {
    this.#isRunning = false
  }

  /** Peace has come. Until so much has happened, requests come fast. */
  hurry(until: Hurry): void {
    this.#hurry = until
  }

  #next(): void {
    if (!this.#isRunning) return
    const random = this.#random
    if (random.chance(0.25)) this.#read()
    else this.#propose()
    // Now and then a crowd comes at once.
    if (random.chance(0.02)) for (let i = 0; i < 10; i++) this.#propose()
    this.#cluster.world.after(random.between(0, 2 * this.#pause()), () => this.#next())
  }

  #pause(): number {
    const { world, oracle } = this.#cluster
    if (world.events < this.#hurry.events) return lateForEventsMs
    const isLate = oracle.acknowledgements < this.#hurry.acknowledgements
    return isLate ? Math.min(lateForAnswersMs, this.#pauseMs) : this.#pauseMs
  }

  #read(): void {
    const { oracle } = this.#cluster
    const before = oracle.lastAcknowledged
    const target = this.#target()
    target?.read((outcome, index) => {
      if (outcome.kind === 'busy') this.#cluster.count('answersBusy')
      if (outcome.kind !== 'ready') return
      if (target.view?.role !== 'leader') this.#cluster.count('readsByFollowers')
      oracle.read(before, index)
    })
  }

  #propose(): void {
    this.#proposed += 1
    const data = new Uint8Array(this.#random.chance(0.05) ? 3000 : 12)
    new DataView(data.buffer).setUint32(0, this.#proposed)
    const before = this.#cluster.oracle.lastAcknowledged
    this.#target()?.propose(data, (outcome) => this.#answered(outcome, before, data))
  }

  #answered(outcome: ProposeOutcome, before: number, data: Uint8Array): void {
    if (outcome.kind === 'busy') this.#cluster.count('answersBusy')
    if (outcome.kind === 'lost') this.#cluster.count('answersLost')
    if (outcome.kind !== 'committed') return
    const { index, term } = outcome
    this.#cluster.oracle.acknowledged({ index, term, before, data })
  }

  #target(): Member | undefined {
    const { members } = this.#cluster
    const likely = this.#random.chance(0.9) ? this.#cluster.leader() : undefined
    return likely ?? this.#random.pick([...members.values()])
  }
}
