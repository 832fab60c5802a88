// crun (or runc) and conmon: the commands that make, start and take away a container. Knows nothing of images, networks
// or records.
import { mkdir, writeFile } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'
import type { Clock } from '../../../proto/lib/clock.ts'
import type { Logger } from '../../../proto/lib/log.ts'
import type { RuntimeName } from '../../../proto/spec/runtime-names.ts'
import { reachFaultPoint } from '../../fault-points.ts'
import type { LowerLayers } from '../../image/image-store.ts'
import type { SpawnHelper, SpawnOptions, SpawnResult } from '../spawn/spawn-helper.ts'
import type { CgroupVersion } from './cgroups.ts'
import { endCreation, rootfsVariable } from './creation-processes.ts'
import { openGate } from './exec-fifo.ts'
import { runtimeError } from './oci-errors.ts'
import type { ContainerPaths, HostPaths } from './paths.ts'
import { rootVariables, rootWrapper } from './root-wrapper.ts'
import { usernsComplaint } from './shifted-mounts.ts'
import type { UsernsCreation } from './user-namespace.ts'
import { usernsVariables, writeUsernsWrapper } from './userns-wrapper.ts'

export interface OciRuntimeOptions {
  /** Absolute paths of those that the host has. */
  readonly runtimes: ReadonlyMap<RuntimeName, string>
  /** Of containers that ask for none. */
  readonly usual: RuntimeName
  /** Absolute. */
  readonly conmonPath: string
  readonly host: HostPaths
  readonly helper: SpawnHelper
  readonly cgroups: CgroupVersion
  readonly clock: Clock
  readonly log: Logger
  /** How long a creation may take. */
  readonly createTimeoutMs: number
  /** How long any other command of the runtime may take. */
  readonly commandTimeoutMs: number
}

/** A container, and what made it. */
export interface MadeBy {
  readonly id: string
  readonly runtime: RuntimeName
}

export interface CreateRequest extends MadeBy {
  readonly paths: ContainerPaths
  readonly layers: LowerLayers
  readonly tty: boolean
  readonly keepsLog: boolean
  /** Set: what it writes goes to the host's journal too, as of a container of this name. */
  readonly journalName: string | undefined
  readonly openStdin: boolean
  /** Set: it gets a user namespace of its own. */
  readonly userns?: UsernsCreation
}

export class OciRuntime {
  readonly #options: OciRuntimeOptions

  constructor(options: OciRuntimeOptions) {
    this.#options = options
  }

  /** The one that is asked for, or the usual one. `name`: the container. Errors: UNSUPPORTED. */
  choose(name: string, wanted: RuntimeName | undefined): RuntimeName {
    const { runtimes, usual } = this.#options
    if (wanted === undefined || runtimes.has(wanted)) return wanted ?? usual
    throw new SwarmError(
      'UNSUPPORTED',
      `${name} asks for the runtime ${wanted}, which this host does not have: apt-get install ${wanted} and start ` +
        'the daemon again, or leave it out',
    )
  }

  /** Those that the host has, the usual one first. */
  names(): readonly RuntimeName[] {
    const { runtimes, usual } = this.#options
    return [usual, ...[...runtimes.keys()].filter((name) => name !== usual)]
  }

  /** Absolute. Errors: HOST_UNFIT when it is there no more. */
  pathOf(runtime: RuntimeName): string {
    const path = this.#options.runtimes.get(runtime)
    if (path !== undefined) return path
    throw new SwarmError('HOST_UNFIT', `this host has no ${runtime}: apt-get install ${runtime}`)
  }

  /** Writes the wrapper. */
  async open(): Promise<void> {
    const { wrapperPath, usernsWrapperPath, runtimeDir } = this.#options.host
    await mkdir(wrapperPath.slice(0, wrapperPath.lastIndexOf('/')), { recursive: true })
    await writeFile(wrapperPath, rootWrapper)
    await writeUsernsWrapper(usernsWrapperPath)
    await mkdir(runtimeDir, { recursive: true, mode: 0o700 })
  }

  /**
   * Makes the container: its first process waits for start. Its number. A failure leaves no process.
   * Errors: INVALID_ARGUMENT when the command is not in the image, UNSUPPORTED when a volume cannot be had in a user
   * namespace, DEADLINE_EXCEEDED, CANCELLED, INTERNAL.
   */
  async create(request: CreateRequest, signal: AbortSignal): Promise<number> {
    const { helper, createTimeoutMs } = this.#options
    const { paths, layers, runtime, userns } = request
    const lower = layers.lowers.join(':')
    const creation = helper.spawn(this.#conmonArgv(request), {
      timeoutMs: createTimeoutMs,
      syncPipe: true,
      signal,
      env: {
        PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        _OCI_SYNCPIPE: '3',
        // Log lines are stamped in UTC.
        TZ: 'UTC',
        // Newer mount programs would hand options over in pieces of 256 bytes, too short for many layers.
        LIBMOUNT_FORCE_MOUNT2: 'always',
        TSSWARM_RUNTIME: this.pathOf(runtime),
        TSSWARM_LAYERS: layers.overlayDir,
        // volatile: nothing of a container survives a crash of the host, so its writes need no sync.
        TSSWARM_OVERLAY: `lowerdir=${lower},upperdir=${paths.upperDir},workdir=${paths.workDir},volatile`,
        [rootfsVariable]: paths.rootfsDir,
        ...(userns === undefined ? rootVariables : usernsVariables(userns, paths.placeDir)),
      },
    })
    reachFaultPoint('runtime.create.asked')
    const result = await creation
    reachFaultPoint('runtime.create')
    const { data = 0, message } = syncLine(result)
    if (data > 0) return data
    // Nobody said that it is over: conmon and what it runs may be at it still.
    if (message === undefined) await this.#endCreation(paths)
    if (signal.aborted) {
      throw new SwarmError('CANCELLED', `creation of container ${request.id} was given up`)
    }
    if (result.cutShort === 'timeout') throw hangs(request.id, createTimeoutMs)
    throw creationError(request.id, message ?? result.stderr)
  }

  /** Errors: INVALID_ARGUMENT, DEADLINE_EXCEEDED, INTERNAL. */
  async start({ id, runtime }: MadeBy): Promise<void> {
    if (runtime === 'crun' && (await this.#letGo(id))) {
      reachFaultPoint('runtime.start')
      return
    }
    const result = await this.#runtime(runtime, ['start', id])
    reachFaultPoint('runtime.start')
    if (result.code !== 0) throw this.#failure(`start of container ${id}`, result)
  }

  /** Runs the process of that file in a running container, noting its number in another. Errors: HOST_UNFIT. */
  async exec(
    { id, runtime }: MadeBy,
    files: { readonly processPath: string; readonly pidPath: string },
    options: SpawnOptions,
  ): Promise<SpawnResult> {
    const { host, helper } = this.#options
    const { processPath, pidPath } = files
    const exec = ['exec', '--process', processPath, '--pid-file', pidPath, id]
    const path = this.pathOf(runtime)
    return await helper.spawn([path, '--root', host.runtimeDir, ...exec], options)
  }

  /** Forgets it, with its cgroups; kills what is left of it. A no-op on an unknown one. Errors: DEADLINE_EXCEEDED, INTERNAL. */
  async delete({ id, runtime }: MadeBy): Promise<void> {
    const result = await this.#runtime(runtime, ['delete', '--force', id])
    if (result.code === 0 || /does not exist|No such file/i.test(result.stderr)) return
    throw this.#failure(`removal of container ${id}`, result)
  }

  /** Undefined when the runtime does not know it. */
  async status({
    id,
    runtime,
  }: MadeBy): Promise<'creating' | 'created' | 'running' | 'stopped' | undefined> {
    const result = await this.#runtime(runtime, ['state', id])
    if (result.code !== 0) return undefined
    const { status }: { readonly status: 'creating' | 'created' | 'running' | 'stopped' } =
      JSON.parse(result.stdout)
    return status
  }

  /** False: it takes the runtime itself, if only to say why not. */
  async #letGo(id: string): Promise<boolean> {
    switch (openGate(`${this.#options.host.runtimeDir}/${id}`)) {
      case 'opened':
        return true
      case 'passed':
        return (await this.status({ id, runtime: 'crun' })) === 'running'
      case 'unknown':
        return false
    }
  }

  async #endCreation(paths: ContainerPaths): Promise<void> {
    const { cgroups, clock, log } = this.#options
    if (await endCreation(paths, cgroups, clock)) return
    log.warn({ bundleDir: paths.bundleDir }, 'processes of a failed creation do not end')
  }

  async #runtime(runtime: RuntimeName, args: readonly string[]): Promise<SpawnResult> {
    const { host, helper, commandTimeoutMs } = this.#options
    const argv = [this.pathOf(runtime), '--root', host.runtimeDir, ...args]
    const result = helper.spawn(argv, { timeoutMs: commandTimeoutMs })
    reachFaultPoint(`runtime.${args[0]}.asked`)
    return await result
  }

  #failure(what: string, { cutShort, stderr }: SpawnResult): SwarmError {
    if (cutShort !== 'timeout') return runtimeError(what, stderr)
    return new SwarmError(
      'DEADLINE_EXCEEDED',
      `${what} was ended: the runtime did not finish it within ${this.#options.commandTimeoutMs / 1000} s; ` +
        'the disk or the kernel of this host may hang (see dmesg)',
    )
  }

  #conmonArgv(request: CreateRequest): readonly string[] {
    const { id, paths, tty, openStdin, keepsLog, journalName, userns } = request
    const { conmonPath, host } = this.#options
    return [
      ...[conmonPath, '--api-version', '1', '-c', id, '-u', id, '-n', journalName ?? id],
      ...[...runtimeWords(host, userns), '-b', paths.bundleDir],
      ...['-p', `${paths.bundleDir}/pidfile`, '-P', `${paths.bundleDir}/conmon.pid`],
      ...['-l', keepsLog ? `k8s-file:${paths.logPath}` : 'none', '--exit-dir', host.exitsDir],
      ...(journalName === undefined ? [] : ['-l', 'journald:']),
      // Without --full-attach it would leave a link for each container in a folder of sockets.
      ...['--persist-dir', paths.persistDir, '--full-attach', '--log-level', 'error'],
      // Else it syncs the log before it tells of the end: 14 of 40 ms from start to end of a short container. What it
      // has written survives the death of any process; of a host that loses power the newest lines may be missing
      // either way, because nothing syncs while a container runs.
      '--no-sync-log',
      ...(tty ? ['-t'] : []),
      // Open also after a client that wrote to it: the next one may come. Swarm's tasks have no "stdin once".
      ...(openStdin ? ['-i', '--leave-stdin-open'] : []),
    ]
  }
}

/** What conmon runs as its runtime: the program, and what goes before its own `create …`. */
function runtimeWords(
  { wrapperPath, usernsWrapperPath, runtimeDir }: HostPaths,
  userns: UsernsCreation | undefined,
): readonly string[] {
  const [program, ...args] =
    userns === undefined
      ? ['/usr/bin/perl', wrapperPath]
      : ['/usr/bin/unshare', '--mount', '--propagation', 'slave', usernsWrapperPath]
  const all = [...args, '--root', runtimeDir].flatMap((arg) => ['--runtime-arg', arg])
  return ['-r', program, ...all]
}

function creationError(id: string, text: string): SwarmError {
  const what = `creation of container ${id}`
  const at = text.indexOf(usernsComplaint)
  if (at < 0) return runtimeError(what, text)
  return new SwarmError('UNSUPPORTED', `${what} failed: ${text.slice(at).trim()}, or --userns host`)
}

function hangs(id: string, ms: number): SwarmError {
  return new SwarmError(
    'DEADLINE_EXCEEDED',
    `creation of container ${id} was ended: conmon and its runtime did not finish it within ${ms / 1000} s; ` +
      'the disk or the kernel of this host may hang (see dmesg)',
  )
}

interface SyncLine {
  readonly data?: number
  readonly message?: string
}

/** conmon's line on the sync pipe: `{"data": pid}` or `{"data": -1, "message": …}`; empty when there was none. */
function syncLine(result: SpawnResult): SyncLine {
  try {
    return JSON.parse(result.sync)
  } catch {
    return {}
  }
}
