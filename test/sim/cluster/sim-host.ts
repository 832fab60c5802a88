// One simulated host through all lives of its daemon: a disk, containers, and a process that runs the real agent and, on some hosts,
// the real manager. A killed process leaves disk and containers; a power loss leaves what was synced.
import { SimProcess, type SimRandom, VirtualDisk, type World } from 'raft-ts/testing'
import type { Logger } from '../../../proto/lib/log.ts'
import { type NodeId, nodeId } from '../../../proto/objects/index.ts'
import { FakeHost, type FakeImage } from '../../../worker/executor/fake/fake-host.ts'
import { imageHealth } from '../../../worker/image/image-health.ts'
import type { Links } from './links.ts'
import type { Meddling } from './meddling.ts'
import type { Oracle } from './oracle.ts'
import type { Place } from './place.ts'
import { type SimAgent, startSimAgent } from './sim-agent.ts'
import { SimClock } from './sim-clock.ts'
import { type SimManager, startSimManager } from './sim-manager.ts'
import { type StoredState, simStateFile } from './sim-state-file.ts'

/** Bugs planted to prove that the oracle notices. */
export type PlantedBug =
  /** Disks say that they flushed, and did not. */
  | 'skip-flush'
  /** Clients repeat a request under a new id. */
  | 'new-request-ids'
  /** The leader acknowledges one of the last changes of services without proposing it. */
  | 'lose-writes'
  /** Containers are made without their secrets. */
  | 'forget-secrets'
  | Meddling

export interface Surroundings {
  readonly bug: PlantedBug | undefined
  readonly world: World
  readonly links: Links
  readonly oracle: Oracle
  readonly random: SimRandom
  readonly log: Logger
  /** Names of all hosts with a manager. */
  readonly managers: readonly string[]
  readonly workers: readonly string[]
  /** Of those that join later. */
  readonly newcomers: readonly string[]
  readonly isRebalanced: boolean
  readonly find: (host: string) => SimHost | undefined
  /** What wall clocks that are right say; all of them leap now and then. */
  readonly wallMs: () => number
  /** When faults end. The last change of each client comes later. */
  readonly faultsMs: number
}

const restartMs = 100

export class SimHost {
  readonly name: string
  readonly id: NodeId
  readonly isManager: boolean
  readonly containers: FakeHost
  readonly disk: VirtualDisk
  readonly #around: Surroundings
  readonly #random: SimRandom
  readonly #state: StoredState = { data: new Uint8Array(0) }
  #isMember: boolean
  #life = 0
  #rate = 1
  #wallOffsetMs = 0
  #process: SimProcess | undefined
  #manager: SimManager | undefined
  #agent: SimAgent | undefined

  constructor(name: string, around: Surroundings) {
    this.name = name
    this.id = nodeId(name)
    this.#around = around
    this.#random = around.random.fork()
    this.isManager = around.managers.includes(name)
    this.#isMember = !around.newcomers.includes(name)
    this.disk = new VirtualDisk(this.#random.fork(), {
      skipsFlush: () => around.bug === 'skip-flush',
    })
    const kernel = new SimProcess(`${name} kernel`, around.world, 1)
    this.containers = new FakeHost({
      clock: new SimClock(kernel, around.wallMs),
      onStart: (id) => around.oracle.containerStarts(name, id),
      localImages: {
        hello: { stopMs: 20 },
        batch: { runMs: 400, stopMs: 20 },
        slow: { runMs: 2_500, stopMs: 20 },
        broken: { runMs: 50, exitCode: 1 },
        asked: askedImage(this.#random.fork()),
      },
      createMs: 10,
      startMs: 10,
    })
  }

  get isUp(): boolean {
    return this.#process?.isAlive === true
  }

  get manager(): SimManager | undefined {
    return this.#manager
  }

  /** Where code of the daemon runs now. */
  get place(): Place | undefined {
    return this.#process && { host: this.name, process: this.#process }
  }

  /** It has a certificate now, and its daemon begins. */
  join(): void {
    this.#isMember = true
    this.start()
  }

  start(): void {
    if (this.isUp || !this.#isMember) return
    this.#life += 1
    const name = `${this.name}#${this.#life}`
    const { world } = this.#around
    const process = new SimProcess(name, world, this.#rate)
    this.#process = process
    this.disk.attach(process)
    process.run(() => {
      this.#boot(process).catch((err: unknown) => this.#failed(process, err))
    })
  }

  /** kill -9 of the daemon. What it wrote stays, synced or not; containers go on. */
  kill(): void {
    this.#end(true)
  }

  /** The host loses power: what was not synced may be lost, containers are. */
  powerOff(): void {
    this.#end(false)
    this.disk.crash()
    this.containers.reboot()
  }

  /** Its certificate was renewed. */
  renew(): void {
    this.#process?.run(() => this.#agent?.renew())
  }

  pause(): void {
    this.#process?.stop()
  }

  resume(): void {
    this.#process?.resume()
  }

  setClock(rate: number, wallOffsetMs: number): void {
    this.#rate = rate
    this.#wallOffsetMs = wallOffsetMs
    this.#process?.setRate(rate)
  }

  #end(isHostUp: boolean): void {
    const process = this.#process
    if (process === undefined || !process.isAlive) return
    this.#around.log.info({ process: process.name, isHostUp }, 'killed')
    process.kill()
    this.#process = undefined
    this.#manager = undefined
    this.#agent?.close()
    this.#agent = undefined
    this.#around.links.died(process, isHostUp)
  }

  async #boot(process: SimProcess): Promise<void> {
    const { wallMs, log } = this.#around
    const random = this.#random.fork()
    const part = {
      ...this.#around,
      host: this.name,
      process,
      clock: new SimClock(process, () => wallMs() + this.#wallOffsetMs),
      random,
      log: log.child({ process: process.name }),
      onFailed: (err: unknown) => this.#failed(process, err),
    }
    if (this.isManager) {
      const manager = await startSimManager(part, this.disk)
      if (!process.isAlive) return
      this.#manager = manager
    }
    const agent = await startSimAgent(part, this.containers, simStateFile(process, this.#state))
    if (process.isAlive) this.#agent = agent
    else agent.close()
  }

  /** Raft ends when its disk fails, and the daemon with it; it is started again. All else is a bug. */
  #failed(process: SimProcess, err: unknown): void {
    if (!process.isAlive) return
    this.#around.oracle.processFailed(process.name, err)
    this.#around.world.after(0, () => {
      if (this.#process !== process) return
      this.kill()
      this.#around.world.after(restartMs, () => this.start())
    })
  }
}

/** Containers that are asked for their health, and fall ill now and then, some of them before they were ever well. */
function askedImage(random: SimRandom): FakeImage {
  const health = imageHealth({ Test: ['CMD', 'ask'], Interval: 7e8, Retries: 2, Timeout: 5e8 }, [])
  return {
    health,
    stopMs: 20,
    probe: () => ({ kind: 'ended', exitCode: random.chance(0.2) ? 1 : 0, output: '' }),
  }
}
