// A host that only pretends to run containers, on a given clock: what a simulated node owns and what outlives its
// daemon. Not the executor itself (fake-executor.ts), of which a restarted daemon makes a new one on the same host.
import { SwarmError } from '../../../proto/errors.ts'
import type { Clock, Timer } from '../../../proto/lib/clock.ts'
import type {
  ContainerConfig,
  ContainerInfo,
  ContainerState,
  ExitStatus,
  ImageHealth,
  ImagePort,
  LogLine,
  ProbeOutcome,
  ProbeRequest,
} from '../executor.ts'
import type { EndpointConfig, NetworkAttachment } from '../network-attacher.ts'

/** How containers of an image behave. */
export interface FakeImage {
  /** Ends by itself this long after its start; absent: runs until stopped. */
  readonly runMs?: number
  /** Of the end by itself; default 0. */
  readonly exitCode?: number
  /** Between the stop signal and the end, grace permitting; default 0. */
  readonly stopMs?: number
  /** Its HEALTHCHECK; absent: none. */
  readonly health?: ImageHealth
  /** Exposed ones. */
  readonly ports?: readonly ImagePort[]
  /** What health probes find so long after its start; absent: it is healthy. */
  readonly probe?: (request: ProbeRequest, runningMs: number) => ProbeOutcome
  readonly createError?: SwarmError
  readonly startError?: SwarmError
}

export interface FakeHostOptions {
  readonly clock: Clock
  /** By reference; present without a pull. */
  readonly localImages?: Readonly<Record<string, FakeImage>>
  /** By reference; there after a pull. */
  readonly registry?: Readonly<Record<string, FakeImage>>
  /** By reference: those that the registry gives only to who knows it. */
  readonly passwords?: Readonly<Record<string, string>>
  readonly pullMs?: number
  readonly createMs?: number
  readonly startMs?: number
  readonly connectMs?: number
  readonly probeMs?: number
  /** Told when a container is started, before it is. */
  readonly onStart?: (id: string) => void
}

interface FakeContainer {
  readonly config: ContainerConfig
  readonly image: FakeImage
  readonly createdAtMs: number
  attachment: NetworkAttachment
  readonly lines: LogLine[]
  state: ContainerState
  timer: Timer | undefined
}

const firstEphemeralPort = 32_768

/** Everything of a host that survives its daemon. */
export class FakeHost {
  readonly options: FakeHostOptions
  readonly local: Map<string, FakeImage>
  /** Why the registry does not answer; undefined: it does. */
  registryError: SwarmError | undefined
  /** Why containers cannot be connected to networks; undefined: they can. */
  connectError: SwarmError | undefined
  readonly #containers = new Map<string, FakeContainer>()
  readonly #watchers = new Set<() => void>()
  readonly #slotVolumes = new Set<string>()
  readonly #volumeListeners = new Set<() => void>()
  #lastPid = 1000
  #lastPort = firstEphemeralPort

  constructor(options: FakeHostOptions) {
    this.options = options
    this.local = new Map(Object.entries(options.localImages ?? {}))
  }

  /** Oldest first. */
  list(): readonly ContainerInfo[] {
    return [...this.#containers.keys()].map((id) => this.inspect(id))
  }

  /** Names of the volumes of slots that containers were made with, in order; they stay. */
  slotVolumes(): readonly string[] {
    return [...this.#slotVolumes].sort()
  }

  /** Calls the listener when there are more of them; the result ends that. */
  onSlotVolumes(listener: () => void): () => void {
    this.#volumeListeners.add(listener)
    return () => this.#volumeListeners.delete(listener)
  }

  has(id: string): boolean {
    return this.#containers.has(id)
  }

  /** Errors: NOT_FOUND. */
  inspect(id: string): ContainerInfo {
    const { config, createdAtMs, attachment, state, image: made } = this.#container(id)
    const image = { reference: config.image, id: `sha256:${config.image}`, sizeBytes: 1 }
    const { health: imageHealth, ports: imagePorts = [] } = made
    const known = { id, config, image, createdAtMs, state, attachment, imagePorts }
    return imageHealth === undefined ? known : { ...known, imageHealth }
  }

  create(config: ContainerConfig, image: FakeImage): ContainerInfo {
    if (!this.#containers.has(config.id)) {
      this.#containers.set(config.id, {
        config,
        image,
        createdAtMs: this.options.clock.wallMs(),
        attachment: this.#attach(config),
        lines: [],
        state: { kind: 'created', pid: this.#nextPid() },
        timer: undefined,
      })
      this.#makeVolumes(config)
    }
    return this.inspect(config.id)
  }

  /** Errors: FAILED_PRECONDITION when it has ended, NOT_FOUND, what the image says. */
  start(id: string): ContainerInfo {
    const container = this.#container(id)
    if (container.state.kind === 'exited') {
      throw new SwarmError('FAILED_PRECONDITION', `container ${id} has ended: make a new one`)
    }
    if (container.state.kind !== 'created') return this.inspect(id)
    if (container.image.startError !== undefined) throw container.image.startError
    this.options.onStart?.(id)
    const startedAtMs = this.options.clock.wallMs()
    container.state = { kind: 'running', pid: container.state.pid, startedAtMs }
    if (container.image.runMs !== undefined) {
      const { runMs, exitCode } = container.image
      container.timer = this.options.clock.setTimer(runMs, () => this.exit(id, exitCode ?? 0))
    }
    this.#changed()
    return this.inspect(id)
  }

  /** Errors: FAILED_PRECONDITION when it does not run, NOT_FOUND. */
  probe(id: string, request: ProbeRequest): ProbeOutcome {
    const { state, image } = this.#container(id)
    if (state.kind !== 'running') {
      throw new SwarmError('FAILED_PRECONDITION', `container ${id} does not run`)
    }
    const runningMs = this.options.clock.wallMs() - state.startedAtMs
    return image.probe?.(request, runningMs) ?? { kind: 'ended', exitCode: 0, output: '' }
  }

  /** Errors: FAILED_PRECONDITION when it does not run, what the host says, NOT_FOUND. */
  connect(id: string, endpoint: EndpointConfig): ContainerInfo {
    const container = this.#container(id)
    if (container.state.kind !== 'running') {
      throw new SwarmError('FAILED_PRECONDITION', `container ${id} does not run`)
    }
    if (this.connectError !== undefined) throw this.connectError
    const { endpoints } = this.disconnect(id, endpoint.networkId).attachment ?? { endpoints: [] }
    const { networkId, addresses } = endpoint
    container.attachment = {
      ...container.attachment,
      endpoints: [...endpoints, { networkId, addresses }],
    }
    return this.inspect(id)
  }

  disconnect(id: string, networkId: string): ContainerInfo {
    const container = this.#container(id)
    const { attachment } = container
    const endpoints = attachment.endpoints.filter((one) => one.networkId !== networkId)
    container.attachment = { ...attachment, endpoints }
    return this.inspect(id)
  }

  /** Sends the stop signal; the end follows as the image says, SIGKILL after the grace. */
  signalStop(id: string, graceMs: number): void {
    const { state, image } = this.#container(id)
    if (state.kind === 'exited') return
    const stopMs = image.stopMs ?? 0
    const isKilled = state.kind === 'created' || stopMs > graceMs
    const delayMs = state.kind === 'created' ? 0 : Math.min(stopMs, graceMs)
    this.options.clock.setTimer(delayMs, () => this.exit(id, isKilled ? 137 : 143))
  }

  /** The container's process ends now. A no-op on an ended or unknown one. */
  exit(id: string, exitCode: number, error?: string): void {
    const container = this.#containers.get(id)
    if (container === undefined || container.state.kind === 'exited') return
    container.timer?.cancel()
    const exit: ExitStatus = {
      exitCode,
      oomKilled: false,
      finishedAtMs: this.options.clock.wallMs(),
      ...(error === undefined ? {} : { error }),
    }
    const { state } = container
    container.state =
      state.kind === 'created'
        ? { kind: 'exited', exit }
        : { kind: 'exited', startedAtMs: state.startedAtMs, exit }
    this.#changed()
  }

  /** All processes end and nobody sees their exit codes. */
  reboot(): void {
    for (const id of this.#containers.keys()) this.exit(id, -1, 'the host was restarted')
  }

  remove(id: string): void {
    this.#containers.get(id)?.timer?.cancel()
    this.#containers.delete(id)
    this.#changed()
  }

  write(id: string, stream: LogLine['stream'], text: string): void {
    const timestamp = new Date(this.options.clock.wallMs()).toISOString().replace('Z', '000000Z')
    this.#container(id).lines.push({ stream, timestamp, data: Buffer.from(text) })
    this.#changed()
  }

  lines(id: string): readonly LogLine[] {
    return this.#container(id).lines
  }

  /** Resolves at the next change of any container, or when the signal aborts. */
  changed(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        this.#watchers.delete(done)
        signal.removeEventListener('abort', done)
        resolve()
      }
      this.#watchers.add(done)
      signal.addEventListener('abort', done, { once: true })
    })
  }

  #makeVolumes({ mounts }: ContainerConfig): void {
    for (const mount of mounts) {
      if (mount.kind !== 'volume' || mount.isSlots !== true || mount.name === undefined) continue
      if (this.#slotVolumes.has(mount.name)) continue
      this.#slotVolumes.add(mount.name)
      for (const listener of this.#volumeListeners) listener()
    }
  }

  #container(id: string): FakeContainer {
    const container = this.#containers.get(id)
    if (container === undefined) throw new SwarmError('NOT_FOUND', `No such container: ${id}`)
    return container
  }

  #attach({ network }: ContainerConfig): NetworkAttachment {
    const none = { nameservers: [], search: [], hosts: [] }
    if (network.kind !== 'attached') return { endpoints: [], ports: [], ...none }
    const ports = network.ports.map((port) => {
      if (port.publishedPort !== 0) return port
      this.#lastPort += 1
      return { ...port, publishedPort: this.#lastPort }
    })
    return { endpoints: network.endpoints, ports, ...none }
  }

  #nextPid(): number {
    this.#lastPid += 1
    return this.#lastPid
  }

  #changed(): void {
    for (const watcher of [...this.#watchers]) watcher()
  }
}
