// The OCI runtime configuration of a container. Pure: everything about the host and the image is an
// argument.
import { SwarmError } from '../../../proto/errors.ts'
import { whyNoSysctl } from '../../../proto/spec/sysctl.ts'
import type { ImageConfig } from '../../image/store-index.ts'
import type { ContainerConfig } from '../executor.ts'
import type { OciDevice } from './devices.ts'
import type { IdMapping } from './id-mapping.ts'
import { type OciMount, ociMounts, type ResolvedMount, standardMounts } from './mounts.ts'
import { ociResources, type ResolvedTuning } from './oci-resources.ts'
import { containerHostname, processArgs, processEnv, workdir } from './process-spec.ts'
import type { OciSeccomp } from './seccomp.ts'
import type { ResolvedUser } from './users.ts'

export interface OciSpecInput {
  readonly config: ContainerConfig
  readonly image: ImageConfig
  readonly user: ResolvedUser
  readonly mounts: readonly ResolvedMount[]
  /** Files given to it. */
  readonly files?: readonly OciMount[]
  /** Folder of the container's own hosts, hostname and resolv.conf. */
  readonly etcDir: string
  /** Below the cgroup root of every controller. */
  readonly cgroupsPath: string
  readonly seccomp: SeccompChoice
  /** As `CAP_X`. */
  readonly capabilities: readonly string[]
  /** Of the host, besides those of every container. */
  readonly devices?: readonly OciDevice[]
  readonly tuning?: ResolvedTuning
  /** A profile that is loaded. */
  readonly appArmor?: string
  /** Whether the host swaps, so that a limit of swap means something. */
  readonly hostSwaps: boolean
  /** Reaper on the host for `init: true`. */
  readonly initPath: string
  /** Of a user namespace of its own. */
  readonly userns?: IdMapping
}

/** `compiled`: base64 of the filter crun made of the same profile before, saves 20 ms. */
export type SeccompChoice =
  | { readonly kind: 'profile'; readonly profile: OciSeccomp }
  | { readonly kind: 'compiled'; readonly bpf: string }
  | { readonly kind: 'none' }

const maskedPaths: readonly string[] = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
]
const readonlyPaths: readonly string[] = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
]
const initTarget = '/sbin/tsswarm-init'

/** Errors: INVALID_ARGUMENT for a command, capability, or working directory that cannot be. */
export function buildOciSpec(input: OciSpecInput): object {
  const { config, seccomp } = input
  return {
    ociVersion: '1.0.2',
    process: processSection(input),
    root: { path: 'rootfs', readonly: config.readOnly ?? false },
    hostname: containerHostname(config),
    mounts: [
      ...standardMounts.map((mount) => (isPrivileged(config) ? writable(mount) : mount)),
      ...ociMounts(input.mounts, [...fileMounts(input), ...(input.files ?? [])]),
    ],
    annotations: {
      ...(seccomp.kind === 'compiled' ? { 'run.oci.seccomp_bpf_data': seccomp.bpf } : {}),
    },
    linux: linuxSection(input),
  }
}

function processSection(input: OciSpecInput): object {
  const { config, image, user, initPath, capabilities, appArmor } = input
  const args = processArgs(config, image)
  const hostname = containerHostname(config)
  return {
    terminal: config.tty ?? false,
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    args: config.init === true && initPath !== '' ? [initTarget, '--', ...args] : args,
    env: processEnv(config, image, { hostname, home: user.home }),
    cwd: workdir(config, image),
    // As execve does it: a user other than root starts without effective capabilities.
    capabilities:
      user.uid === 0
        ? { bounding: capabilities, effective: capabilities, permitted: capabilities }
        : { bounding: capabilities },
    ...((config.ulimits?.length ?? 0) > 0 ? { rlimits: config.ulimits?.map(rlimit) } : {}),
    noNewPrivileges: config.noNewPrivileges ?? false,
    oomScoreAdj: config.oomScoreAdj ?? 0,
    ...(appArmor === undefined ? {} : { apparmorProfile: appArmor }),
  }
}

function rlimit(limit: { readonly name: string; readonly soft: number; readonly hard: number }) {
  return { type: `RLIMIT_${limit.name.toUpperCase()}`, soft: limit.soft, hard: limit.hard }
}

function isPrivileged({ security }: ContainerConfig): boolean {
  return security?.privileged === true
}

function writable(mount: OciMount): OciMount {
  return { ...mount, options: mount.options.filter((option) => option !== 'ro') }
}

/** /etc files of our own, unless the user put something there. Of a read-only root they are part, as under Docker. */
function fileMounts(input: OciSpecInput): readonly OciMount[] {
  const { config, mounts, etcDir, initPath } = input
  const taken = new Set([
    ...mounts.map((one) => ('mount' in one ? one.mount.target : one.target)),
    ...(input.files ?? []).map(({ destination }) => destination),
  ])
  const files = ['hosts', 'hostname', 'resolv.conf']
    .filter((name) => !taken.has(`/etc/${name}`))
    .map((name) =>
      bindFile(`${etcDir}/${name}`, `/etc/${name}`, config.readOnly === true ? 'ro' : 'rw'),
    )
  return config.init === true && initPath !== ''
    ? [...files, bindFile(initPath, initTarget, 'ro')]
    : files
}

function bindFile(source: string, destination: string, access: 'ro' | 'rw'): OciMount {
  return { destination, type: 'bind', source, options: ['bind', 'rprivate', access] }
}

function linuxSection(input: OciSpecInput): object {
  const { config, seccomp, userns } = input
  const isHostNetwork = config.network.kind === 'host'
  const isOpen = isPrivileged(config) || config.security?.systemPathsUnconfined === true
  checkSysctls(config)
  const own = userns === undefined ? [] : ['user']
  const kinds = [
    ...own,
    'mount',
    'pid',
    'ipc',
    'uts',
    'cgroup',
    ...(isHostNetwork ? [] : ['network']),
  ]
  const gidMax = userns === undefined ? 2_147_483_647 : userns.size - 1
  const sysctl = {
    // As Docker: binding to low ports and ping need no capability in a network namespace of one's
    // own.
    ...(isHostNetwork
      ? {}
      : {
          'net.ipv4.ip_unprivileged_port_start': '0',
          'net.ipv4.ping_group_range': `0 ${gidMax}`,
        }),
    ...config.sysctls,
  }
  const slave = input.mounts.some(
    (one) => one.kind === 'bind' && /slave$/.test(one.mount.propagation ?? ''),
  )
  return {
    namespaces: kinds.map((type) => ({ type })),
    ...usersSection(userns),
    cgroupsPath: input.cgroupsPath,
    ...devicesSection(input),
    maskedPaths: isOpen ? [] : maskedPaths,
    readonlyPaths: isOpen ? [] : readonlyPaths,
    sysctl,
    rootfsPropagation: slave ? 'rslave' : 'rprivate',
    ...(seccomp.kind === 'profile' ? { seccomp: seccomp.profile } : {}),
  }
}

function usersSection(userns: IdMapping | undefined): object {
  if (userns === undefined) return {}
  const { uid, gid, size } = userns
  return {
    uidMappings: [{ containerID: 0, hostID: uid, size }],
    gidMappings: [{ containerID: 0, hostID: gid, size }],
  }
}

function devicesSection(input: OciSpecInput): object {
  const { config, devices = [], tuning, hostSwaps } = input
  const nodes = devices.map(({ access: _, ...node }) => node)
  return {
    ...(nodes.length > 0 ? { devices: nodes } : {}),
    resources: ociResources({
      limits: config.resources ?? {},
      devices: isPrivileged(config) ? 'all' : devices,
      hostSwaps,
      ...(tuning === undefined ? {} : { tuning }),
    }),
  }
}

/** A manager of another version may have let it through. */
function checkSysctls({ sysctls = {}, network, name }: ContainerConfig): void {
  for (const key of Object.keys(sysctls)) {
    const why = whyNoSysctl(key, network.kind === 'host' ? 'host' : 'own')
    if (why === undefined) continue
    throw new SwarmError('INVALID_ARGUMENT', `sysctl ${JSON.stringify(key)} of ${name} ${why}`)
  }
}

/** The text of a configuration. No limit of a process is 2^64 - 1 there, which no number of JavaScript is. */
export function ociText(spec: object): string {
  // Nothing that a user writes can look so: quotes are escaped in strings. One that was read again has been rounded.
  const none = /"(soft|hard)":(?:-1|18446744073709552000)\b/g
  return JSON.stringify(spec).replace(none, '"$1":18446744073709551615')
}
