// Where a container's things lie. Pure. What holds environment or secrets is in runDir (tmpfs), what must outlive
// memory is in stateDir.
import { SwarmError } from '../../../proto/errors.ts'

export interface ExecutorDirs {
  /** On disk. */
  readonly stateDir: string
  /** On tmpfs; its loss means that the host was restarted. */
  readonly runDir: string
  /** Below the root of every cgroup controller, for example `/tsswarm`. */
  readonly cgroupParent: string
}

export interface HostPaths {
  readonly containersDir: string
  readonly bundlesDir: string
  readonly volumesDir: string
  /** One file a finished container, holding its exit code. */
  readonly exitsDir: string
  /** The runtime's own state. */
  readonly runtimeDir: string
  readonly seccompDir: string
  readonly wrapperPath: string
  /** Of containers with a user namespace. */
  readonly usernsWrapperPath: string
}

export interface ContainerPaths {
  /** On disk: log, upper layer. */
  readonly diskDir: string
  readonly upperDir: string
  readonly workDir: string
  readonly logPath: string
  /** Its hosts, hostname and resolv.conf. It can write them: on tmpfs it could fill the memory of all. */
  readonly etcDir: string
  /** What is known after the loss of runDir. */
  readonly diskRecordPath: string
  /** On tmpfs: OCI bundle and record. */
  readonly bundleDir: string
  readonly rootfsDir: string
  readonly persistDir: string
  /** Of one with a user namespace: where layers and volumes are mounted with shifted owners. */
  readonly placeDir: string
  readonly recordPath: string
  /** On tmpfs: files that were given to it. */
  readonly filesDir: string
  readonly exitPath: string
  /** What the runtime notes of it. */
  readonly runtimeDir: string
  /** Below the root of every cgroup controller. */
  readonly cgroupPath: string
}

export function hostPaths({ stateDir, runDir }: ExecutorDirs): HostPaths {
  return {
    containersDir: `${stateDir}/containers`,
    bundlesDir: `${runDir}/containers`,
    volumesDir: `${stateDir}/volumes`,
    exitsDir: `${runDir}/exits`,
    runtimeDir: `${runDir}/oci`,
    seccompDir: `${runDir}/seccomp`,
    // Not in runDir: /run is often mounted noexec.
    wrapperPath: `${stateDir}/libexec/oci-wrapper`,
    usernsWrapperPath: `${stateDir}/libexec/oci-wrapper-userns`,
  }
}

export function containerPaths(dirs: ExecutorDirs, id: string): ContainerPaths {
  const host = hostPaths(dirs)
  const diskDir = `${host.containersDir}/${id}`
  const bundleDir = `${host.bundlesDir}/${id}`
  return {
    diskDir,
    upperDir: `${diskDir}/upper`,
    workDir: `${diskDir}/work`,
    logPath: `${diskDir}/log`,
    etcDir: `${diskDir}/etc`,
    diskRecordPath: `${diskDir}/record.json`,
    bundleDir,
    rootfsDir: `${bundleDir}/rootfs`,
    persistDir: `${bundleDir}/persist`,
    placeDir: `${bundleDir}/place`,
    recordPath: `${bundleDir}/record.json`,
    filesDir: `${bundleDir}/files`,
    exitPath: `${host.exitsDir}/${id}`,
    runtimeDir: `${host.runtimeDir}/${id}`,
    cgroupPath: `${dirs.cgroupParent}/${id}`,
  }
}

/** Errors: INVALID_ARGUMENT. */
export function checkContainerId(id: string): void {
  if (/^[a-z0-9][a-z0-9_.-]{0,63}$/.test(id)) return
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `container id ${JSON.stringify(id)} must be 1 to 64 of a-z 0-9 _ . - and begin with a letter or digit`,
  )
}

/** Paths that end up in mount options and socket names. Errors: INVALID_ARGUMENT. */
export function checkDirs({ stateDir, runDir, cgroupParent }: ExecutorDirs): void {
  for (const path of [stateDir, runDir, cgroupParent]) {
    if (/^\/[\w./-]+$/.test(path)) continue
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `folder ${JSON.stringify(path)} must be an absolute path of letters, digits and . _ - only`,
    )
  }
}
