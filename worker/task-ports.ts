// The ports that a task's container is to wait on before it gets connections, where no health check says more: those that are published, else those
// that its image exposes, as others reach it by its virtual address. Not for looking (listening-ports.ts).
// Source: of the waiting for published ports dataplane's own rule; Swarm gives connections to whatever was started.
import { type Clock, wait } from '../proto/lib/clock.ts'
import type { AssignedTask } from '../proto/objects/index.ts'
import type { TaskSpec } from '../proto/spec/service-spec.ts'
import type { HostFacts } from './container-config.ts'
import type { ContainerInfo } from './executor/executor.ts'
import type { TargetPort } from './listening-ports.ts'

/** A container that waits on no port by then serves without, or never: it counts as running all the same. */
const portsMs = 5_000
const portsPollMs = 50
const knownMax = 1_000

/**
 * What a node has learnt of ports that images expose and their programs do not wait on: an image may expose more than a command of it uses. So
 * what is never waited on delays one task of a kind, not each.
 */
export class UnusedPorts {
  /** The longest unused first. */
  readonly #known = new Map<string, ReadonlySet<string>>()

  /** Those of the exposed ports that are not known to be unused. */
  used(kind: string, exposed: readonly TargetPort[]): readonly TargetPort[] {
    const unused = this.#known.get(kind)
    return unused === undefined ? exposed : exposed.filter((port) => !unused.has(nameOf(port)))
  }

  note(kind: string, unused: readonly TargetPort[]): void {
    this.#known.delete(kind)
    if (unused.length === 0) return
    this.#known.set(kind, new Set(unused.map(nameOf)))
    const [oldest] = this.#known.keys()
    if (this.#known.size > knownMax && oldest !== undefined) this.#known.delete(oldest)
  }
}

export interface TaskPortsDeps {
  readonly host: Pick<HostFacts, 'isListening'>
  readonly clock: Clock
  readonly unusedPorts: UnusedPorts
}

interface Ported {
  readonly task: Pick<AssignedTask, 'attachments'>
  readonly spec: TaskSpec
}

export class TaskPorts {
  readonly #deps: TaskPortsDeps
  #exposed: readonly TargetPort[] = []
  /** It waits on them, or was given time for it. */
  #isReady = false
  /** It was given that time for ports of its image in vain. */
  #wasLate = false

  constructor(deps: TaskPortsDeps) {
    this.#deps = deps
  }

  learn({ imagePorts }: ContainerInfo): void {
    this.#exposed = imagePorts ?? []
  }

  isListening(wanted: Ported | undefined): boolean {
    return this.#isReady || this.#awaited(wanted).length === 0
  }

  /** Until the container waits on its ports, has ended, or took too long. */
  async await(
    wanted: Ported | undefined,
    container: { readonly pid: number; readonly hasEnded: () => boolean },
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, host } = this.#deps
    const ports = this.#awaited(wanted)
    const endsAtMs = clock.monotonicMs() + portsMs
    while (!signal.aborted && !container.hasEnded()) {
      if (await host.isListening?.(container.pid, ports)) break
      if (clock.monotonicMs() >= endsAtMs) {
        this.#wasLate = wanted !== undefined && wanted.spec.ports.length === 0
        if (this.#wasLate) await this.#learnUnused(wanted, container.pid)
        break
      }
      await wait(clock, portsPollMs, signal)
    }
    this.#isReady = !signal.aborted
  }

  /** Before it is stopped: what it waits on by now was slow, not unused. */
  async review(wanted: Ported | undefined, pid: number): Promise<void> {
    if (this.#wasLate && pid > 0) await this.#learnUnused(wanted, pid)
  }

  #awaited(wanted: Ported | undefined): readonly TargetPort[] {
    if (wanted === undefined || this.#deps.host.isListening === undefined) return []
    const { task, spec } = wanted
    if (spec.ports.length > 0) return spec.ports
    if (task.attachments.length === 0 || this.#exposed.length === 0) return []
    return this.#deps.unusedPorts.used(kindOf(spec, this.#exposed), this.#exposed)
  }

  async #learnUnused(wanted: Ported | undefined, pid: number): Promise<void> {
    if (wanted === undefined) return
    const unused: TargetPort[] = []
    for (const port of this.#exposed) {
      const isUsed = await this.#deps.host.isListening?.(pid, [port])
      if (isUsed === false) unused.push(port)
    }
    this.#deps.unusedPorts.note(kindOf(wanted.spec, this.#exposed), unused)
  }
}

function nameOf({ protocol, targetPort }: TargetPort): string {
  return `${targetPort}/${protocol}`
}

/** What runs, whichever version of the image. */
function kindOf({ container }: TaskSpec, exposed: readonly TargetPort[]): string {
  const { image, command, args } = container
  const [named = ''] = image.split('@')
  const name = named.replace(/:[^/:]*$/, '')
  return JSON.stringify([name, command, args, exposed.map(nameOf)])
}
