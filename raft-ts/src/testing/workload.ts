// Clients of a simulated cluster: they propose and read all the time, mostly where the leader seems to be, and
// tell the oracle what they were told.
import type { SimCluster } from './sim-cluster.ts'

export class Workload {
  readonly #cluster: SimCluster
  /** Mean time between two requests. */
  readonly #pauseMs: number
  #proposed = 0
  #isRunning = true

  constructor(cluster: SimCluster, pauseMs: number) {
    this.#cluster = cluster
    this.#pauseMs = pauseMs
    cluster.world.after(0, () => this.#next())
  }

  stop(): void {
    this.#isRunning = false
  }

  #next(): void {
    if (!this.#isRunning) return
    const { random } = this.#cluster
    if (random.chance(0.25)) this.#read()
    else this.#propose()
    this.#cluster.world.after(random.between(0, 2 * this.#pauseMs), () => this.#next())
  }

  #read(): void {
    const { oracle } = this.#cluster
    const before = oracle.lastAcknowledged
    this.#target()?.read((index) => oracle.read(before, index))
  }

  #propose(): void {
    const { oracle, random } = this.#cluster
    this.#proposed += 1
    const data = new Uint8Array(random.chance(0.05) ? 3000 : 12)
    new DataView(data.buffer).setUint32(0, this.#proposed)
    const before = oracle.lastAcknowledged
    this.#target()?.propose(data, (index, term) => oracle.acknowledged({ index, term, before }))
  }

  #target(): ReturnType<SimCluster['leader']> {
    const { random, members } = this.#cluster
    const likely = random.chance(0.9) ? this.#cluster.leader() : undefined
    return likely ?? random.pick([...members.values()])
  }
}
