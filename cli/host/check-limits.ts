// Limits of the kernel that a busy node reaches: open files, watches, connections, entropy, cgroup controllers that some
// options of services ask for. Warnings all.
import { advised, type CheckResult, passed } from './check-result.ts'
import type { HostProbes } from './probes.ts'

const filesMinimum = 65_536

/** A unit of systemd has its own limit: the daemon's process is looked at by the daemon's own unit file. */
export async function checkOpenFiles({ read }: HostProbes): Promise<CheckResult> {
  const name = 'open files'
  const line = /^Max open files\s+(\S+)\s+(\S+)/m.exec((await read('/proc/self/limits')) ?? '')
  const [, soft = 'unknown', hard = 'unknown'] = line ?? []
  const found = `${soft}, may be raised to ${hard}`
  if (hard === 'unlimited' || Number(hard) >= filesMinimum) return passed(name, found)
  return advised({
    name,
    found,
    remedy: `start the daemon with at least ${filesMinimum}: LimitNOFILE=1048576 in its unit, or \`ulimit -Hn 1048576\` before it`,
    packages: [],
  })
}

const inotifyFolder = '/proc/sys/fs/inotify'

/** Containers of root share the instances of root: a log follower or a file watcher in each takes one. */
export async function checkInotify({ read }: HostProbes): Promise<CheckResult> {
  const name = 'inotify'
  const instances = Number(await read(`${inotifyFolder}/max_user_instances`))
  const watches = Number(await read(`${inotifyFolder}/max_user_watches`))
  const found = `${instances} instances, ${watches} watches a user`
  if (instances >= 128 && watches >= 8192) return passed(name, found)
  return advised({
    name,
    found,
    remedy: 'sysctl -w fs.inotify.max_user_instances=1024 fs.inotify.max_user_watches=524288',
    packages: [],
  })
}

/** The daemon raises the limit itself where it may. */
export async function checkConntrackSize({ read }: HostProbes): Promise<CheckResult> {
  const name = 'connections'
  const max = await read('/proc/sys/net/netfilter/nf_conntrack_max')
  const count = await read('/proc/sys/net/netfilter/nf_conntrack_count')
  if (max === undefined || count === undefined) return passed(name, 'none are followed yet')
  const found = `${Number(count)} of at most ${Number(max)} are followed`
  if (Number(count) < Number(max) * 0.8) return passed(name, found)
  return advised({
    name,
    found: `${found}: at the limit the kernel drops new ones`,
    remedy: `sysctl -w net.netfilter.nf_conntrack_max=${Number(max) * 4}`,
    packages: [],
  })
}

/** Kernels from 5.18 on say 256 as soon as they are ready. */
export async function checkEntropy({ read }: HostProbes): Promise<CheckResult> {
  const name = 'entropy'
  const bits = Number(await read('/proc/sys/kernel/random/entropy_avail'))
  if (bits >= 128) return passed(name, `${bits} bits`)
  return advised({
    name,
    found: `${bits} bits: keys and certificates may have to wait`,
    remedy: 'apt-get install rng-tools5, or give the virtual machine a virtio-rng device',
    packages: ['rng-tools5'],
  })
}

const optional: readonly (readonly [controllers: readonly string[], what: string])[] = [
  [['io', 'blkio'], 'limits and weights of block devices'],
  [['cpuset'], 'CPUs of its own for a service'],
]

/** Controllers beside those the daemon cannot do without. */
export async function checkMoreControllers({ read }: HostProbes): Promise<CheckResult> {
  const name = 'more controllers'
  const unified = (await read('/sys/fs/cgroup/cgroup.controllers'))?.trim().split(/\s+/) ?? []
  const legacy = ((await read('/proc/self/mounts')) ?? '').split('\n').flatMap((line) => {
    const [, , type, options = ''] = line.split(' ')
    return type === 'cgroup' ? options.split(',') : []
  })
  const present = new Set([...unified, ...legacy])
  const missing = optional.filter(([names]) => !names.some((one) => present.has(one)))
  if (missing.length === 0) return passed(name, optional.map(([[first = '']]) => first).join(', '))
  return advised({
    name,
    found: `without ${missing.map(([[first = ''], what]) => `${first} (${what})`).join(', ')}`,
    remedy: 'use a kernel that has them, or leave these options out on this node',
    packages: [],
  })
}
