// Probers in containers of the cluster: one on each of some hosts, on all networks. What they hear goes to the watcher.
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { systemClock, wait } from '../../proto/lib/clock.ts'
import type { Arrival, Payload } from '../support/churn/holders.ts'
import { isRunning, isServing, type Picture } from '../support/churn/picture.ts'
import type { Watcher } from './watcher.ts'

export const proberPrefix = 'prober-'
const program = fileURLToPath(new URL('./prober.js', import.meta.url))
const tellEveryMs = 300

interface Prober {
  readonly child: ChildProcess
  readonly ended: Promise<void>
  sent: number
}

export class Probers {
  readonly #watcher: Watcher
  readonly #perSecond: number
  /** By task. */
  readonly #probers = new Map<string, Prober>()
  #toldAtMs = 0
  #sentBefore = 0
  #onArrival: (prober: string, arrival: Arrival) => void = () => {}

  constructor(watcher: Watcher, perSecond: number) {
    this.#watcher = watcher
    this.#perSecond = perSecond
  }

  get sent(): number {
    return [...this.#probers.values()].reduce((sum, { sent }) => sum + sent, this.#sentBefore)
  }

  /** Follows the tasks they are in, and tells them whom to ask. */
  follow(picture: Picture): void {
    const nowMs = systemClock.monotonicMs()
    if (nowMs - this.#toldAtMs < tellEveryMs) return
    this.#toldAtMs = nowMs
    const homes = picture.tasks.filter(
      (task) => task.serviceName.startsWith(proberPrefix) && isRunning(task) && task.pid > 0,
    )
    const ids = new Set(homes.map(({ id }) => id))
    for (const id of this.#probers.keys()) if (!ids.has(id)) void this.#end(id)
    for (const { id, pid } of homes) if (!this.#probers.has(id)) this.#begin(id, pid)
    const line = `${JSON.stringify(targetsOf(picture))}\n`
    for (const { child } of this.#probers.values()) child.stdin?.write(line)
  }

  get count(): number {
    return this.#probers.size
  }

  /**
   * Asks for all of them until each prober had an answer of each. Resolves with what is missing at the end: `PROBER: TARGET`.
   * `isOwed`: whether it is still there; an update that was under way may have replaced a task meanwhile.
   */
  async sweep(
    targets: readonly Target[],
    isOwed: (target: Target) => boolean,
    withinMs: number,
  ): Promise<readonly string[]> {
    const nameOf = ([, address, kind, id]: Target): string => `${kind} ${id} at ${address}`
    const byName = new Map(targets.map((target) => [nameOf(target), target]))
    const missing = new Map(
      [...this.#probers.keys()].flatMap((prober) =>
        [...byName].map(([name, target]): [string, Target] => [`${prober}: ${name}`, target]),
      ),
    )
    const beganMs = systemClock.wallMs()
    this.#onArrival = (prober, { payload: { sentMs, address, kind, id } }) => {
      if (sentMs >= beganMs) missing.delete(`${prober}: ${kind} ${id} at ${address}`)
    }
    const endsAtMs = systemClock.monotonicMs() + withinMs
    while (missing.size > 0 && systemClock.monotonicMs() < endsAtMs) {
      await wait(systemClock, 50)
      for (const [name, target] of missing) if (!isOwed(target)) missing.delete(name)
    }
    this.#onArrival = () => {}
    return [...missing.keys()]
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#probers.keys()].map((id) => this.#end(id)))
  }

  #begin(id: string, pid: number): void {
    // In its processes too, so that it ends with the container, whose network it would keep alive otherwise.
    const argv = ['-t', `${pid}`, '-n', '-p', process.execPath, program, `${this.#perSecond}`]
    const child = spawn('nsenter', argv, { stdio: ['pipe', 'pipe', 'inherit'] })
    const ended = new Promise<void>((resolve) => {
      child.once('error', () => resolve())
      child.once('close', () => resolve())
    })
    const prober: Prober = { child, ended, sent: 0 }
    child.stdin?.on('error', () => {})
    createInterface(child.stdout).on('line', (line) => {
      const [first, count] = line.split(' ')
      if (first === 'sent') prober.sent = Number(count)
      else {
        const arrival = parseArrival(line)
        if (arrival === undefined) return
        this.#watcher.note(arrival)
        this.#onArrival(id, arrival)
      }
    })
    this.#probers.set(id, prober)
  }

  async #end(id: string): Promise<void> {
    const prober = this.#probers.get(id)
    if (prober === undefined) return
    this.#probers.delete(id)
    prober.child.stdin?.end()
    await prober.ended
    this.#sentBefore += prober.sent
  }
}

export type Target = readonly [network: string, address: string, kind: Payload['kind'], id: string]

export function targetsOf({ tasks, services }: Picture): readonly Target[] {
  return [
    ...tasks
      .filter(isServing)
      .flatMap(({ id, addresses }) =>
        [...addresses].map(([network, address]): Target => [network, address, 'task', id]),
      ),
    ...services.flatMap(({ id, vips }) =>
      [...vips].map(([network, address]): Target => [network, address, 'service', id]),
    ),
  ]
}

/** `AT TASK SENT NETWORK ADDRESS task|service ID`; undefined: it is something else. */
export function parseArrival(line: string): Arrival | undefined {
  const [at, taskId, sent, networkId, address, kind, id] = line.split(' ')
  if (taskId === undefined || networkId === undefined || address === undefined) return undefined
  if (id === undefined || (kind !== 'task' && kind !== 'service')) return undefined
  const payload = { sentMs: Number(sent), networkId, address, kind, id } as const
  return { payload, taskId, atMs: Number(at) }
}

/** What arrived at others than it was sent to, whether or not the answer got back. */
export function readStrays(directory: string): readonly Arrival[] {
  return readdirSync(directory)
    .flatMap((file) => readFileSync(join(directory, file), 'utf8').split('\n'))
    .flatMap((line) => parseArrival(line) ?? [])
}
