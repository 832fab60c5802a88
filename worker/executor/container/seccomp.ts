// Seccomp profiles in Docker's format, turned into OCI form for one architecture and one set of capabilities. The default one is as
// the distribution ships it, made as strict as Docker's own: the distribution's (podman's) lets every container make namespaces and
// mounts. Pure.
import type { SeccompProfileText } from '../../../proto/spec/seccomp-profile.ts'

/** What we read of /usr/share/containers/seccomp.json. */
export interface SeccompProfile {
  readonly defaultAction: string
  readonly defaultErrnoRet?: number | undefined
  readonly archMap?:
    | readonly {
        readonly architecture: string
        readonly subArchitectures?: readonly string[] | null | undefined
      }[]
    | undefined
  readonly syscalls: readonly SeccompRule[]
}

interface SeccompRule {
  readonly names: readonly string[]
  readonly action: string
  readonly args?: readonly object[] | null | undefined
  readonly errnoRet?: number | undefined
  readonly includes?: SeccompFilter | undefined
  readonly excludes?: SeccompFilter | undefined
}

interface SeccompFilter {
  readonly arches?: readonly string[] | undefined
  readonly caps?: readonly string[] | undefined
  readonly minKernel?: string | undefined
}

/** `linux.seccomp` of an OCI configuration. */
export interface OciSeccomp {
  readonly defaultAction: string
  readonly defaultErrnoRet?: number
  readonly architectures: readonly string[]
  readonly syscalls: readonly object[]
}

const architectures: Readonly<Record<string, { readonly oci: string; readonly short: string }>> = {
  x64: { oci: 'SCMP_ARCH_X86_64', short: 'amd64' },
  arm64: { oci: 'SCMP_ARCH_AARCH64', short: 'arm64' },
  s390x: { oci: 'SCMP_ARCH_S390X', short: 's390x' },
}

/** The default profile. `nodeArch` as in process.arch; an unknown one gets no architecture list (the native one). */
export function ociSeccomp(
  profile: SeccompProfile,
  nodeArch: string,
  capabilities: readonly string[],
): OciSeccomp {
  const { syscalls, ...rest } = forNode(profile, nodeArch, capabilities)
  return {
    ...rest,
    syscalls: hardened(syscalls, new Set(capabilities), nodeArch).map(ociRule),
  }
}

/** One of a user's own, as it says. */
export function ownSeccomp(
  text: SeccompProfileText,
  nodeArch: string,
  capabilities: readonly string[],
): OciSeccomp {
  const { architectures, syscalls = [], ...own } = text
  const rules = syscalls.map(({ name, names, ...rule }) => ({
    ...rule,
    names: names ?? (name === undefined ? [] : [name]),
  }))
  const found = forNode({ ...own, syscalls: rules }, nodeArch, capabilities)
  return {
    ...found,
    ...(architectures === undefined ? {} : { architectures }),
    syscalls: found.syscalls.map(ociRule),
  }
}

interface NodeProfile extends Omit<OciSeccomp, 'syscalls'> {
  readonly syscalls: readonly SeccompRule[]
}

function forNode(
  profile: SeccompProfile,
  nodeArch: string,
  capabilities: readonly string[],
): NodeProfile {
  const arch = architectures[nodeArch]
  const mapped = profile.archMap?.find((one) => one.architecture === arch?.oci)
  const granted = new Set(capabilities)
  return {
    defaultAction: profile.defaultAction,
    ...optional('defaultErrnoRet', profile.defaultErrnoRet),
    architectures:
      mapped === undefined ? [] : [mapped.architecture, ...(mapped.subArchitectures ?? [])],
    syscalls: profile.syscalls.filter((rule) => applies(rule, arch?.short ?? nodeArch, granted)),
  }
}

function ociRule(rule: SeccompRule): object {
  return {
    names: rule.names,
    action: rule.action,
    ...optional('errnoRet', rule.errnoRet),
    ...((rule.args?.length ?? 0) > 0 ? { args: rule.args } : {}),
  }
}

/** Only with CAP_SYS_ADMIN. Source: Docker's default profile. */
const adminOnly: ReadonlySet<string> = new Set(
  (
    'clone clone3 fsconfig fsmount fsopen fspick keyctl mount mount_setattr move_mount open_tree ' +
    'pivot_root setns umount umount2 unshare'
  ).split(' '),
)
/** CLONE_NEW* of every namespace. */
const newNamespaceFlags = 0x7e020000
const errnoPermission = 1
const errnoNoSuchCall = 38

function hardened(
  rules: readonly SeccompRule[],
  granted: ReadonlySet<string>,
  nodeArch: string,
): readonly SeccompRule[] {
  if (granted.has('CAP_SYS_ADMIN')) return rules
  const kept = rules
    .map((rule) => ({ ...rule, names: rule.names.filter((name) => !adminOnly.has(name)) }))
    .filter((rule) => rule.names.length > 0)
  const refused = [...adminOnly].filter((name) => name !== 'clone' && name !== 'clone3')
  const flags = {
    // The flags are the second argument there.
    index: nodeArch === 's390x' ? 1 : 0,
    value: newNamespaceFlags,
    valueTwo: 0,
    op: 'SCMP_CMP_MASKED_EQ',
  }
  return [
    ...kept,
    { names: refused, action: 'SCMP_ACT_ERRNO', errnoRet: errnoPermission },
    { names: ['clone'], action: 'SCMP_ACT_ALLOW', args: [flags] },
    // Its flags lie in memory, out of a filter's reach: programs fall back to clone.
    { names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: errnoNoSuchCall },
  ]
}

/**
 * A rule holds when all its includes do and none of its excludes does. Every kernel we run on is
 * newer than 4.8.
 */
function applies(rule: SeccompRule, arch: string, granted: ReadonlySet<string>): boolean {
  const { includes, excludes } = rule
  if (nonEmpty(includes?.arches) && !includes.arches.includes(arch)) return false
  if (nonEmpty(includes?.caps) && !includes.caps.every((cap) => granted.has(cap))) return false
  if (nonEmpty(excludes?.arches) && excludes.arches.includes(arch)) return false
  return !(nonEmpty(excludes?.caps) && excludes.caps.some((cap) => granted.has(cap)))
}

function nonEmpty(list: readonly string[] | undefined): list is readonly string[] {
  return list !== undefined && list.length > 0
}

function optional(name: string, value: number | undefined): object {
  return value === undefined ? {} : { [name]: value }
}
