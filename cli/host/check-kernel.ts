// What containers need of the kernel: its version, overlay, control groups, the seccomp profile.
import { type CheckResult, failed, passed } from './check-result.ts'
import type { HostProbes } from './probes.ts'
import { findVersion, isAtLeast } from './version.ts'

/** nft sets of address pairs (5.6) and the idmapped mounts of user namespaces (5.12) are the newest things used. */
const kernelMinimum = '5.12'

export async function checkKernel({ read }: HostProbes): Promise<CheckResult> {
  const name = 'kernel'
  const release = (await read('/proc/sys/kernel/osrelease'))?.trim() ?? 'unknown'
  if (isAtLeast(findVersion(release) ?? '0', kernelMinimum)) return passed(name, release)
  return failed({
    name,
    found: `${release} is too old, ${kernelMinimum} is needed`,
    remedy: 'apt-get install linux-image-amd64 (or of your architecture), then reboot',
    packages: [],
  })
}

/** A module that is not loaded yet is loaded by the first mount; asking for it tells whether there is one. */
export async function checkOverlay({ read, run }: HostProbes): Promise<CheckResult> {
  const name = 'overlay file system'
  if (await hasOverlay(read)) return passed(name, 'available')
  await run(['modprobe', 'overlay'])
  if (await hasOverlay(read)) return passed(name, 'available (module loaded)')
  return failed({
    name,
    found: 'the kernel has none',
    remedy: 'load the module `overlay`, or use a kernel that has it (Debian and Ubuntu kernels do)',
    packages: [],
  })
}

async function hasOverlay(read: HostProbes['read']): Promise<boolean> {
  return /^nodev\toverlay$/m.test((await read('/proc/filesystems')) ?? '')
}

const controllers = ['cpu', 'memory', 'pids']

/** Version 2 names its controllers in one file, version 1 in the options of its mounts; a hybrid host has both. */
export async function checkCgroups({ read }: HostProbes): Promise<CheckResult> {
  const name = 'control groups'
  const unified = await read('/sys/fs/cgroup/cgroup.controllers')
  const mounts = (await read('/proc/self/mounts')) ?? ''
  const version = unified === undefined ? 1 : 2
  const present = unified === undefined ? legacyControllers(mounts) : unified.trim().split(/\s+/)
  const missing = controllers.filter((controller) => !present.includes(controller))
  if (missing.length === 0) return passed(name, `version ${version} with ${controllers.join(', ')}`)
  return failed({
    name,
    found: `version ${version} without ${missing.join(', ')}`,
    remedy:
      version === 2
        ? `boot with cgroup_enable=${missing.join(',')}, and check that /sys/fs/cgroup/cgroup.controllers lists them`
        : `mount the controllers: mount -t cgroup -o ${missing.join(',')} cgroup /sys/fs/cgroup/${missing.join(',')}`,
    packages: [],
  })
}

function legacyControllers(mounts: string): readonly string[] {
  return mounts.split('\n').flatMap((line) => {
    const [, , type, options = ''] = line.split(' ')
    return type === 'cgroup' ? options.split(',') : []
  })
}

export async function checkSeccomp({ read }: HostProbes): Promise<CheckResult> {
  const name = 'seccomp profile'
  const file = '/usr/share/containers/seccomp.json'
  const isThere = (await read(file)) !== undefined
  const actions = await read('/proc/sys/kernel/seccomp/actions_avail')
  if (isThere && actions !== undefined) return passed(name, file)
  if (!isThere) {
    return failed({
      name,
      found: `${file} is missing: containers could not be confined`,
      remedy: 'apt-get install golang-github-containers-common',
      packages: ['golang-github-containers-common'],
    })
  }
  const remedy = 'use a kernel with CONFIG_SECCOMP_FILTER (Debian and Ubuntu kernels have it)'
  return failed({ name, found: 'the kernel has no seccomp filters', remedy, packages: [] })
}
