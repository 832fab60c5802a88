// Composes the real executor of one daemon from its folders.
import { existsSync } from 'node:fs'
import { rm, rmdir } from 'node:fs/promises'
import { SwarmError } from '../../../proto/errors.ts'
import type { Clock } from '../../../proto/lib/clock.ts'
import type { Logger } from '../../../proto/lib/log.ts'
import type { Random } from '../../../proto/lib/random.ts'
import { type RuntimeName, runtimeNames } from '../../../proto/spec/runtime-names.ts'
import { bootId } from '../../image/image-transfer.ts'
import { Images } from '../../image/images.ts'
import type { Patience } from '../../image/patience.ts'
import type { RegistryMirror } from '../../image/registries-conf.ts'
import type { ContainerStreams } from '../../streams/container-streams.ts'
import { VolumeStore } from '../../volume/volume-store.ts'
import type { Executor } from '../executor.ts'
import type { NetworkAttacher } from '../network-attacher.ts'
import { createSpawnHelper, type SpawnHelper } from '../spawn/spawn-helper.ts'
import { Assembler } from './assembler.ts'
import { cgroupVersion, monitorCgroupDirs, monitorsPath } from './cgroups.ts'
import { ContainerExecutor } from './container-executor.ts'
import { hostAbilities } from './host-options.ts'
import type { IdMapping } from './id-mapping.ts'
import type { LogLimits } from './log-rotation.ts'
import { OciRuntime } from './oci-runtime.ts'
import { checkDirs, type ExecutorDirs, hostPaths } from './paths.ts'
import { prepareRunDir, releaseRunDir, runFolders } from './run-dir.ts'
import { RunningContainers } from './running-containers.ts'
import { SeccompCache } from './seccomp-cache.ts'
import { tryUserns } from './userns-wrapper.ts'

export interface OpenExecutorOptions {
  readonly dirs: ExecutorDirs
  readonly clock: Clock
  readonly random: Random
  readonly log: Logger
  readonly network: NetworkAttacher
  /** Registries (`host[:port]`) that speak plain HTTP or have no trusted certificate. */
  readonly insecureRegistries: readonly string[]
  /** Default: none. */
  readonly registryMirrors?: readonly RegistryMirror[]
  /** With registries that images are pulled from. */
  readonly patience?: Patience
  /** Of containers that ask for none. Default crun. */
  readonly runtime?: RuntimeName
  /** Users of the containers made from now on; default: those of the host. */
  readonly remap?: IdMapping | undefined
  /** Its program, absolute; default: where the host has it. */
  readonly runtimePath?: string
  /** A creation that takes longer is ended; default 60,000. */
  readonly createTimeoutMs?: number
  /** Any other command of the runtime that takes longer is ended; default 30,000. */
  readonly commandTimeoutMs?: number
  /** Default 10 MB, 3 files. */
  readonly logLimits?: LogLimits
  /** Default: the first that the host has. */
  readonly initPath?: string
}

export interface OpenedExecutor {
  readonly executor: Executor
  readonly streams: ContainerStreams
  readonly images: Images
  readonly volumes: VolumeStore
  /** That containers here can have, the usual one first. */
  readonly runtimes: readonly RuntimeName[]
  /**
   * For others who must not fork the daemon; ends with the executor. It lives in a mount namespace of its own: the host
   * does not see what is mounted through it.
   */
  readonly helper: SpawnHelper
}

const defaultLogLimits: LogLimits = { bytesMax: 10_000_000, filesMax: 3 }
const creationsMax = 4
const defaultCreateTimeoutMs = 60_000
const defaultCommandTimeoutMs = 30_000
const initPaths = [
  '/usr/bin/catatonit',
  '/usr/libexec/podman/catatonit',
  '/usr/libexec/catatonit/catatonit',
  '/usr/bin/tini-static',
  '/usr/bin/docker-init',
]
const seccompProfilePath = '/usr/share/containers/seccomp.json'
const binDirs = ['/usr/bin', '/usr/sbin', '/usr/local/bin', '/usr/libexec/podman', '/bin']

/** Opens it and adopts what a former daemon left. Errors: HOST_UNFIT, INVALID_ARGUMENT. */
export async function openExecutor(options: OpenExecutorOptions): Promise<OpenedExecutor> {
  const { dirs } = options
  checkDirs(dirs)
  const place = await prepareRunDir(dirs)
  if (place.kind === 'on disk') {
    options.log.warn(
      { runDir: dirs.runDir, why: place.why },
      'run folder is not on tmpfs: environments go to disk',
    )
  }
  const version = cgroupVersion()
  const runtimes = runtimePaths(options)
  const crun = runtimes.get('crun')
  const helper = createSpawnHelper({
    readOnlyPrograms: crun === undefined ? [] : [crun],
    cgroupDirs: monitorCgroupDirs(dirs, version),
  })
  try {
    const images = new Images({
      ...options,
      helper,
      paths: imagePaths(dirs),
      buildCgroup: `${dirs.cgroupParent}/builds`,
    })
    await images.open()
    const { clock, random } = options
    const volumes = new VolumeStore({ dir: hostPaths(dirs).volumesDir, helper, clock, random })
    await volumes.open()
    const runtime = ociRuntime(options, runtimes, helper)
    // Before containers are adopted: a refusal leaves everything as it is.
    if (options.remap !== undefined) await tryUserns(helper, options.remap, dirs.stateDir)
    const executor = await compose(options, { images, volumes, helper, runtime })
    await executor.open()
    const streams = new RunningContainers({
      find: (id) => executor.running(id),
      pathOf: (name) => runtime.pathOf(name),
      runtimeDir: hostPaths(dirs).runtimeDir,
      helper,
      cgroups: version,
      clock: options.clock,
    })
    return { executor, streams, images, volumes, runtimes: runtime.names(), helper }
  } catch (err) {
    await helper.close()
    throw err
  }
}

/**
 * Ends and removes all containers of these folders, and their images and volumes: nothing is left, also of a daemon
 * that was killed. Errors: as openExecutor.
 */
export async function purgeExecutor(options: OpenExecutorOptions): Promise<void> {
  const { executor, images } = await openExecutor(options)
  for (const { id } of await executor.list()) await executor.remove(id)
  await executor.close()
  const { stateDir, runDir } = options.dirs
  const host = hostPaths(options.dirs)
  const { paths } = images.store
  const folders = [
    ...[host.containersDir, host.volumesDir, paths.rootDir, paths.stateDir],
    ...[`${stateDir}/libexec`, ...runFolders(options.dirs)],
  ]
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
  await releaseRunDir(runDir)
  // The daemon may keep other things there.
  for (const dir of [stateDir, runDir]) await rmdir(dir).catch(() => {})
}

async function compose(
  options: OpenExecutorOptions,
  parts: Pick<OpenedExecutor, 'images' | 'volumes' | 'helper'> & { readonly runtime: OciRuntime },
): Promise<ContainerExecutor> {
  const { dirs, random, network } = options
  const { images, volumes, helper, runtime } = parts
  const host = hostPaths(dirs)
  const seccomp = new SeccompCache({
    profilePath: seccompProfilePath,
    dir: host.seccompDir,
    runtimeDir: host.runtimeDir,
  })
  const assembler = new Assembler({
    store: images.store,
    volumes,
    seccomp,
    random,
    host: await hostAbilities(cgroupVersion(), monitorsPath(dirs)),
    initPath: options.initPath ?? initPaths.find((path) => existsSync(path)) ?? '',
  })
  return new ContainerExecutor({
    ...options,
    bootId: await bootId(),
    remap: options.remap,
    images,
    assembler,
    seccomp,
    tools: { runtime, network, volumes, helper, cgroups: cgroupVersion() },
    logLimits: options.logLimits ?? defaultLogLimits,
    creationsMax,
  })
}

/** Those that the host has. Errors: HOST_UNFIT without the usual one. */
function runtimePaths(options: OpenExecutorOptions): ReadonlyMap<RuntimeName, string> {
  const { runtime: usual = 'crun', runtimePath = binary(usual) } = options
  const found = runtimeNames.flatMap((name) => {
    const path = name === usual ? runtimePath : binaryPath(name)
    return path === undefined ? [] : [[name, path] as const]
  })
  return new Map(found)
}

function ociRuntime(
  options: OpenExecutorOptions,
  runtimes: ReadonlyMap<RuntimeName, string>,
  helper: SpawnHelper,
): OciRuntime {
  return new OciRuntime({
    runtimes,
    usual: options.runtime ?? 'crun',
    conmonPath: binary('conmon'),
    host: hostPaths(options.dirs),
    helper,
    cgroups: cgroupVersion(),
    clock: options.clock,
    log: options.log,
    createTimeoutMs: options.createTimeoutMs ?? defaultCreateTimeoutMs,
    commandTimeoutMs: options.commandTimeoutMs ?? defaultCommandTimeoutMs,
  })
}

/** Images in the state folder, what must be forgotten with a restart in the run folder. */
function imagePaths({ stateDir, runDir }: ExecutorDirs) {
  return {
    rootDir: `${stateDir}/images`,
    runDir: `${runDir}/images`,
    stateDir: `${stateDir}/image-state`,
  }
}

function binaryPath(name: string): string | undefined {
  return binDirs.map((dir) => `${dir}/${name}`).find((one) => existsSync(one))
}

function binary(name: string): string {
  const path = binaryPath(name)
  if (path !== undefined) return path
  throw new SwarmError('HOST_UNFIT', `this host has no ${name}: apt-get install ${name}`)
}
