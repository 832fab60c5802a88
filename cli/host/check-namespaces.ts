// What containers ask of the kernel beside files: namespaces of each kind, overlays that can be written, connections that
// can be counted. Each is tried in namespaces that end with the try.
import {
  trialWords,
  usernsRemedy,
  usernsTrial,
} from '../../worker/executor/container/shifted-mounts.ts'
import { advised, type CheckResult, failed, passed } from './check-result.ts'
import type { HostProbes } from './probes.ts'

const kinds = ['mount', 'uts', 'ipc', 'pid', 'cgroup'] as const

export async function checkNamespaces({ run }: HostProbes): Promise<CheckResult> {
  const name = 'namespaces'
  const refused: string[] = []
  for (const kind of kinds) {
    const fork = kind === 'pid' ? ['--fork'] : []
    const { code } = await run(['unshare', `--${kind}`, ...fork, '--', 'true'])
    if (code !== 0) refused.push(kind)
  }
  if (refused.length === 0) return passed(name, kinds.join(', '))
  return failed({
    name,
    found: `the kernel refuses ${refused.join(', ')}`,
    remedy:
      'start as root with CAP_SYS_ADMIN (in a container: privileged); kernels of Debian and Ubuntu have all of them',
    packages: [],
  })
}

/** Only containers that ask for one need it. */
export async function checkUserNamespaces({ run, read }: HostProbes): Promise<CheckResult> {
  const name = 'user namespaces'
  const max = (await read('/proc/sys/user/max_user_namespaces'))?.trim()
  const tried = await run(['unshare', '--user', '--map-root-user', '--', 'true'])
  if (tried.code === 0) return passed(name, `${max ?? 'an unknown number'} at most`)
  const why = tried.stderr.trim().split('\n')[0] ?? ''
  return advised({
    name,
    found: max === '0' ? 'switched off' : `the kernel refuses them: ${why}`,
    remedy: 'sysctl -w user.max_user_namespaces=15000, for containers that are to have one',
    packages: [],
  })
}

/** Only the setting usernsRemap needs it. `folder`, which is there: whether owners can be shifted is up to its file system too. */
export async function checkShiftedLayers(
  { run }: HostProbes,
  folder: string,
): Promise<CheckResult> {
  const name = 'users of containers'
  const { code, stderr } = await run(usernsTrial(folder))
  if (code === 0) return passed(name, 'can be others than those of the host (usernsRemap)')
  return advised({
    name,
    found: `usernsRemap cannot be set: ${trialWords(stderr)}`,
    remedy: `use a kernel and a file system that can (${folder} was tried): ${usernsRemedy}`,
    packages: [],
  })
}

const overlayTrial = `mount -t tmpfs tmpfs /tmp && mkdir /tmp/lower /tmp/upper /tmp/work /tmp/top &&
mount -t overlay -o lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work overlay /tmp/top && : >/tmp/top/file`

export async function checkOverlayMount({ run }: HostProbes): Promise<CheckResult> {
  const name = 'overlay mounts'
  const argv = ['unshare', '--mount', '--propagation', 'private', '--', 'sh', '-c', overlayTrial]
  const { code, stderr } = await run(argv)
  if (code === 0) return passed(name, 'can be made and written')
  return failed({
    name,
    found: stderr.trim().split('\n')[0] || 'it failed without a word',
    remedy:
      'load the module: `modprobe overlay`; in a container, start it privileged (Debian and Ubuntu kernels have it)',
    packages: [],
  })
}

/** Of a namespace that has no connections: the answer is 0. */
export async function checkConnections({ run, find }: HostProbes): Promise<CheckResult> {
  const name = 'connection tracking'
  const conntrack = (await find('conntrack')) ?? 'conntrack'
  const { code, stderr } = await run(['unshare', '--net', '--', conntrack, '-C'])
  if (code === 0) return passed(name, 'can be read and changed')
  return failed({
    name,
    found: stderr.trim().split('\n')[0] || 'it failed without a word',
    remedy: 'load the modules: `modprobe nf_conntrack_netlink` (Debian and Ubuntu kernels have it)',
    packages: [],
  })
}
