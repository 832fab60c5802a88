// The faults of one run: drawn by chance now and then, or played from a script. Both end in peace.
import type { FaultScript, FaultStep } from './fault.ts'
import { drawFault, drawLoss, type FaultPace } from './fault-draw.ts'
import { strike } from './fault-strike.ts'
import type { SimCluster } from './sim-cluster.ts'
import { calmDisk } from './virtual-disk.ts'
import { calmNetwork } from './virtual-network.ts'

export interface ChanceOptions extends FaultPace {
  /** When all but one member are lost for good; undefined: never. */
  readonly lossAtMs: number | undefined
}

export class Faults {
  readonly #cluster: SimCluster
  readonly #struck: FaultStep[] = []
  #isRunning = true

  constructor(cluster: SimCluster) {
    this.#cluster = cluster
  }

  /** What has struck, in order. */
  get struck(): readonly FaultStep[] {
    return this.#struck
  }

  /** Plays these, each at its time. */
  play(script: FaultScript): void {
    const { world } = this.#cluster
    for (const step of script.steps) world.after(step.atMs - world.nowMs, () => this.#strike(step))
  }

  /** Draws them by chance until the end. */
  draw({ lossAtMs, ...pace }: ChanceOptions): void {
    const cluster = this.#cluster
    const { world } = cluster
    const random = world.stream('faults')
    const next = (): void => {
      const fault = drawFault(cluster, random, pace)
      if (fault !== undefined) this.#strike({ atMs: world.nowMs, ...fault })
      if (this.#isRunning) world.after(random.below(2 * pace.pauseMs), next)
    }
    world.after(pace.pauseMs, next)
    if (lossAtMs === undefined) return
    world.after(lossAtMs, () => {
      const fault = drawLoss(cluster, random)
      if (fault !== undefined) this.#strike({ atMs: world.nowMs, ...fault })
    })
  }

  /** No more faults; what is broken is mended: connections, disks, dead and stopped members. */
  end(): void {
    this.#isRunning = false
    const { network, members, ambush } = this.#cluster
    ambush.lift()
    network.healAll()
    network.weather = calmNetwork
    for (const member of members.values()) {
      member.disarm()
      member.disk.weather = calmDisk
      member.resume()
      member.start()
    }
  }

  #strike(step: FaultStep): void {
    if (!this.#isRunning) return
    this.#struck.push(step)
    this.#cluster.trace(() => `fault ${JSON.stringify(step)}`)
    strike(this.#cluster, step)
  }
}
