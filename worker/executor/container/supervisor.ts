// Sees containers end. conmon writes the exit code to a file of the container's name; a watch on their folder sees it
// within 2 ms. A sweep finds what no notice told: a lost one, and a conmon that was killed.
import { existsSync, type FSWatcher, watch } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import type { Clock, Timer } from '../../../proto/lib/clock.ts'
import type { Logger } from '../../../proto/lib/log.ts'
import { ownPlatform, platformText } from '../../image/platform.ts'
import type { ExitStatus } from '../executor.ts'
import type { Container } from './container.ts'
import { type LogLimits, limitsOf, rotateLog } from './log-rotation.ts'
import { isAlive, pidExists, signalProcess } from './processes.ts'

export interface SupervisorOptions {
  readonly exitsDir: string
  readonly clock: Clock
  readonly log: Logger
  readonly logLimits: LogLimits
  readonly find: (id: string) => Container | undefined
  /** Those that have not ended. */
  readonly living: () => readonly Container[]
  /** Called once for each end. */
  readonly onExit: (container: Container, exit: ExitStatus) => void
}

const sweepEveryMs = 1_000
/** A number of a process may change hands: so often it is compared whole. */
const wholeCheckEvery = 10
const rotateEvery = 5
const sigkill = 9
const killedMonitor = 'its monitor (conmon) died, so the container was killed'

export class Supervisor {
  readonly #options: SupervisorOptions
  #watcher: FSWatcher | undefined
  #timer: Timer | undefined
  #sweeps = 0
  #sweeping: Promise<void> = Promise.resolve()
  #closed = false

  constructor(options: SupervisorOptions) {
    this.#options = options
  }

  open(): void {
    this.#watch()
    this.#plan()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#watcher?.close()
    this.#timer?.cancel()
    await this.#sweeping
  }

  /** What conmon left about the end of a container; undefined when it left nothing. */
  async readExit(container: Container): Promise<ExitStatus | undefined> {
    const { exitPath, persistDir } = container.paths
    try {
      const [text, { mtimeMs }] = await Promise.all([readFile(exitPath, 'utf8'), stat(exitPath)])
      if (!/^-?[0-9]+\s*$/.test(text)) return undefined
      const oomKilled = existsSync(`${persistDir}/oom`)
      const exitCode = Number(text)
      const { foreignPlatform } = container.record.image
      // The kernel tells the program's standard error only that it has a wrong format.
      const isForeign = foreignPlatform !== undefined && exitCode !== 0 && !oomKilled
      const error = `the image is for ${foreignPlatform}, this node is ${platformText(ownPlatform())}`
      const finishedAtMs = Math.round(mtimeMs)
      return { exitCode, oomKilled, finishedAtMs, ...(isForeign ? { error } : {}) }
    } catch {
      return undefined
    }
  }

  #watch(): void {
    const { exitsDir, log } = this.#options
    this.#watcher = watch(exitsDir, (_event, name) => {
      if (name === null) return
      this.#look(name).catch((err: unknown) => log.error({ err, name }, 'exit file not handled'))
    })
    this.#watcher.on('error', (err) => log.error({ err, exitsDir }, 'watch on exit files failed'))
  }

  #plan(): void {
    if (this.#closed) return
    this.#timer = this.#options.clock.setTimer(sweepEveryMs, () => {
      this.#sweeping = this.#sweep()
        .catch((err: unknown) => this.#options.log.error({ err }, 'sweep over containers failed'))
        .finally(() => this.#plan())
    })
  }

  /** Looks at the exit file of that name. */
  async #look(name: string): Promise<void> {
    const container = this.#options.find(name)
    // Unknown names: conmon writes under another name first, and failed creations leave some.
    if (container === undefined || container.record.exit !== undefined) return
    const exit = await this.readExit(container)
    if (exit !== undefined && container.record.exit === undefined) {
      this.#options.onExit(container, exit)
    }
  }

  async #sweep(): Promise<void> {
    this.#sweeps += 1
    for (const name of await readdir(this.#options.exitsDir)) {
      if (this.#options.find(name) !== undefined) await this.#look(name)
    }
    for (const container of this.#options.living()) await this.#checkMonitor(container)
    if (this.#sweeps % rotateEvery === 0) await this.#rotateLogs()
  }

  async #checkMonitor(container: Container): Promise<void> {
    const { monitor, process } = container.record
    if (monitor === undefined) return
    const isWhole = this.#sweeps % wholeCheckEvery === 0
    if (isWhole ? isAlive(monitor) : pidExists(monitor.pid)) return
    // It writes the exit file before it ends.
    await this.#look(container.id)
    if (container.record.exit !== undefined) return
    if (process !== undefined) signalProcess(process, sigkill)
    this.#options.onExit(container, {
      exitCode: -1,
      oomKilled: false,
      finishedAtMs: this.#options.clock.wallMs(),
      error: killedMonitor,
    })
  }

  async #rotateLogs(): Promise<void> {
    const { logLimits, log } = this.#options
    for (const { id, paths, record } of this.#options.living()) {
      const control = `${paths.bundleDir}/ctl`
      const limits = limitsOf(record.config.log, logLimits)
      await rotateLog(paths.logPath, control, limits).catch((err: unknown) =>
        log.error({ err, containerId: id }, 'log not rotated'),
      )
    }
  }
}
