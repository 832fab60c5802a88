// Runs containers for real: conmon and crun, images from containers-storage, root file systems by overlay. The order of
// steps and who may do what when; the steps themselves are in the files beside this one.
import { mkdirSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'
import type { Clock } from '../../../proto/lib/clock.ts'
import type { Logger } from '../../../proto/lib/log.ts'
import { Semaphore } from '../../../proto/lib/semaphore.ts'
import { reachFaultPoint } from '../../fault-points.ts'
import type { Images, ImageUser } from '../../image/images.ts'
import type {
  ContainerConfig,
  ContainerInfo,
  ContainerStats,
  Executor,
  ExitStatus,
  FileMount,
  LogLine,
  LogOptions,
  ProbeOutcome,
  ProbeRequest,
  PullOptions,
  ResolvedImage,
  StopOptions,
} from '../executor.ts'
import type { AttachRequest, EndpointConfig, NetworkAttachment } from '../network-attacher.ts'
import { adoptAll } from './adopt-all.ts'
import { type Assembler, changeEtcFiles, writeEtcFiles } from './assembler.ts'
import { monitorsPath, readStats, removeEmptyCgroups } from './cgroups.ts'
import { type CleanupTools, destroyContainer, releaseContainer } from './cleanup.ts'
import { Container } from './container.ts'
import { exitWithin, killAndWait } from './ending.ts'
import { writesJournal } from './host-journal.ts'
import { writeGroupFiles } from './host-options.ts'
import type { IdMapping } from './id-mapping.ts'
import { readLog } from './log-reader.ts'
import type { LogLimits } from './log-rotation.ts'
import { checkContainerId, containerPaths, type ExecutorDirs, hostPaths } from './paths.ts'
import { portsGivenBack } from './ports-of-ended.ts'
import { runProbe } from './probe.ts'
import { identifyProcess, signalProcess } from './processes.ts'
import { type ContainerRecord, newRecord } from './record.ts'
import type { SeccompCache } from './seccomp-cache.ts'
import { parseSignal } from './signals.ts'
import { Supervisor } from './supervisor.ts'
import { checkParts } from './volume-parts.ts'
import { volumeUsers } from './volume-users.ts'

export interface ContainerExecutorOptions {
  readonly dirs: ExecutorDirs
  readonly clock: Clock
  readonly log: Logger
  readonly bootId: string
  readonly images: Images
  readonly assembler: Assembler
  readonly seccomp: SeccompCache
  readonly tools: CleanupTools
  /** Of the containers made from now on; undefined: they have the host's users. */
  readonly remap: IdMapping | undefined
  readonly logLimits: LogLimits
  /** Creations that run at a time. */
  readonly creationsMax: number
}

export class ContainerExecutor implements Executor {
  readonly #options: ContainerExecutorOptions
  readonly #containers = new Map<string, Container>()
  readonly #creations: Semaphore
  readonly #supervisor: Supervisor

  constructor(options: ContainerExecutorOptions) {
    this.#options = options
    this.#creations = new Semaphore(options.creationsMax)
    this.#supervisor = new Supervisor({
      exitsDir: hostPaths(options.dirs).exitsDir,
      clock: options.clock,
      log: options.log,
      logLimits: options.logLimits,
      find: (id) => this.#containers.get(id),
      living: () => [...this.#containers.values()].filter((one) => one.record.exit === undefined),
      onExit: (container, exit) => this.#exited(container, exit),
    })
    options.images.setUsage((imageId) => this.#usersOf(imageId))
    options.tools.volumes.setUsage((name) => volumeUsers(this.#containers.values(), name))
  }

  /** Makes the folders and adopts what a former daemon left. To be awaited before anything else. */
  async open(): Promise<void> {
    const { dirs, tools } = this.#options
    const { containersDir, bundlesDir, exitsDir } = hostPaths(dirs)
    for (const dir of [containersDir, bundlesDir, exitsDir]) {
      await mkdir(dir, { recursive: true, mode: 0o711 })
    }
    await tools.runtime.open()
    await this.#options.seccomp.open()
    const adopted = await adoptAll(this.#options, (container) =>
      this.#supervisor.readExit(container),
    )
    for (const { container, exit } of adopted) {
      this.#containers.set(container.id, container)
      if (exit !== undefined) this.#exited(container, exit)
    }
    await tools.volumes.removeOrphans()
    this.#supervisor.open()
    await tools.network.restore(this.#liveAttachments())
  }

  pull(reference: string, options: PullOptions): Promise<ResolvedImage> {
    return this.#options.images.pull(reference, options)
  }

  async create(config: ContainerConfig, signal: AbortSignal): Promise<ContainerInfo> {
    checkContainerId(config.id)
    for (
      let known = this.#containers.get(config.id);
      known !== undefined;
      known = this.#containers.get(config.id)
    ) {
      if (known.removal === undefined) return known.created
      await known.removal
    }
    // Before anything is made, and before two calls could both go on: nothing is awaited from here to the set.
    const paths = containerPaths(this.#options.dirs, config.id)
    const { files = [], ...kept } = config
    const container = new Container(this.#firstRecord(kept), paths, (self) =>
      this.#creations.run(() => this.#createOrDestroy(self, files, signal)),
    )
    this.#containers.set(config.id, container)
    return container.created
  }

  async start(id: string, signal: AbortSignal): Promise<ContainerInfo> {
    const container = await this.#get(id)
    if (signal.aborted) throw cancelled(`start of container ${id}`)
    if (container.record.exit !== undefined) {
      throw new SwarmError('FAILED_PRECONDITION', `container ${id} has ended: create another one`)
    }
    container.starting ??= this.#startNow(container)
    await container.starting
    return container.info()
  }

  async stop(id: string, options: StopOptions): Promise<ExitStatus> {
    const container = await this.#get(id)
    const { record } = container
    const stopSignal =
      options.stopSignal === undefined ? record.stopSignal : parseSignal(options.stopSignal)
    if (record.exit === undefined && record.phase === 'started') {
      signalProcess(container.process, stopSignal)
      reachFaultPoint('stop.signalled')
      await exitWithin(container, this.#options.clock, options.graceMs ?? record.stopGraceMs)
    }
    return killAndWait(container, this.#options.clock)
  }

  async kill(id: string, signalName = 'SIGKILL'): Promise<void> {
    const signal = parseSignal(signalName)
    const container = await this.#get(id)
    if (container.record.exit === undefined && signalProcess(container.process, signal)) return
    throw new SwarmError('FAILED_PRECONDITION', `cannot kill container ${id}: it is not running`)
  }

  async remove(id: string): Promise<void> {
    const container = this.#containers.get(id)
    if (container === undefined) return
    container.removal ??= this.#removeNow(container).finally(() => {
      container.removal = undefined
    })
    await container.removal
  }

  async wait(id: string, signal: AbortSignal): Promise<ExitStatus> {
    return (await this.#get(id)).exit(signal)
  }

  async probe(id: string, request: ProbeRequest, signal: AbortSignal): Promise<ProbeOutcome> {
    const container = await this.#get(id)
    if (container.record.exit === undefined && container.record.phase === 'started') {
      return runProbe(this.#options.tools.runtime, container, request, signal)
    }
    throw new SwarmError('FAILED_PRECONDITION', `container ${id} is not running: ask it nothing`)
  }

  async connect(id: string, endpoint: EndpointConfig, signal: AbortSignal): Promise<ContainerInfo> {
    const container = await this.#get(id)
    const { config, attachment, exit } = container.record
    if (exit !== undefined || config.network.kind !== 'attached') {
      const why = exit === undefined ? 'it has no network of its own' : 'it has ended'
      const message = `container ${config.name} cannot be connected to a network: ${why}`
      throw new SwarmError('FAILED_PRECONDITION', message)
    }
    const { pid } = container.process
    const request = { containerId: id, name: config.name, pid, endpoint }
    await this.#wire(
      container,
      attachment,
      await this.#options.tools.network.connect(request, signal),
    )
    return container.info()
  }

  async disconnect(id: string, networkId: string): Promise<ContainerInfo> {
    const container = await this.#get(id)
    const { attachment, exit } = container.record
    // With its end everything is taken back.
    if (exit !== undefined || attachment === undefined) return container.info()
    await this.#wire(
      container,
      attachment,
      await this.#options.tools.network.disconnect(id, networkId),
    )
    return container.info()
  }

  async list(): Promise<readonly ContainerInfo[]> {
    return [...this.#containers.values()]
      .filter((one) => one.record.phase !== 'creating')
      .map((one) => one.info())
      .sort((a, b) => a.createdAtMs - b.createdAtMs)
  }

  async inspect(id: string): Promise<ContainerInfo> {
    return (await this.#get(id)).info()
  }

  async *logs(id: string, options: LogOptions, signal: AbortSignal): AsyncGenerator<LogLine> {
    const container = await this.#get(id)
    const { log, name } = container.record.config
    if (log?.kind === 'none') throw keepsNoLog(name)
    const source = {
      path: container.paths.logPath,
      hasEnded: () => container.record.exit !== undefined,
      ended: container.ended,
      clock: this.#options.clock,
      attributes: log?.attributes,
    }
    yield* readLog(source, options, signal)
  }

  async stats(id: string): Promise<ContainerStats> {
    const container = await this.#get(id)
    if (container.record.exit !== undefined) {
      throw new SwarmError('FAILED_PRECONDITION', `container ${id} is not running: it uses nothing`)
    }
    return readStats(this.#options.tools.cgroups, container.paths.cgroupPath)
  }

  /** One whose process runs. Errors: NOT_FOUND, FAILED_PRECONDITION. */
  async running(id: string): Promise<Container> {
    const container = await this.#get(id)
    const { exit, phase } = container.record
    if (exit === undefined && phase === 'started') return container
    throw new SwarmError(
      'FAILED_PRECONDITION',
      `container ${container.record.config.name} is not running`,
    )
  }

  async close(): Promise<void> {
    const { tools, dirs } = this.#options
    await this.#supervisor.close()
    const all = [...this.#containers.values()]
    await Promise.allSettled(all.flatMap((one) => [one.created, one.released, one.removal]))
    await tools.helper.close()
    if (all.some((one) => one.record.exit === undefined)) return
    await removeEmptyCgroups(tools.cgroups, monitorsPath(dirs))
    await removeEmptyCgroups(tools.cgroups, dirs.cgroupParent)
  }

  async #get(id: string): Promise<Container> {
    const container = this.#containers.get(id)
    if (container === undefined) throw new SwarmError('NOT_FOUND', `No such container: ${id}`)
    await container.created
    return container
  }

  /** Errors: UNSUPPORTED without the runtime. */
  #firstRecord(config: ContainerConfig): ContainerRecord {
    const { tools, clock, bootId, remap } = this.#options
    const runtime = tools.runtime.choose(config.name, config.runtime)
    return newRecord(config, { runtime, createdAtMs: clock.wallMs(), bootId, remap })
  }

  async #createOrDestroy(
    container: Container,
    files: readonly FileMount[],
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await this.#createNow(container, files, signal)
    } catch (err) {
      await this.#destroyFailed(container).catch((cause: unknown) =>
        this.#options.log.error(
          { err: cause, containerId: container.id },
          'creation left something',
        ),
      )
      if (this.#containers.get(container.id) === container) this.#containers.delete(container.id)
      throw err
    }
  }

  /** What its end takes back would else be taken from the next container of its name. */
  async #destroyFailed(container: Container): Promise<void> {
    const isThere = container.record.process !== undefined
    const ending = isThere ? killAndWait(container, this.#options.clock) : Promise.resolve()
    await ending.catch(() => {})
    await container.released
    await destroyContainer(this.#options.tools, container)
  }

  async #createNow(
    container: Container,
    files: readonly FileMount[],
    signal: AbortSignal,
  ): Promise<void> {
    const { images, assembler, seccomp, tools } = this.#options
    const { paths } = container
    const { config } = container.record
    const goOn = (): void => {
      if (signal.aborted) throw cancelled(`creation of container ${config.name}`)
    }
    goOn()
    const image = await images.forContainer(config, (id) =>
      container.update({ image: { ...container.record.image, id } }),
    )
    const { health, ports, stopSignal: usualSignal } = await images.store.config(image)
    const stopSignal = config.stopSignal || usualSignal
    container.update({
      image: await images.store.resolved(config.image, image),
      stopSignal: parseSignal(stopSignal || 'SIGTERM'),
      imageHealth: health,
      imagePorts: ports,
    })
    reachFaultPoint('create.image')
    await mkdir(paths.diskDir, { mode: 0o711 })
    reachFaultPoint('create.disk-folder')
    mkdirSync(paths.bundleDir, { mode: 0o711 })
    reachFaultPoint('create.bundle-folder')
    await container.save('memory')
    const {
      layers,
      seccomp: filter,
      groupFiles,
      userns,
      parts,
    } = await assembler.assemble({
      config,
      files,
      image,
      paths,
      runtime: container.runtime,
      userns: container.record.userns,
      onAnonymousVolume: (name) =>
        container.update({ anonymousVolumes: [...container.record.anonymousVolumes, name] }),
    })
    if (container.record.anonymousVolumes.length > 0) {
      await container.save('memory')
    }
    goOn()
    const { id, tty = false, openStdin = false } = config
    const keepsLog = config.log?.kind !== 'none'
    const journalName = writesJournal(config.log) ? config.name : undefined
    const { runtime } = container
    const how = { tty, openStdin, keepsLog, journalName, ...(userns && { userns }) }
    const request = { id, runtime, paths, layers, ...how }
    const pid = await tools.runtime.create(request, signal)
    await Promise.all([writeGroupFiles(groupFiles), checkParts(pid, parts)])
    this.#identify(container, pid)
    await this.#attach(container, signal)
    reachFaultPoint('create.attached')
    goOn()
    container.update({ phase: 'created' })
    await Promise.all([container.save('disk'), seccomp.learn(filter, config.id)])
  }

  async #startNow(container: Container): Promise<void> {
    if (container.record.phase === 'started') return
    // Before, so that it does not lie after the end.
    const startedAtMs = this.#options.clock.wallMs()
    try {
      await this.#options.tools.runtime.start(container)
    } catch (err) {
      container.starting = undefined
      throw err
    }
    // A short one may have ended already.
    const { exit } = container.record
    const atMs = Math.min(startedAtMs, exit?.finishedAtMs ?? startedAtMs)
    container.update({ startedAtMs: atMs, ...(exit === undefined ? { phase: 'started' } : {}) })
    await container.save(exit === undefined ? 'memory' : 'disk')
  }

  #identify(container: Container, pid: number): void {
    const monitorPid = Number(readFileSync(`${container.paths.bundleDir}/conmon.pid`, 'utf8'))
    const process = identifyProcess(pid)
    const monitor = identifyProcess(monitorPid)
    if (process === undefined || monitor === undefined) {
      throw new SwarmError('INTERNAL', `container ${container.id} ended while it was made`)
    }
    container.update({ process, monitor })
  }

  async #attach(container: Container, signal: AbortSignal): Promise<void> {
    const request = attachRequest(container)
    if (request === undefined) return
    await portsGivenBack(request.ports, this.#containers.values())
    const attachment = await this.#options.tools.network.attach(request, signal)
    container.update({ attachment })
    await writeEtcFiles(container.record.config, container.paths, attachment)
  }

  /** Its networks are others now: its files say so. */
  async #wire(
    container: Container,
    before: NetworkAttachment | undefined,
    attachment: NetworkAttachment,
  ): Promise<void> {
    container.update({ attachment })
    await container.save('memory')
    await changeEtcFiles(container.record.config, container.paths, { before, attachment })
  }

  #exited(container: Container, exit: ExitStatus): void {
    const { log, tools } = this.#options
    // Times of files are those of the last tick of the kernel, up to 10 ms ago.
    const finishedAtMs = Math.max(exit.finishedAtMs, container.record.startedAtMs ?? 0)
    container.update({ phase: 'exited', exit: { ...exit, finishedAtMs } })
    log.debug({ containerId: container.id, ...exit }, 'container ended')
    container.released = releaseContainer(tools, container).catch((err: unknown) =>
      // Its removal does the same again.
      log.error({ err, containerId: container.id }, 'container not fully released'),
    )
  }

  async #removeNow(container: Container): Promise<void> {
    const isThere = await container.created.then(
      () => true,
      () => false,
    )
    // Its failed creation has removed it.
    if (!isThere) return
    await killAndWait(container, this.#options.clock)
    await container.released
    await destroyContainer(this.#options.tools, container)
    this.#containers.delete(container.id)
  }

  #usersOf(imageId: string): readonly ImageUser[] {
    return [...this.#containers.values()]
      .filter((one) => one.record.image.id === imageId)
      .map((one) => ({ containerId: one.id, running: one.record.exit === undefined }))
  }

  #liveAttachments() {
    return [...this.#containers.values()].flatMap((container) => {
      const { attachment, exit } = container.record
      const request = attachRequest(container)
      if (attachment === undefined || exit !== undefined || request === undefined) return []
      return [{ request, attachment }]
    })
  }
}

function attachRequest(container: Container): AttachRequest | undefined {
  const { config } = container.record
  if (config.network.kind !== 'attached') return undefined
  const { endpoints, ports } = config.network
  const { pid } = container.process
  const nameservers = config.dns?.nameservers ?? []
  return { containerId: container.id, name: config.name, pid, endpoints, ports, nameservers }
}

function keepsNoLog(name: string): SwarmError {
  return new SwarmError('UNSUPPORTED', `container ${name} keeps no output: its log driver is none`)
}

function cancelled(what: string): SwarmError {
  return new SwarmError('CANCELLED', `${what} was given up`)
}
