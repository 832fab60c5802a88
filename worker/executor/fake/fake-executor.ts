// The Executor of a FakeHost: for simulations and for tests of the agent. Not for measuring containers.
import { SwarmError } from '../../../proto/errors.ts'
import { wait } from '../../../proto/lib/clock.ts'
import { childController } from '../../../proto/lib/lifecycle.ts'
import type {
  ContainerConfig,
  ContainerInfo,
  Executor,
  ExitStatus,
  LogLine,
  LogOptions,
  ProbeOutcome,
  ProbeRequest,
  PullOptions,
  ResolvedImage,
  StopOptions,
} from '../executor.ts'
import type { EndpointConfig } from '../network-attacher.ts'
import type { FakeHost } from './fake-host.ts'

const defaultGraceMs = 10_000

/** A new executor on that host; it adopts what is there. */
export function createFakeExecutor(host: FakeHost): Executor {
  return new FakeExecutor(host)
}

class FakeExecutor implements Executor {
  readonly #host: FakeHost
  readonly #life = childController().controller

  constructor(host: FakeHost) {
    this.#host = host
  }

  async pull(reference: string, options: PullOptions): Promise<ResolvedImage> {
    const isLocal = this.#host.local.has(reference)
    const resolved = { reference, id: `sha256:${reference}`, sizeBytes: 1 }
    if (isLocal && (options.policy === 'missing' || reference.includes('@sha256:'))) return resolved
    await this.#pause(this.#host.options.pullMs ?? 0, options.signal)
    if (this.#host.registryError !== undefined) throw this.#host.registryError
    const { registry, passwords } = this.#host.options
    const password = passwords?.[reference]
    if (password !== undefined && options.auth?.password !== password) {
      throw new SwarmError('UNAUTHENTICATED', `pull access denied for ${reference}`)
    }
    const image = registry?.[reference]
    if (image === undefined) {
      throw new SwarmError('IMAGE_NOT_FOUND', `the registry does not know ${reference}`)
    }
    options.progress?.({ step: 'storing', subject: reference, doneBytes: 1, totalBytes: 1 })
    this.#host.local.set(reference, image)
    return resolved
  }

  async create(config: ContainerConfig, signal: AbortSignal): Promise<ContainerInfo> {
    if (this.#host.has(config.id)) return this.#host.inspect(config.id)
    await this.#pause(this.#host.options.createMs ?? 0, signal)
    const image = this.#host.local.get(config.image)
    if (image === undefined) {
      throw new SwarmError('IMAGE_NOT_FOUND', `No such image: ${config.image}`)
    }
    if (image.createError !== undefined) throw image.createError
    return this.#host.create(config, image)
  }

  async start(id: string, signal: AbortSignal): Promise<ContainerInfo> {
    await this.#pause(this.#host.options.startMs ?? 0, signal)
    return this.#host.start(id)
  }

  async stop(id: string, options: StopOptions): Promise<ExitStatus> {
    const { config } = this.#host.inspect(id)
    this.#host.signalStop(id, options.graceMs ?? config.stopGraceMs ?? defaultGraceMs)
    return this.wait(id, this.#life.signal)
  }

  async kill(id: string): Promise<void> {
    const { state } = this.#host.inspect(id)
    if (state.kind !== 'running') {
      throw new SwarmError('FAILED_PRECONDITION', `container ${id} does not run`)
    }
    this.#host.exit(id, 137)
  }

  async remove(id: string): Promise<void> {
    this.#host.remove(id)
  }

  async wait(id: string, signal: AbortSignal): Promise<ExitStatus> {
    while (true) {
      if (signal.aborted || this.#life.signal.aborted) throw cancelled(`wait for ${id}`)
      const { state } = this.#host.inspect(id)
      if (state.kind === 'exited') return state.exit
      await this.#nextChange(signal)
    }
  }

  async probe(id: string, request: ProbeRequest, signal: AbortSignal): Promise<ProbeOutcome> {
    await this.#pause(this.#host.options.probeMs ?? 0, signal)
    return this.#host.probe(id, request)
  }

  async connect(id: string, endpoint: EndpointConfig, signal: AbortSignal): Promise<ContainerInfo> {
    await this.#pause(this.#host.options.connectMs ?? 0, signal)
    return this.#host.connect(id, endpoint)
  }

  async disconnect(id: string, networkId: string): Promise<ContainerInfo> {
    return this.#host.disconnect(id, networkId)
  }

  async list(): Promise<readonly ContainerInfo[]> {
    return this.#host.list()
  }

  async inspect(id: string): Promise<ContainerInfo> {
    return this.#host.inspect(id)
  }

  async *logs(id: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    const { log } = this.#host.inspect(id).config
    const attributes =
      log?.kind === 'files' && options.details === true ? log.attributes : undefined
    for await (const line of this.#logLines(id, options, signal)) {
      yield attributes === undefined ? line : { ...line, attributes }
    }
  }

  async *#logLines(id: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine> {
    const isWanted = (line: LogLine): boolean =>
      (options.streams?.includes(line.stream) ?? true) &&
      Date.parse(line.timestamp) >= (options.sinceMs ?? 0) &&
      Date.parse(line.timestamp) < (options.untilMs ?? Number.POSITIVE_INFINITY)
    const old = this.#host.lines(id).filter(isWanted)
    let read = this.#host.lines(id).length
    yield* options.tail === undefined ? old : old.slice(Math.max(0, old.length - options.tail))
    while (options.follow === true && !signal.aborted && this.#host.has(id)) {
      const fresh = this.#host.lines(id).slice(read).filter(isWanted)
      read = this.#host.lines(id).length
      yield* fresh
      if (this.#host.inspect(id).state.kind === 'exited') return
      await this.#nextChange(signal)
    }
  }

  async stats(): Promise<never> {
    throw new SwarmError('UNSUPPORTED', 'a pretended container uses no resources')
  }

  async close(): Promise<void> {
    this.#life.abort()
  }

  async #nextChange(signal: AbortSignal): Promise<void> {
    const { controller, release } = childController(signal)
    const stop = (): void => controller.abort()
    this.#life.signal.addEventListener('abort', stop, { once: true })
    await this.#host.changed(controller.signal)
    this.#life.signal.removeEventListener('abort', stop)
    release()
  }

  async #pause(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (delayMs > 0) await wait(this.#host.options.clock, delayMs, signal)
    if (signal?.aborted === true || this.#life.signal.aborted) throw cancelled('the operation')
  }
}

function cancelled(what: string): SwarmError {
  return new SwarmError('CANCELLED', `${what} was cancelled`)
}
