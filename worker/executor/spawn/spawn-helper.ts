// Runs programs through a small helper process instead of forking the daemon itself: a fork of a
// Node process blocks its event loop for 1 ms at 50 MB and 7 ms at 350 MB. Not for programs that
// stay or that stream. What the helper is: helper-program.ts.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import { SwarmError } from '../../../proto/errors.ts'
import type { RunCommand } from '../../../proto/lib/command.ts'
import { encodeFields, FieldReader } from './frames.ts'
import { helperArgv, helperProgram } from './helper-program.ts'
import {
  answerOf,
  cancelFields,
  requestFields,
  type SpawnAnswer,
  type SpawnRequest,
} from './messages.ts'

export interface SpawnOptions {
  /** Replaces the environment; default: a PATH of the system's folders. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** File of a network namespace, as the helper sees it: it is run in there. */
  readonly netns?: string
  /** Kernel settings that are written first, in that namespace: absolute paths of files that are there. */
  readonly settings?: ReadonlyMap<string, string>
  readonly input?: string
  /** Then it is killed; default 10,000. */
  readonly timeoutMs?: number
  /** Gives the program a pipe as descriptor 3 and answers with its first line. */
  readonly syncPipe?: boolean
  /** Kills it. */
  readonly signal?: AbortSignal
  /** Of each stream; default 32 MiB. */
  readonly outputBytesMax?: number
  /** Default `work`. */
  readonly lane?: Lane
}

/**
 * Programs wait for others of their lane only. `work`: short ones that others wait for. `network`: changes of the kernel's network,
 * which are never behind starts of containers and pulls of images, and have the daemon's priority. `probe`: of containers, which may
 * hang until their time is over.
 */
export type Lane = 'work' | 'network' | 'probe'

export type SpawnResult = SpawnAnswer

export interface SpawnHelper {
  /**
   * Runs a program to its end; never rejects. At most `runningMax` of its lane run at a time, the others wait.
   */
  spawn(argv: readonly string[], options?: SpawnOptions): Promise<SpawnResult>
  /** The same in the common form. */
  readonly run: RunCommand
  /** Ends the helper and whatever it runs. */
  close(): Promise<void>
}

export interface SpawnHelperOptions {
  /** Of the lane `work`; default 8. */
  readonly runningMax?: number
  /** cgroup folders the helper, and so conmon, lives in: `/sys/fs/cgroup/…`; made when missing. */
  readonly cgroupDirs?: readonly string[]
  /** Absolute; what the helper runs sees them on a read-only mount, where the kernel allows it. */
  readonly readOnlyPrograms?: readonly string[]
}

const systemPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const queuedMax = 10_000
const outputBytesMax = 32 * 1024 * 1024
const networkMax = 8
const probesMax = 80

/**
 * The helper sees the host's mounts come and go, but not the second cgroup tree of hosts that have both versions: crun
 * refuses such hosts, and there it takes a mount namespace to hide it.
 */
export const inPrivateMounts: readonly string[] = [
  ...['--mount', '--propagation', 'slave', '/bin/sh', '-c'],
  '[ ! -d /sys/fs/cgroup/unified ] || umount /sys/fs/cgroup/unified; exec "$@"',
  'spawn-helper',
]
/**
 * Arguments up to `--` are programs that nothing can be written to from here on. crun makes sure of that each time it runs: else it
 * mounts itself read-only and runs itself anew, half of what `crun start` costs. Whoever replaces the file (an update of its
 * package) takes the mount away with it.
 */
const withReadOnly: readonly string[] = [
  ...['/bin/sh', '-c'],
  'while [ "$1" != -- ]; do mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"; shift; done 2>/dev/null; ' +
    'shift; exec "$@"',
  'spawn-helper',
]

interface LaneState {
  readonly max: number
  running: number
  readonly waiting: Job[]
}

interface Job {
  readonly request: SpawnRequest
  readonly lane: LaneState
  readonly resolve: (result: SpawnResult) => void
}

/**
 * Starts the helper at the first use, and again should it die; what it ran then ends with code -1.
 */
export function createSpawnHelper(options: SpawnHelperOptions = {}): SpawnHelper {
  const runner = new Runner(options)
  return {
    spawn: (argv, spawnOptions) => runner.submit(argv, spawnOptions ?? {}),
    run: (argv, commandOptions) => runner.submit(argv, commandOptions ?? {}),
    close: () => runner.close(),
  }
}

class Runner {
  readonly #options: SpawnHelperOptions
  readonly #lanes: Readonly<Record<Lane, LaneState>>
  readonly #running = new Map<number, Job>()
  #child: ChildProcess | undefined
  #channel: Duplex | undefined
  #nextId = 1
  #closed = false

  constructor(options: SpawnHelperOptions) {
    this.#options = options
    this.#lanes = {
      work: { max: options.runningMax ?? 8, running: 0, waiting: [] },
      network: { max: networkMax, running: 0, waiting: [] },
      probe: { max: probesMax, running: 0, waiting: [] },
    }
  }

  submit(argv: readonly string[], options: SpawnOptions): Promise<SpawnResult> {
    if (this.#closed) return Promise.resolve(failure('the spawn helper is closed'))
    if (options.signal?.aborted) return Promise.resolve(failure('aborted before its start'))
    if (argv.length === 0) return Promise.resolve(failure('empty command'))
    const words = [...argv, ...Object.entries(options.env ?? {}).flat(), options.cwd ?? '']
    if (words.some((word) => word.includes('\0'))) {
      return Promise.resolve(failure('a word of the command holds a zero byte'))
    }
    const lane = this.#lanes[options.lane ?? 'work']
    if (lane.waiting.length >= queuedMax) return Promise.resolve(failure('too many wait'))
    const id = this.#nextId++
    const request: SpawnRequest = {
      id,
      argv,
      env: options.env ?? { PATH: systemPath },
      cwd: options.cwd ?? '/',
      netns: options.netns ?? '',
      settings: options.settings ?? new Map(),
      input: options.input ?? '',
      timeoutMs: options.timeoutMs ?? 10_000,
      syncPipe: options.syncPipe ?? false,
      isUrgent: lane === this.#lanes.network,
      outputBytesMax: options.outputBytesMax ?? outputBytesMax,
    }
    return new Promise((resolve) => {
      const abort = (): void => this.#cancel(id, lane)
      options.signal?.addEventListener('abort', abort, { once: true })
      const finish = (result: SpawnResult): void => {
        options.signal?.removeEventListener('abort', abort)
        resolve(result)
      }
      lane.waiting.push({ request, lane, resolve: finish })
      this.#pump(lane)
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    const child = this.#child
    if (child === undefined) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    this.#channel?.destroy()
    await ended
  }

  #cancel(id: number, { waiting }: LaneState): void {
    if (this.#running.has(id)) {
      this.#channel?.write(encodeFields(cancelFields(id)))
      return
    }
    const index = waiting.findIndex((job) => job.request.id === id)
    const [job] = index < 0 ? [] : waiting.splice(index, 1)
    job?.resolve(failure('aborted before its start'))
  }

  #pump(lane: LaneState): void {
    while (lane.running < lane.max) {
      const job = lane.waiting.shift()
      if (job === undefined) return
      try {
        this.#channel ??= this.#startHelper()
      } catch (err) {
        job.resolve(failure(err instanceof Error ? err.message : String(err)))
        continue
      }
      this.#running.set(job.request.id, job)
      lane.running += 1
      this.#channel.write(encodeFields(requestFields(job.request)))
    }
  }

  #startHelper(): Duplex {
    const { readOnlyPrograms = [] } = this.#options
    const guard = readOnlyPrograms.length > 0 ? [...withReadOnly, ...readOnlyPrograms, '--'] : []
    const argv = [...inPrivateMounts, ...guard, ...helperArgv]
    const child = spawn('unshare', argv, {
      stdio: ['pipe', 'ignore', 'inherit', 'pipe'],
      env: { PATH: systemPath },
      // A session of its own: that of a daemon may go before others.
      detached: true,
    })
    const channel = child.stdio[3]
    if (channel === undefined || channel === null || !('write' in channel)) {
      throw new SwarmError('INTERNAL', 'cannot start the spawn helper: no channel')
    }
    try {
      this.#joinCgroups(child)
    } catch (err) {
      child.kill('SIGKILL')
      child.stdin?.destroy()
      channel.destroy()
      throw err
    }
    // One that ends early is told of below.
    child.stdin?.on('error', () => {})
    child.stdin?.end(helperProgram)
    const frames = new FieldReader()
    channel.on('data', (chunk: Buffer) => {
      for (const [id, ...fields] of frames.push(chunk)) this.#answered(Number(id), fields)
    })
    // The exit event tells; an error here only says the same earlier.
    channel.on('error', () => {})
    child.on('error', (err) => this.#helperEnded(child, err.message))
    child.on('exit', (code, signal) => this.#helperEnded(child, `exit ${code ?? signal}`))
    this.#child = child
    return channel as Duplex
  }

  #joinCgroups(child: ChildProcess): void {
    if (child.pid === undefined) return
    for (const dir of this.#options.cgroupDirs ?? []) {
      try {
        mkdirSync(dir, { recursive: true })
        writeFileSync(`${dir}/cgroup.procs`, `${child.pid}`)
      } catch (cause) {
        throw new SwarmError(
          'HOST_UNFIT',
          `cannot use the cgroup ${dir} (${cause instanceof Error ? cause.message : cause}): ` +
            'it must be writable, and a daemon under a real-time policy cannot enter it: start it without one',
          { cause },
        )
      }
    }
  }

  #answered(id: number, fields: readonly string[]): void {
    const job = this.#running.get(id)
    if (job === undefined) return
    this.#running.delete(id)
    job.lane.running -= 1
    job.resolve(answerOf(fields, job.request.argv[0] ?? ''))
    this.#pump(job.lane)
  }

  #helperEnded(child: ChildProcess, why: string): void {
    if (this.#child !== child) return
    this.#child = undefined
    this.#channel = undefined
    const lost = [...this.#running.values()]
    this.#running.clear()
    const lanes = Object.values(this.#lanes)
    for (const lane of lanes) lane.running = 0
    for (const job of lost) job.resolve(failure(`the spawn helper ended (${why})`))
    for (const lane of lanes) {
      if (this.#closed) for (const job of lane.waiting.splice(0)) job.resolve(failure('closed'))
      else this.#pump(lane)
    }
  }
}

function failure(stderr: string): SpawnResult {
  return { code: -1, stdout: '', stderr, sync: '' }
}
