// The health of one task's container as its driver knows it: which check it has, how it is asked, what is known. Not for
// when it is asked (health/health-watch.ts) nor for what follows (task-step.ts).
import { SwarmError } from '../proto/errors.ts'
import type { Clock } from '../proto/lib/clock.ts'
import type { Logger } from '../proto/lib/log.ts'
import type { Random } from '../proto/lib/random.ts'
import { type TaskHealth, type TaskId, TaskState, type TaskStatus } from '../proto/objects/index.ts'
import type { TaskSpec } from '../proto/spec/service-spec.ts'
import type { HostFacts } from './container-config.ts'
import type { ContainerInfo, Executor } from './executor/executor.ts'
import type { NetworkQuestion } from './health/ask-network.ts'
import { type HealthCheck, healthCheckOf } from './health/health-policy.ts'
import { HealthWatch, type ProbeAnswer } from './health/health-watch.ts'
import type { ProbeSlots } from './health/probe-slots.ts'

export interface TaskHealthDeps {
  readonly executor: Executor
  readonly networkProber: HostFacts['networkProber'] | undefined
  readonly probes: ProbeSlots
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
}

export class TaskHealthCheck {
  readonly #deps: TaskHealthDeps
  readonly #taskId: TaskId
  readonly #onTold: (health: TaskHealth) => Promise<void>
  #watch: HealthWatch | undefined

  constructor(deps: TaskHealthDeps, taskId: TaskId, onTold: (health: TaskHealth) => Promise<void>) {
    this.#deps = deps
    this.#taskId = taskId
    this.#onTold = onTold
  }

  /** Undefined: it has no check, or does not run yet. */
  get health(): TaskHealth | undefined {
    return this.#watch?.health
  }

  /** Takes note of a container that runs. What was known of its health before goes on. */
  learn(info: ContainerInfo, spec: TaskSpec | undefined, { state, health }: TaskStatus): void {
    if (this.#watch !== undefined || spec === undefined || info.state.kind !== 'running') return
    const check = healthCheckOf(spec.container.healthcheck, info.imageHealth)
    if (check === undefined) return
    const { startedAtMs } = info.state
    const hasRun = state >= TaskState.RUNNING
    const onTold = this.#onTold
    const ask = (signal: AbortSignal): Promise<ProbeAnswer> => this.#ask(check, signal)
    const { probes: slots, clock, random, log } = this.#deps
    this.#watch = new HealthWatch(
      { slots, clock, random, log, ask, onTold },
      { taskId: this.#taskId, check, startedAtMs, known: health, hasRun },
    )
  }

  /** Asks it again and again, until its state is another one or the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#watch?.run(signal)
  }

  async #ask({ probe, policy }: HealthCheck, signal: AbortSignal): Promise<ProbeAnswer> {
    const { timeoutMs } = policy
    if (probe.kind !== 'command') return this.#askNetwork({ path: '', ...probe, timeoutMs }, signal)
    const request = { argv: probe.argv, timeoutMs }
    const outcome = await this.#deps.executor.probe(this.#taskId, request, signal)
    if (outcome.kind === 'timeout') {
      return { isHealthy: false, output: joined(`timeout after ${timeoutMs / 1000} s`, outcome) }
    }
    const { exitCode } = outcome
    return { isHealthy: exitCode === 0, output: joined(`exit code ${exitCode}`, outcome) }
  }

  /** At the address that it has now: networks may have come and gone. */
  async #askNetwork(
    question: Omit<NetworkQuestion, 'address'>,
    signal: AbortSignal,
  ): Promise<ProbeAnswer> {
    const { executor, networkProber } = this.#deps
    if (networkProber === undefined) {
      throw new SwarmError('UNAVAILABLE', 'this host cannot ask containers over the network')
    }
    const info = await executor.inspect(this.#taskId)
    if (info.config.network.kind === 'host') {
      return networkProber.askHost({ ...question, address: '127.0.0.1' })
    }
    const address = addressOf(info)
    if (address === undefined) {
      const output = 'the container is on no network: check it with a command'
      return { isHealthy: false, output }
    }
    return networkProber.ask({ ...question, address }, signal)
  }
}

/** Without its prefix length; IPv4 first. Undefined: it has none. */
function addressOf({ attachment }: ContainerInfo): string | undefined {
  const all = (attachment?.endpoints ?? []).flatMap(({ addresses }) => addresses)
  const bare = all.map((address) => address.replace(/\/.*/, ''))
  return bare.find((address) => !address.includes(':')) ?? bare[0]
}

function joined(what: string, { output }: { readonly output: string }): string {
  return output === '' ? what : `${what}: ${output}`
}
