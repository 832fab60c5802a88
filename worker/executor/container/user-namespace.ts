// Whether a container gets a user namespace of its own, and what its creation needs besides then. Pure.
import { SwarmError } from '../../../proto/errors.ts'
import type { RuntimeName } from '../../../proto/spec/runtime-names.ts'
import type { ContainerConfig, FileMount, Ulimit } from '../executor.ts'
import { hostIds, type IdMapping, type OwnerIds } from './id-mapping.ts'
import type { ResolvedUser } from './users.ts'

/** What conmon's first program does as root of the host, before the runtime makes the namespace. */
export interface UsernsCreation {
  readonly mapping: IdMapping
  /** Folders and files of volumes that keep their owners: they appear in the place below as `0`, `1` and so on. */
  readonly volumes: readonly string[]
  /** Hard limits above the daemon's, as options of prlimit: root of a user namespace can raise none. */
  readonly limits: readonly string[]
  readonly oomScoreAdj: number
}

/** As SecuritySpec, or network `host`: those are of the host, and so are its users. */
export function hasOwnUsers({ security, network }: ContainerConfig): boolean {
  const isHosts = security?.privileged === true || security?.hostUsers === true
  return !isHosts && network.kind !== 'host'
}

/** Settings that the kernel keeps from all but root of the host. */
const sysctlsOfHost = ['kernel.domainname']

/** Errors: UNSUPPORTED naming what cannot be had in a user namespace; INVALID_ARGUMENT for a user outside of the range. */
export function checkUserns(
  config: ContainerConfig,
  user: ResolvedUser,
  mapping: IdMapping,
  runtime: RuntimeName,
): void {
  const { name, sysctls = {} } = config
  const sysctl = Object.keys(sysctls).find((key) => sysctlsOfHost.includes(key))
  if (sysctl !== undefined) {
    throw new SwarmError(
      'UNSUPPORTED',
      `${name} sets ${sysctl}, which root of a user namespace cannot, and this node gives containers one ` +
        `(usernsRemap): leave it out, or use --userns host`,
    )
  }
  const renamed = config.security?.devices.find(({ source, target }) => source !== target)
  if (renamed !== undefined && runtime === 'runc') {
    throw new SwarmError(
      'UNSUPPORTED',
      `${name} is to have ${renamed.source} as ${renamed.target}, and runc gives devices in a user namespace under their own ` +
        'names alone: leave the other name out, or use --runtime crun',
    )
  }
  const largest = Math.max(user.uid, user.gid, ...user.additionalGids)
  if (largest < mapping.size) return
  throw outside(name, `is to run as user or group ${largest}`, mapping)
}

/** Owners on the host of files given to a container. Errors: INVALID_ARGUMENT. */
export function ownerOfFile(name: string, file: FileMount, mapping: IdMapping): OwnerIds {
  const owner = hostIds(mapping, file)
  if (owner !== undefined) return owner
  throw outside(name, `is given ${file.target} of user ${file.uid} and group ${file.gid}`, mapping)
}

function outside(name: string, what: string, { size }: IdMapping): SwarmError {
  return new SwarmError(
    'INVALID_ARGUMENT',
    `${name} ${what}, and containers of this node have the numbers 0 to ${size - 1} alone (usernsRemap): take one of ` +
      'those, or use --userns host',
  )
}

/** As /proc/PID/limits calls them, by name of the limit. Source: proc(5). */
const limitLines: Readonly<Record<string, string>> = {
  as: 'Max address space',
  core: 'Max core file size',
  cpu: 'Max cpu time',
  data: 'Max data size',
  fsize: 'Max file size',
  locks: 'Max file locks',
  memlock: 'Max locked memory',
  msgqueue: 'Max msgqueue size',
  nice: 'Max nice priority',
  nofile: 'Max open files',
  nproc: 'Max processes',
  rss: 'Max resident set',
  rtprio: 'Max realtime priority',
  rttime: 'Max realtime timeout',
  sigpending: 'Max pending signals',
  stack: 'Max stack size',
}

/** `limits`: /proc/self/limits of whoever forks the container. */
export function raisedLimits(ulimits: readonly Ulimit[], limits: string): readonly string[] {
  return ulimits.flatMap(({ name, hard }) => {
    const line = limitLines[name] ?? '-'
    const [, text = ''] =
      limits
        .split('\n')
        .find((one) => one.startsWith(line))
        ?.slice(line.length)
        .trim()
        .split(/\s+/) ?? []
    const present = text === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text)
    const wanted = hard === -1 ? Number.POSITIVE_INFINITY : hard
    if (text === '' || wanted <= present) return []
    return [`--${name}=:${hard === -1 ? 'unlimited' : hard}`]
  })
}
