// Which kernel settings a container may have of its own. Source: what the kernel keeps apart by namespace (man 7 namespaces),
// and Docker's list for --sysctl.

const ofIpc = [
  ...['kernel.msgmax', 'kernel.msgmnb', 'kernel.msgmni', 'kernel.sem', 'kernel.shmall'],
  ...['kernel.shmmax', 'kernel.shmmni', 'kernel.shm_rmid_forced'],
]

/** Why it cannot be set for one container, with the remedy; undefined when it can. `network`: of the host, or its own. */
export function whyNoSysctl(name: string, network: 'own' | 'host'): string | undefined {
  if (!/^[a-z0-9_-]+([./][a-zA-Z0-9_-]+)+$/.test(name)) {
    return 'is no name of a kernel setting: write for example net.core.somaxconn'
  }
  // An interface's name may hold a dot: then the parts are split by slashes.
  const dotted = name.replaceAll('/', '.')
  if (dotted.startsWith('net.')) {
    if (network === 'own') return undefined
    return 'would be set for the whole host on network "host": leave it out, or set it on the host'
  }
  if (dotted.startsWith('fs.mqueue.') || ofIpc.includes(dotted)) return undefined
  if (dotted === 'kernel.domainname') return undefined
  return (
    'is one of the whole host, and containers share it: set it on the host (man 5 sysctl.conf). ' +
    'A service may set net.*, fs.mqueue.*, kernel.msg*, kernel.sem, kernel.shm* and kernel.domainname'
  )
}
