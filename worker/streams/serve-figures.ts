// What processes a container has, and what containers use, in figures.
import { totalmem } from 'node:os'
import type { TaskUsage, UsageOpen } from '../../proto/gen/tsswarm/v1/streams.ts'
import { type Clock, wait } from '../../proto/lib/clock.ts'
import type { ContainerStreams, ContainerUsage } from './container-streams.ts'
import type { StreamIo } from './stream-io.ts'

export async function serveTop(
  containers: Pick<ContainerStreams, 'processes'>,
  id: string,
  io: Pick<StreamIo, 'send'>,
): Promise<void> {
  const processes = await containers.processes(id)
  const names = { taskId: '', taskName: '', nodeHostname: '', pathKind: '' }
  await io.send({ $case: 'opened', value: { ...names, tty: false, hasInput: false } })
  await io.send({ $case: 'top', value: { processes, hostMemoryBytes: totalmem() } })
  await io.send(endedWell)
}

const intervalMinMs = 250
const onceMs = 500

/** Sends samples until the other end goes away, or one when only one is wanted. */
export async function serveUsage(
  containers: Pick<ContainerStreams, 'usage'>,
  request: UsageOpen,
  io: Pick<StreamIo, 'send' | 'signal' | 'clock'>,
): Promise<void> {
  const meter = new UsageMeter(containers, io.clock)
  await meter.sample(request.taskIds)
  const intervalMs = request.once ? onceMs : Math.max(request.intervalMs, intervalMinMs)
  do {
    await wait(io.clock, intervalMs, io.signal)
    if (io.signal.aborted) return
    await io.send({ $case: 'usage', value: { tasks: await meter.sample(request.taskIds) } })
  } while (!request.once)
  await io.send(endedWell)
}

const endedWell = { $case: 'ended', value: { exitCode: 0, err: '', code: '' } } as const

interface Before {
  readonly atMs: number
  readonly cpuTotalNanos: number
}

/** Shares of the processor are differences between two samples. */
class UsageMeter {
  readonly #containers: Pick<ContainerStreams, 'usage'>
  readonly #clock: Clock
  readonly #before = new Map<string, Before>()

  constructor(containers: Pick<ContainerStreams, 'usage'>, clock: Clock) {
    this.#containers = containers
    this.#clock = clock
  }

  sample(ids: readonly string[]): Promise<readonly TaskUsage[]> {
    return Promise.all(ids.map((id) => this.#one(id)))
  }

  async #one(taskId: string): Promise<TaskUsage> {
    const about = { taskId, taskName: '', nodeHostname: '', containerId: '' }
    try {
      const usage = await this.#containers.usage(taskId)
      return { ...about, ...usage, cpuPermille: this.#share(taskId, usage), err: '' }
    } catch (err) {
      this.#before.delete(taskId)
      const text = err instanceof Error ? err.message : String(err)
      return { ...about, ...nothing, cpuPermille: 0, err: text }
    }
  }

  #share(id: string, { cpuTotalNanos }: ContainerUsage): number {
    const atMs = this.#clock.monotonicMs()
    const before = this.#before.get(id)
    this.#before.set(id, { atMs, cpuTotalNanos })
    if (before === undefined || atMs <= before.atMs) return 0
    const nanos = Math.max(0, cpuTotalNanos - before.cpuTotalNanos)
    return Math.round(nanos / 1_000 / (atMs - before.atMs))
  }
}

const nothing: ContainerUsage = {
  cpuTotalNanos: 0,
  memoryBytes: 0,
  memoryLimitBytes: 0,
  receivedBytes: 0,
  sentBytes: 0,
  readBytes: 0,
  writtenBytes: 0,
  pids: 0,
}
