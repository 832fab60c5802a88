// A single node for tests that kill its daemon: a network namespace, folders and a control group of its own.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { loadDaemonConfig } from '../../cli/daemon/config.ts'
import { engineDirs } from '../../cli/daemon/engine.ts'
import { removeCgroups } from '../../cli/lab/cgroups.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { silentLogger } from '../../proto/lib/log.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import type { TaskStatus } from '../../proto/objects/index.ts'
import { openExecutor, purgeExecutor } from '../../worker/executor/container/open.ts'
import { noNetworkAttacher } from '../../worker/executor/network-attacher.ts'
import { faultVariable } from '../../worker/fault-points.ts'
import { enterNamespace } from '../../worker/network/data-plane.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { loadImage } from '../support/executor-host.ts'
import { createBench, eventually, type NetnsBench } from '../support/netns.ts'
import type { NodePaths } from './census.ts'
import type { Wish } from './node-process.ts'

const program = fileURLToPath(new URL('./node-process.js', import.meta.url))
const saidMax = 4_000

export class FrailNode {
  readonly paths: NodePaths
  /** As the daemon's setting. */
  readonly #usernsRemap: string
  readonly #dir: string
  readonly #bench: NetnsBench
  readonly #namespace: string
  #daemon: ChildProcess | undefined
  #ended: Promise<unknown> = Promise.resolve()
  #statuses = new Map<string, TaskStatus>()
  #isReady = false
  /** The end of what it wrote to its log. */
  said = ''

  private constructor(
    bench: NetnsBench,
    namespace: string,
    dirs: readonly [string, string],
    usernsRemap: string,
  ) {
    const [dir, runDir] = dirs
    this.#usernsRemap = usernsRemap
    const name = dir.slice(dir.lastIndexOf('/') + 1).toLowerCase()
    this.paths = { stateDir: `${dir}/state`, runDir, cgroupParent: `/${name}` }
    this.#dir = dir
    this.#bench = bench
    this.#namespace = namespace
  }

  /** With the image test/busybox, and no daemon yet. */
  static async create({ usernsRemap = 'off' } = {}): Promise<FrailNode> {
    const bench = await createBench()
    const dir = await mkdtemp('/var/tmp/tsswarm-frail-')
    const runDir = await mkdtemp('/dev/shm/tsswarm-frail-')
    const namespace = await bench.namespace('host')
    const node = new FrailNode(bench, namespace, [dir, runDir], usernsRemap)
    const { executor, images } = await openExecutor(node.#executorOptions())
    await loadImage(images, await busyboxImage())
    await executor.close()
    return node
  }

  async dispose(): Promise<void> {
    await this.kill()
    await purgeExecutor(this.#executorOptions())
    await this.#bench.run(undefined, ['umount', '--lazy', this.#dataPlane()]).catch(() => {})
    await this.#bench.dispose()
    const group = this.paths.cgroupParent.slice(1)
    // What the last daemon forked ends a moment after it.
    await eventually(async () => removeCgroups(group) === 0, 'its control groups are gone')
    for (const dir of [this.#dir, this.paths.runDir])
      await rm(dir, { recursive: true, force: true })
  }

  /** Starts a daemon; what it reports is forgotten by the next one. */
  start(): void {
    const { stateDir, runDir, cgroupParent } = this.paths
    const argv = [...enterNamespace(this.#namespace), process.execPath, program]
    const [file = '', ...args] = [...[...argv, stateDir, runDir, cgroupParent, this.#usernsRemap]]
    const env = { ...process.env, [faultVariable]: this.#faultFile() }
    const daemon = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], env })
    const statuses = new Map<string, TaskStatus>()
    createInterface({ input: daemon.stdout }).on('line', (line) => {
      if (line === 'ready') {
        this.#isReady = true
        return
      }
      const status: TaskStatus = JSON.parse(line)
      statuses.set(status.taskId, status)
    })
    this.#isReady = false
    daemon.stderr.on('data', (chunk: Buffer) => {
      this.said = `${this.said}${chunk}`.slice(-saidMax)
    })
    // Broken when it is killed: that is what it is there for.
    daemon.stdin.on('error', () => {})
    this.#ended = new Promise((resolve) => daemon.once('exit', resolve))
    this.#statuses = statuses
    this.#daemon = daemon
    this.said = ''
  }

  /** Assigns exactly these tasks. */
  wish(wish: Wish): void {
    this.#daemon?.stdin?.write(`${JSON.stringify(wish)}\n`)
  }

  /** The latest status of each task that this daemon has told of. */
  status(taskId: string): TaskStatus | undefined {
    return this.#statuses.get(taskId)
  }

  /** Whether it has adopted what there is. */
  get isReady(): boolean {
    return this.runs && this.#isReady
  }

  get runs(): boolean {
    const daemon = this.#daemon
    return daemon !== undefined && daemon.exitCode === null && daemon.signalCode === null
  }

  async kill(): Promise<void> {
    this.#daemon?.kill('SIGKILL')
    await this.#ended
  }

  /** The daemon ends at the point, so many ms after it; undefined: nowhere. */
  async arm(
    fault: { readonly point: string; readonly delayMs?: number } | undefined,
  ): Promise<void> {
    const { point, delayMs = 0 } = fault ?? {}
    if (point === undefined) await rm(this.#faultFile(), { force: true })
    else await writeFile(this.#faultFile(), `${point} ${delayMs}\n`)
  }

  #faultFile(): string {
    return `${this.#dir}/fault`
  }

  #dataPlane(): string {
    return `${this.paths.runDir}/network/dataplane.netns`
  }

  #executorOptions() {
    return {
      dirs: engineDirs(loadDaemonConfig({ ...this.paths }, {})),
      clock: systemClock,
      random: systemRandom,
      log: silentLogger,
      network: noNetworkAttacher,
      insecureRegistries: [],
    }
  }
}
