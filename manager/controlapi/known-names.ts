// Names with a fixed set or grammar: signals, capabilities, image references.

const signals = new Set(
  (
    'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG ' +
    'XCPU XFSZ VTALRM PROF WINCH IO PWR SYS RTMIN RTMAX'
  ).split(' '),
)

/** SIGTERM, TERM, 15, SIGRTMIN+3. */
export function isSignal(text: string): boolean {
  if (/^\d+$/.test(text)) return Number(text) >= 1 && Number(text) <= 64
  const name = text.toUpperCase().replace(/^SIG/, '')
  return signals.has(name) || /^(RTMIN\+|RTMAX-)\d{1,2}$/.test(name)
}

const capabilities = new Set(
  (
    'CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE ' +
    'NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN ' +
    'SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE ' +
    'MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE ALL'
  ).split(' '),
)

/** NET_ADMIN, CAP_NET_ADMIN, ALL; in any case. */
export function isCapability(text: string): boolean {
  return capabilities.has(text.toUpperCase().replace(/^CAP_/, ''))
}

const host =
  '(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::\\d+)?'
const part = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const tag = '[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}'
const digest = '[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-f]{32,}'
const reference = new RegExp(`^(?:${host}/)?${part}(?:/${part})*(?::${tag})?(?:@${digest})?$`)

/** Source: the grammar of the distribution project. */
export function isImageReference(text: string): boolean {
  return text.length <= 512 && reference.test(text)
}
