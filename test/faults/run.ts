// Ends the daemon of a single node at one fault point after the other, while containers are started, stopped and removed, and
// looks what the next daemon makes of it: every task in the right state, started once, and in the end nothing left.
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import { TaskState } from '../../proto/objects/index.ts'
import { type FaultPhase, faultPoints } from '../../worker/fault-points.ts'
import { eventually } from '../support/netns.ts'
import { type Census, differences, takeCensus, withoutDataPlane } from './census.ts'
import { FrailNode } from './node.ts'

export interface Fault {
  readonly phase: FaultPhase
  readonly point: string
  /** The daemon goes on so long. */
  readonly delayMs?: number
}

export interface Outcome {
  readonly fault: Fault
  readonly ms: number
  /** What is not as it ought to be; none when all is well. */
  readonly wrong: readonly string[]
}

const phases: readonly FaultPhase[] = ['start', 'stop', 'remove']

/** Every point once. */
export function allFaults(): readonly Fault[] {
  return phases.flatMap((phase) => faultPoints[phase].map((point) => ({ phase, point })))
}

/** While other programs are at work: in steps of so many ms after they were asked for. */
export function faultsAmid(stepMs: number, steps: number): readonly Fault[] {
  const amid: readonly Fault[] = [
    { phase: 'start', point: 'runtime.create.asked' },
    { phase: 'start', point: 'runtime.start.asked' },
    { phase: 'stop', point: 'stop.signalled' },
    { phase: 'stop', point: 'runtime.delete.asked' },
    { phase: 'remove', point: 'destroy.network' },
  ]
  return amid.flatMap((fault) =>
    Array.from({ length: steps }, (_, at) => ({ ...fault, delayMs: (at + 1) * stepMs })),
  )
}

/** A machine with ten times the work it can bear needs half a minute to start a daemon. */
const deadlineMs = 120_000
/** The kernel takes the devices of ended containers away one namespace after the other, those of the whole machine in one row. */
const goneMs = 120_000
const looksEveryMs = 200
/** Tells that it begins, and ends when it is told to. */
const script =
  'trap "exit 0" TERM; echo $TASK >>/starts/log; while true; do sleep 1000 & wait $!; done'

/** One node for many faults, one after the other. */
export class FaultRuns {
  readonly node: FrailNode
  readonly #scratch = mkdtempSync(join(tmpdir(), 'tsswarm-faults-'))
  #nothing: Census | undefined
  #round = 0

  private constructor(node: FrailNode) {
    this.node = node
  }

  /** `usernsRemap`: as the daemon's setting. */
  static async open({ usernsRemap = 'off' } = {}): Promise<FaultRuns> {
    return new FaultRuns(await FrailNode.create({ usernsRemap }))
  }

  async close(): Promise<void> {
    await this.node.dispose()
    rmSync(this.#scratch, { recursive: true, force: true })
  }

  /** Two tasks; the first that comes to the point takes the daemon with it. Never rejects: what fails is told as wrong. */
  async run(fault: Fault): Promise<Outcome> {
    const startMs = systemClock.monotonicMs()
    this.#round += 1
    let wrong: readonly string[]
    try {
      if (!this.node.runs) this.node.start()
      this.#nothing ??= await this.#bare()
      wrong = [...(await this.#die(fault)), ...(await this.#leftBehind(this.#nothing))]
    } catch (err) {
      const seen = JSON.stringify(this.#ids.map((id) => this.node.status(id)))
      const text = err instanceof Error ? err.message : String(err)
      wrong = [`${text}; told: ${seen}; the daemon said: ${this.node.said}`]
      await this.node.arm(undefined)
      await this.node.kill()
      this.node.start()
      this.#wish(undefined)
    }
    return { fault, wrong, ms: Math.round(systemClock.monotonicMs() - startMs) }
  }

  /** What there is before the first container. */
  async #bare(): Promise<Census> {
    await eventually(async () => this.node.isReady, 'the first daemon is ready', deadlineMs)
    return await takeCensus(this.node.paths)
  }

  async #die(fault: Fault): Promise<readonly string[]> {
    const { phase, point } = fault
    const { node } = this
    rmSync(join(this.#scratch, 'log'), { force: true })
    if (phase !== 'start') {
      this.#wish(TaskState.RUNNING)
      await this.#all(TaskState.RUNNING)
      await this.#begun()
    }
    await node.arm(fault)
    this.#wish(wishes[phase])
    await eventually(async () => !node.runs, `the daemon ends at ${point}`, deadlineMs)
    await node.arm(undefined)
    node.start()
    this.#wish(wishes[phase])
    if (phase !== 'remove') await this.#all(wishes[phase] ?? TaskState.RUNNING)
    if (phase === 'start') await this.#begun()
    const wrong = this.#startedWrongly()
    this.#wish(undefined)
    return wrong
  }

  get #ids(): readonly string[] {
    return ['a', 'b'].map((letter) => `${letter}${this.#round}`)
  }

  #wish(desiredState: TaskState | undefined): void {
    const tasks = desiredState === undefined ? [] : this.#ids.map((id) => ({ id, desiredState }))
    const starts = this.#scratch
    mkdirSync(starts, { recursive: true })
    // Root of a container may be nobody here.
    chmodSync(starts, 0o777)
    this.node.wish({ image: 'test/busybox', script, starts, tasks })
  }

  /** Errors: one came to another end. */
  async #all(state: TaskState): Promise<void> {
    const seen = () => this.#ids.map((id) => this.node.status(id))
    const isOver = (one: ReturnType<typeof seen>[number]): boolean =>
      one !== undefined && (one.state === state || one.state > TaskState.RUNNING)
    await eventually(async () => seen().every(isOver), `the tasks are ${state}`, deadlineMs)
    const others = seen().filter((one) => one?.state !== state)
    if (others.length > 0) throw new Error(`not ${state}: ${JSON.stringify(others)}`)
  }

  #starts(): readonly string[] {
    const log = join(this.#scratch, 'log')
    return existsSync(log) ? readFileSync(log, 'utf8').trim().split('\n') : []
  }

  /** Until each has said so: a task runs a moment before its program does. */
  async #begun(): Promise<void> {
    const all = async (): Promise<boolean> => this.#ids.every((id) => this.#starts().includes(id))
    await eventually(all, 'the programs of the tasks begin', deadlineMs)
  }

  /** Each task has begun once. */
  #startedWrongly(): readonly string[] {
    const starts = this.#starts()
    return this.#ids
      .map((id) => ({ id, times: starts.filter((one) => one === id).length }))
      .filter(({ times }) => times !== 1)
      .map(({ id, times }) => `task ${id} was started ${times} times`)
  }

  async #leftBehind(nothing: Census): Promise<readonly string[]> {
    const { paths } = this.node
    let left: readonly string[] = []
    const look = async (): Promise<boolean> => {
      left = differences({ ...nothing, dataPlane: [] }, withoutDataPlane(paths))
      if (left.length > 0) return false
      left = differences(nothing, await takeCensus(paths))
      if (left.length > 0) await wait(systemClock, looksEveryMs)
      return left.length === 0
    }
    await eventually(look, 'nothing is left', goneMs).catch(() => {})
    return left
  }
}

/** What is wanted when the daemon dies. */
const wishes: Readonly<Record<FaultPhase, TaskState | undefined>> = {
  start: TaskState.RUNNING,
  stop: TaskState.SHUTDOWN,
  remove: undefined,
}
