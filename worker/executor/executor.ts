// The contract between an agent's task manager and whatever runs containers: real (container/) or
// simulated (fake/). Not for networks (network-attacher.ts) and not for what users type
// (proto/spec).
import type { RegistryAuth } from '../../proto/codec/registry-login.ts'
import type { LogAttributes, LogKeeping } from '../../proto/spec/log-driver-spec.ts'
import type { RuntimeName } from '../../proto/spec/runtime-names.ts'
import type { SecuritySpec } from '../../proto/spec/security-spec.ts'
import type { TuningSpec } from '../../proto/spec/tuning-spec.ts'
import type {
  ContainerNetwork,
  EndpointConfig,
  HostPort,
  NetworkAttachment,
} from './network-attacher.ts'

/** Of containers of the cluster: whose they are. */
export const serviceIdLabel = 'com.docker.swarm.service.id'

/** What a container is made of. Defaults of the image are merged in by the executor. */
export interface ContainerConfig {
  /** 1 to 64 of [a-z0-9_.-]; chosen by the caller, so that a repeated create is recognised. */
  readonly id: string
  /** Shown to users: `<service>.<slot or node id>.<task id>`. */
  readonly name: string
  /** As written by the user, or pinned: `name[:tag][@sha256:…]`. */
  readonly image: string
  /** Replaces the image's entrypoint (and then its command too). */
  readonly entrypoint?: readonly string[]
  /** Replaces the image's command. */
  readonly args?: readonly string[]
  /** `NAME=value`, over the image's; the last duplicate wins. */
  readonly env: readonly string[]
  readonly workdir?: string
  /** `user[:group]`, names or numbers, resolved in the image. */
  readonly user?: string
  /** Additional groups, names or numbers, resolved in the image. */
  readonly groups?: readonly string[]
  /** Default: the first 12 characters of the id. */
  readonly hostname?: string
  readonly labels: Readonly<Record<string, string>>
  readonly mounts: readonly Mount[]
  /** Put into it in memory; what is made of them is never on disk, and `inspect` does not show them. */
  readonly files?: readonly FileMount[]
  /** Extra lines of /etc/hosts: `address name [alias…]`. */
  readonly hosts?: readonly string[]
  readonly dns?: DnsConfig
  readonly readOnly?: boolean
  readonly tty?: boolean
  /** Its standard input can be written to from outside, and stays open. */
  readonly openStdin?: boolean
  /** Runs a reaper as pid 1. */
  readonly init?: boolean
  /** `SIGTERM`, `TERM` or a number; default: the image's, else SIGTERM. */
  readonly stopSignal?: string
  /** Between the stop signal and SIGKILL; default 10,000. */
  readonly stopGraceMs?: number
  readonly resources?: ResourceLimits
  /** `CAP_X`, `X` or `ALL`, added to Docker's default set. */
  readonly capAdd?: readonly string[]
  readonly capDrop?: readonly string[]
  readonly sysctls?: Readonly<Record<string, string>>
  readonly ulimits?: readonly Ulimit[]
  readonly oomScoreAdj?: number
  readonly noNewPrivileges?: boolean
  /** Absent: the usual rights. */
  readonly security?: SecuritySpec
  /** Absent: the usual one of the host. */
  readonly runtime?: RuntimeName
  /** Of its control group, besides `resources`. */
  readonly tuning?: TuningSpec
  /** Absent: as the node keeps output. */
  readonly log?: LogKeeping
  readonly network: ContainerNetwork
}

/** Hard limits; absent or 0 = none. Reservations concern the scheduler only. */
export interface ResourceLimits {
  /** 1e9 = one processor. */
  readonly nanoCpus?: number
  readonly memoryBytes?: number
  readonly pids?: number
}

export interface Ulimit {
  /** `nofile`, `nproc`, … */
  readonly name: string
  readonly soft: number
  readonly hard: number
}

export interface DnsConfig {
  readonly nameservers: readonly string[]
  readonly search: readonly string[]
  readonly options: readonly string[]
}

/** A file of the container that nobody can write. */
export interface FileMount {
  /** Absolute path in the container. */
  readonly target: string
  readonly uid: number
  readonly gid: number
  /** Permission bits. */
  readonly mode: number
  /** A function, so that nothing that writes or logs a configuration comes across it. */
  readonly data: () => Uint8Array
}

export type Mount = BindMount | VolumeMount | TmpfsMount

export interface BindMount {
  readonly kind: 'bind'
  /** Absolute path of this host; must exist unless `createSource`. */
  readonly source: string
  readonly target: string
  readonly readOnly?: boolean
  readonly propagation?: 'private' | 'rprivate' | 'shared' | 'rshared' | 'slave' | 'rslave'
  readonly nonRecursive?: boolean
  readonly createSource?: boolean
  /** Read-only: whether what is mounted below is so too. Default `possible`: where the kernel can. */
  readonly readOnlyRecursion?: 'possible' | 'none' | 'required'
}

export interface VolumeMount {
  readonly kind: 'volume'
  /**
   * Absent: an anonymous volume, removed with the container. A named one is made when missing and
   * stays.
   */
  readonly name?: string
  readonly target: string
  readonly readOnly?: boolean
  /** Do not fill an empty volume with the image's files at `target`. */
  readonly noCopy?: boolean
  /** A directory inside the volume; must exist. */
  readonly subpath?: string
  readonly labels?: Readonly<Record<string, string>>
  /** Of driver local, for a volume that is made now: type, o, device. */
  readonly options?: Readonly<Record<string, string>>
  /** It belongs to one slot of a service. */
  readonly isSlots?: boolean
}

export interface TmpfsMount {
  readonly kind: 'tmpfs'
  readonly target: string
  readonly readOnly?: boolean
  readonly sizeBytes?: number
  /** Permission bits; default 0o1777. */
  readonly mode?: number
}

/** An image of the local store. */
export interface ResolvedImage {
  /** The reference asked for, in familiar form (`nginx:1.27`). */
  readonly reference: string
  /** `sha256:…` of the image's configuration. */
  readonly id: string
  /** `sha256:…` of the manifest, where known. */
  readonly digest?: string
  readonly sizeBytes: number
  /** `linux/arm64`, where this host is of another platform. */
  readonly foreignPlatform?: string
}

export type { RegistryAuth } from '../../proto/codec/registry-login.ts'

export interface PullOptions {
  /**
   * `always` (default) asks the registry; `missing` only when the reference is not local. A local
   * digest is never asked for.
   */
  readonly policy?: 'always' | 'missing'
  /** `linux/ARCH[/VARIANT]`; default: this host's. */
  readonly platform?: string
  readonly auth?: RegistryAuth
  readonly signal?: AbortSignal
  /** Called with each step; must not throw. */
  readonly progress?: (step: PullProgress) => void
}

/** How far a pull or load is. */
export interface PullProgress {
  /** `resolving`, `downloading`, `storing`, `done` … */
  readonly step: string
  /** What the step is about: a reference, a file; may be empty. */
  readonly subject: string
  readonly doneBytes: number
  /** 0 while unknown. */
  readonly totalBytes: number
}

export interface ExitStatus {
  /**
   * 128 + n when killed by signal n; -1 when nobody saw it: the host went down, or the monitor died
   * (then the container is killed).
   */
  readonly exitCode: number
  readonly oomKilled: boolean
  readonly finishedAtMs: number
  /** Why the exit code alone does not tell the story. */
  readonly error?: string
}

export type ContainerState =
  | { readonly kind: 'created'; readonly pid: number }
  | { readonly kind: 'running'; readonly pid: number; readonly startedAtMs: number }
  | { readonly kind: 'exited'; readonly startedAtMs?: number; readonly exit: ExitStatus }

export interface ContainerInfo {
  readonly id: string
  readonly config: ContainerConfig
  readonly image: ResolvedImage
  readonly createdAtMs: number
  readonly state: ContainerState
  /** What the network gave: addresses and host ports. Undefined without a network. */
  readonly attachment?: NetworkAttachment
  /** Absent: not known, as of a container that an older daemon made. */
  readonly imageHealth?: ImageHealth
  /** That the image exposes. Absent: not known. */
  readonly imagePorts?: readonly ImagePort[]
}

/** A port that an image says its programs wait on. */
export interface ImagePort {
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  readonly targetPort: number
}

/** What an image says of health checks. Times and counts of 0: nothing. */
export interface ImageHealth {
  /** `CMD` and a command, `CMD-SHELL` and a line, `NONE`; empty: none. */
  readonly test: readonly string[]
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly retries: number
  readonly startPeriodMs: number
  readonly startIntervalMs: number
  /** Its shell with what comes before a line. */
  readonly shell: readonly string[]
}

/** A short command in a running container. */
export interface ProbeRequest {
  readonly argv: readonly string[]
  /** Then it and what it started is killed. */
  readonly timeoutMs: number
}

export type ProbeOutcome =
  | { readonly kind: 'ended'; readonly exitCode: number; readonly output: string }
  | { readonly kind: 'timeout'; readonly output: string }

/** Host-mode ports as really published (ephemeral ones filled in). */
export type PublishedPort = HostPort

export interface StopOptions {
  /** Default: the container's stop signal. */
  readonly stopSignal?: string
  /** Default: the container's grace. */
  readonly graceMs?: number
}

export interface LogOptions {
  readonly follow?: boolean
  /** Only lines stamped at or after this time. */
  readonly sinceMs?: number
  /** Only lines stamped before this time. */
  readonly untilMs?: number
  /** At most this many of the newest lines to begin with; default all. */
  readonly tail?: number
  /** Default both. */
  readonly streams?: readonly ('stdout' | 'stderr')[]
  /** With what of the container its log driver tells of each line. */
  readonly details?: boolean
}

export interface LogLine {
  readonly stream: 'stdout' | 'stderr'
  /** RFC 3339 with nine fraction digits, UTC. */
  readonly timestamp: string
  /** Without the line end; not decoded, containers write what they like. */
  readonly data: Uint8Array
  /** Absent unless asked for, and where there are none. */
  readonly attributes?: LogAttributes
}

export interface ContainerStats {
  readonly cpuUsageNanos: number
  readonly memoryBytes: number
  readonly memoryLimitBytes?: number
  readonly pids: number
}

/**
 * Runs containers of one daemon. They outlive it: a new Executor on the same directories adopts
 * them. Every method may throw SwarmError; a method about an unknown container throws NOT_FOUND.
 */
export interface Executor {
  /**
   * Brings the image to this host. Errors: IMAGE_NOT_FOUND, UNAUTHENTICATED, UNAVAILABLE,
   * INVALID_ARGUMENT, CANCELLED.
   */
  pull(reference: string, options: PullOptions): Promise<ResolvedImage>

  /**
   * Makes the container up to (not including) the start of its process, network attached. Repeating
   * it with the id of an existing container returns that one. A failure leaves nothing behind.
   * Errors: IMAGE_NOT_FOUND `No such image: X`, INVALID_ARGUMENT (mounts, user, signal, command …),
   * DEADLINE_EXCEEDED (the runtime hangs), CANCELLED, INTERNAL.
   */
  create(config: ContainerConfig, signal: AbortSignal): Promise<ContainerInfo>

  /**
   * Starts a created container; a no-op on one that runs. Errors: FAILED_PRECONDITION when it has
   * ended.
   */
  start(id: string, signal: AbortSignal): Promise<ContainerInfo>

  /**
   * Stop signal, grace, SIGKILL; resolves when it has ended. A no-op on an ended one; one not
   * started is killed.
   */
  stop(id: string, options: StopOptions): Promise<ExitStatus>

  /**
   * Sends a signal (`SIGHUP`, `HUP`, `1`; default SIGKILL). Errors: FAILED_PRECONDITION when it
   * does not run.
   */
  kill(id: string, signalName?: string): Promise<void>

  /** Removes every trace, killing it first if it runs. A no-op on an unknown one. */
  remove(id: string): Promise<void>

  /** Resolves when it has ended. Errors: CANCELLED, NOT_FOUND when it is removed meanwhile. */
  wait(id: string, signal: AbortSignal): Promise<ExitStatus>

  /**
   * Runs a command in it, with its environment, user and limits; what it writes is cut to 4,096 bytes. One at a time for a
   * container. Errors: FAILED_PRECONDITION when it does not run, CANCELLED, UNAVAILABLE when the command was not run.
   */
  probe(id: string, request: ProbeRequest, signal: AbortSignal): Promise<ProbeOutcome>

  /**
   * Puts a running container on one more network; a no-op when it is there with these addresses. Errors:
   * FAILED_PRECONDITION when it does not run or has no network of its own, and the network's.
   */
  connect(id: string, endpoint: EndpointConfig, signal: AbortSignal): Promise<ContainerInfo>

  /** Takes it off that network; a no-op when it is not on it. */
  disconnect(id: string, networkId: string): Promise<ContainerInfo>

  /** All containers of this daemon, ended ones included, oldest first. */
  list(): Promise<readonly ContainerInfo[]>

  inspect(id: string): Promise<ContainerInfo>

  /**
   * Oldest first. Without `follow` it ends with the last line, with it when the container ended or
   * the signal aborts.
   */
  logs(id: string, options: LogOptions, signal: AbortSignal): AsyncIterable<LogLine>

  /** Errors: FAILED_PRECONDITION when it does not run. */
  stats(id: string): Promise<ContainerStats>

  /** Lets go of everything but the containers, which go on. */
  close(): Promise<void>
}
