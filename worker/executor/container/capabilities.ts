// Which Linux capabilities a container gets: Docker's default set, plus what is added, minus what
// is dropped. Pure.
import { SwarmError } from '../../../proto/errors.ts'
import type { ContainerConfig } from '../executor.ts'

const all: readonly string[] = (
  'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE ' +
  'NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO ' +
  'SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME ' +
  'SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG ' +
  'WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE'
).split(' ')

const defaults: readonly string[] = (
  'CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP ' +
  'NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE'
).split(' ')

/**
 * The capabilities as `CAP_X`, in the kernel's order. `ALL` stands for every one; drops of single
 * ones win over adds. Errors: INVALID_ARGUMENT for an unknown name. Source: Docker's cap-add and
 * cap-drop.
 */
export function effectiveCapabilities(
  add: readonly string[],
  drop: readonly string[],
): readonly string[] {
  const added = new Set(add.map(normalise))
  const dropped = new Set(drop.map(normalise))
  const start = added.has('ALL') ? all : dropped.has('ALL') ? [] : defaults
  const wanted = new Set([...start, ...added])
  return all.filter((name) => wanted.has(name) && !dropped.has(name)).map((name) => `CAP_${name}`)
}

/**
 * Those of one container. Where it asks for all it gets what the daemon itself has, `own` as the kernel's bits: more it could
 * not be given. Errors: as above.
 */
export function capabilitiesOf(config: RightsConfig, own: bigint): readonly string[] {
  const { capAdd = [], capDrop = [], security } = config
  const isOurs = (name: string): boolean =>
    ((own >> BigInt(all.indexOf(normalise(name)))) & 1n) === 1n
  if (security?.privileged === true) return all.filter(isOurs).map((name) => `CAP_${name}`)
  const wanted = effectiveCapabilities(capAdd, capDrop)
  const wantsAll = capAdd.some((name) => normalise(name) === 'ALL')
  return wantsAll ? wanted.filter(isOurs) : wanted
}

type RightsConfig = Pick<ContainerConfig, 'capAdd' | 'capDrop' | 'security'>

function normalise(text: string): string {
  const name = text.toUpperCase().replace(/^CAP_/, '')
  if (name !== 'ALL' && !all.includes(name)) {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `unknown capability ${JSON.stringify(text)}: see man 7 capabilities, for example NET_ADMIN`,
    )
  }
  return name
}
