// How busy the machine is while something is measured: a time that a machine with nothing else to do must keep is multiplied by it.
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/** How many threads each processor of this machine has to run, on average, at least 1. Source: proc(5), /proc/loadavg. */
export class LoadMeter {
  #sum = 0
  #count = 0
  readonly #timer = setInterval(() => this.#measure(), 50)

  constructor() {
    this.#measure()
  }

  get mean(): number {
    return Math.max(1, this.#sum / this.#count)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #measure(): void {
    const [, , , threads = ''] = readFileSync('/proc/loadavg', 'utf8').split(' ')
    this.#sum += Number(threads.split('/')[0]) / availableParallelism()
    this.#count += 1
  }
}
