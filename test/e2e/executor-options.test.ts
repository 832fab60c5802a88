// Options of containers beyond the usual ones, seen from inside, from /proc and from the control group.
import { readdir, readFile, stat } from 'node:fs/promises'
import t, { type Test } from 'tap'
import type { TuningSpec } from '../../proto/spec/tuning-spec.ts'
import { cgroupVersion } from '../../worker/executor/container/cgroups.ts'
import { deviceNumbers } from '../../worker/executor/container/devices.ts'
import type { OpenedExecutor } from '../../worker/executor/container/open.ts'
import type { ContainerConfig, Executor } from '../../worker/executor/executor.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aContainer, aJoinedScript, aScript } from '../support/container-configs.ts'
import {
  createExecutorHost,
  type ExecutorHost,
  hasLogged,
  loadImage,
  never,
  nothingLeft,
  runToEnd,
} from '../support/executor-host.ts'

t.setTimeout(120_000)

interface World extends OpenedExecutor {
  readonly host: ExecutorHost
}

async function aWorld(t: Test): Promise<World> {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const opened = await host.open()
  await loadImage(opened.images, await busyboxImage())
  return { host, ...opened }
}

const security = (said: Omit<NonNullable<ContainerConfig['security']>, 'devices'>) => ({
  security: { devices: [], ...said },
})

t.test('rights of a container', async (t) => {
  const { host, executor } = await aWorld(t)

  await t.test('without a seccomp filter it may do what that forbids', async (t) => {
    const script = 'grep Seccomp: /proc/self/status; unshare -U true && echo unshared'
    const free = aJoinedScript('free', script, security({ seccomp: 'unconfined' }))
    t.equal((await runToEnd(executor, free)).output, 'Seccomp:\t0\nunshared')
  })

  await t.test('a seccomp profile of its own holds, also once it is compiled', async (t) => {
    const profile = JSON.stringify({
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 28 }],
    })
    for (const id of ['own-1', 'own-2']) {
      const script = 'mkdir /x; unshare -U true && echo unshared; grep Seccomp: /proc/self/status'
      const own = aJoinedScript(id, script, security({ seccomp: profile }))
      const { output } = await runToEnd(executor, own)
      t.match(output, /No space left on device/, `${id}: the error that the profile names`)
      t.match(output, /unshared\nSeccomp:\t2/, 'the default profile is not there')
    }
    const one = aContainer('exec', { args: ['sleep', '1000'], ...security({ seccomp: profile }) })
    await executor.create(one, never)
    await executor.start('exec', never)
    const command = ['/bin/sh', '-c', 'exec 2>&1; mkdir /y; grep Seccomp: /proc/self/status']
    const ran = await executor.probe('exec', { argv: command, timeoutMs: 30_000 }, never)
    t.match(ran.output, /No space left on device\nSeccomp:\t2/, 'also for what is run in it later')
    const filters = await readdir(`${host.dirs.runDir}/seccomp`)
    t.equal(filters.length, 1, 'compiled once, and kept')
    const bad = aContainer('bad', security({ seccomp: '{"defaultAction": "NO"}' }))
    await t.rejects(executor.create(bad, never), {
      code: 'INVALID_ARGUMENT',
      message: /defaultAction must be one of SCMP_ACT_ALLOW/,
    })
  })

  await t.test('with open system paths nothing is masked', async (t) => {
    const script = 'grep -c " /proc/" /proc/self/mountinfo; true'
    const open = aJoinedScript('open', script, security({ systemPathsUnconfined: true }))
    t.equal((await runToEnd(executor, open)).output, '0')
    t.not((await runToEnd(executor, aJoinedScript('closed', script))).output, '0')
  })

  await t.test('an AppArmor profile is applied or refused, and never left out', async (t) => {
    const absent = aContainer('armour', security({ appArmor: 'no-such-profile' }))
    const message = /the AppArmor profile no-such-profile/
    await t.rejects(executor.create(absent, never), { message })
    const free = aJoinedScript('no-armour', 'echo up', security({ appArmor: 'unconfined' }))
    t.equal((await runToEnd(executor, free)).output, 'up')
  })

  await t.test('a device is there under its name, for what was allowed', async (t) => {
    // The kernel's log: any process may open it for writing that the control group lets.
    const given = (id: string, access: string): ContainerConfig =>
      aJoinedScript(id, 'stat -c %t:%T /dev/log1; (: > /dev/log1) 2>&1 && echo opened', {
        security: { devices: [{ source: '/dev/kmsg', target: '/dev/log1', access }] },
      })
    t.equal((await runToEnd(executor, given('writes', 'w'))).output, '1:b\nopened')
    t.match((await runToEnd(executor, given('reads', 'r'))).output, /^1:b\n.*not permitted/)
    const absent = { source: '/dev/no-such', target: '/dev/no-such', access: 'rwm' }
    await t.rejects(
      executor.create(aContainer('absent', { security: { devices: [absent] } }), never),
      { code: 'INVALID_ARGUMENT', message: /\/dev\/no-such, and this host has no such device/ },
    )
  })

  await t.test('a privileged one has what its daemon has', async (t) => {
    const script =
      'grep -E "CapEff|Seccomp:" /proc/self/status; [ -e /dev/kmsg ] && (: > /dev/kmsg) && echo opened; ' +
      'grep -c -E " /proc/| ro[, ].*sysfs" /proc/self/mountinfo; true'
    const all = aJoinedScript('all', script, security({ privileged: true }))
    const own = /CapBnd:\s*(\w+)/.exec(await readFile('/proc/self/status', 'utf8'))?.[1]
    t.equal((await runToEnd(executor, all)).output, `CapEff:\t${own}\nSeccomp:\t0\nopened\n0`)
  })

  await t.test('all capabilities are those that the daemon can give', async (t) => {
    const script = 'grep CapEff /proc/self/status'
    const every = aJoinedScript('every', script, { capAdd: ['ALL'], capDrop: ['SYS_MODULE'] })
    const own = /CapBnd:\s*(\w+)/.exec(await readFile('/proc/self/status', 'utf8'))?.[1] ?? '0'
    const wanted = BigInt(`0x${own}`) & ~(1n << 16n)
    const [, seen = '0'] = /CapEff:\t(\w+)/.exec((await runToEnd(executor, every)).output) ?? []
    t.equal(BigInt(`0x${seen}`), wanted)
  })

  await t.test('kernel settings of the host stay those of the host', async (t) => {
    const sysctls = { 'vm.swappiness': '1' }
    await t.rejects(executor.create(aContainer('sysctl', { sysctls }), never), {
      code: 'INVALID_ARGUMENT',
      message: /"vm.swappiness" of test.1.sysctl is one of the whole host/,
    })
    const own = { 'kernel.shm_rmid_forced': '1', 'fs.mqueue.msg_max': '7', 'kernel.msgmax': '4000' }
    const script =
      'cat /proc/sys/kernel/shm_rmid_forced /proc/sys/fs/mqueue/msg_max /proc/sys/kernel/msgmax'
    const { output } = await runToEnd(
      executor,
      aJoinedScript('own-sysctl', script, { sysctls: own }),
    )
    t.equal(output, '1\n7\n4000')
    for (const runtime of ['crun', 'runc'] as const) {
      // One that the host has and a container's network has not.
      const far = { 'net.netfilter.none': '1' }
      await t.rejects(
        executor.create(aContainer(`far-${runtime}`, { runtime, sysctls: far }), never),
        { code: 'UNSUPPORTED', message: /sysctl net\.netfilter\.none: .*leave it out, or set it/ },
      )
      const odd = { 'kernel.msgmax': 'many' }
      await t.rejects(
        executor.create(aContainer(`odd-${runtime}`, { runtime, sysctls: odd }), never),
        { code: 'INVALID_ARGUMENT', message: /sysctl kernel\.msgmax: .*takes no such value/ },
      )
    }
  })

  const capabilities = /CapEff:\s*(\w+)/.exec(await readFile('/proc/self/status', 'utf8'))?.[1]
  const mayRaise = (BigInt(`0x${capabilities}`) & (1n << 24n)) !== 0n

  await t.test('the kernel knows how soon to end it for want of memory', async (t) => {
    const mayLower = mayRaise
    const own = Number(await readFile('/proc/self/oom_score_adj', 'utf8'))
    for (const oomScoreAdj of [...(mayLower ? [-500] : []), Math.max(own, 1), 700]) {
      const id = `oom${oomScoreAdj}`
      const script = 'cat /proc/self/oom_score_adj; sleep 1000'
      await executor.create(aScript(id, script, { oomScoreAdj }), never)
      await executor.start(id, never)
      await hasLogged(executor, id, `${oomScoreAdj}`)
      const { state } = await executor.inspect(id)
      const pid = state.kind === 'running' ? state.pid : 0
      t.equal(await readFile(`/proc/${pid}/oom_score_adj`, 'utf8'), `${oomScoreAdj}\n`)
    }
    if (mayLower) return
    for (const runtime of ['crun', 'runc'] as const) {
      const low = aContainer(`low-${runtime}`, { runtime, oomScoreAdj: own - 500 })
      await t.rejects(executor.create(low, never), {
        code: 'UNSUPPORTED',
        message: /lacks CAP_SYS_RESOURCE here: choose a higher one/,
      })
    }
  })

  await t.test('what no runtime can give is refused with what to do', async (t) => {
    for (const runtime of ['crun', 'runc'] as const) {
      const nowhere = aContainer(`nowhere-${runtime}`, { runtime, workdir: '/etc/passwd' })
      await t.rejects(executor.create(nowhere, never), {
        code: 'INVALID_ARGUMENT',
        message: /working directory \/etc\/passwd cannot be entered: not a directory/,
      })
      if (mayRaise) continue
      const ulimits = [{ name: 'nofile', soft: 99_999_999, hard: 99_999_999 }]
      await t.rejects(executor.create(aContainer(`many-${runtime}`, { runtime, ulimits }), never), {
        code: 'UNSUPPORTED',
        message: /a ulimit is above the hard limit of the daemon/,
      })
    }
  })

  await t.test(
    'of a read-only root its files in /etc are part; no limit is no limit',
    async (t) => {
      const script = 'echo x >> /etc/hosts; ulimit -c; ulimit -S -n; ulimit -H -n'
      const ulimits = [
        { name: 'core', soft: -1, hard: -1 },
        { name: 'nofile', soft: 100, hard: 200 },
      ]
      const config = aJoinedScript('read-only', script, { readOnly: true, ulimits })
      t.match((await runToEnd(executor, config)).output, /Read-only[^\n]*\nunlimited\n100\n200$/)
    },
  )

  await Promise.all((await executor.list()).map(({ id }) => executor.remove(id)))
  t.same(await host.leftovers(), { ...nothingLeft, processes: [] })
})

t.test('the control group of a container', async (t) => {
  const { executor, host } = await aWorld(t)
  const version = cgroupVersion()

  /** The file of its group, in the words of version 1 and of version 2. */
  const group = async (id: string, tree: string, v1: string, v2: string): Promise<string> => {
    const path = `${host.dirs.cgroupParent}/${id}`
    const file = version === 2 ? `${path}/${v2}` : `/${tree}${path}/${v1}`
    return (await readFile(`/sys/fs/cgroup${file}`, 'utf8')).trim()
  }
  const run = async (id: string, tuning: TuningSpec, memoryBytes = 0): Promise<void> => {
    const resources = { memoryBytes }
    await executor.create(aContainer(id, { args: ['sleep', '1000'], resources, tuning }), never)
    await executor.start(id, never)
  }

  await t.test('has its processors, shares and swap', async (t) => {
    const swapBytes = 8 << 20
    await run(
      'tuned',
      { cpus: '0', memoryNodes: '0', cpuShares: 512, swapBytes, ioLimits: [] },
      16 << 20,
    )
    t.equal(await group('tuned', 'cpuset', 'cpuset.cpus', 'cpuset.cpus'), '0')
    t.equal(await group('tuned', 'cpuset', 'cpuset.mems', 'cpuset.mems'), '0')
    t.match(
      await group('tuned', 'cpu', 'cpu.shares', 'cpu.weight'),
      version === 2 ? /^\d+$/ : '512',
    )
    if (await countsSwap()) {
      const swap = await group('tuned', 'memory', 'memory.memsw.limit_in_bytes', 'memory.swap.max')
      t.equal(swap, `${version === 2 ? swapBytes : (16 << 20) + swapBytes}`)
    }
    await run('no-limit', { swapBytes: -1, ioLimits: [] }, 16 << 20)
    if (await countsSwap()) {
      const swap = await group(
        'no-limit',
        'memory',
        'memory.memsw.limit_in_bytes',
        'memory.swap.max',
      )
      t.ok(swap === 'max' || Number(swap) > 2 ** 60, swap)
    }
    const many = executor.create(
      aContainer('many', { tuning: { cpus: '0-4096', ioLimits: [] } }),
      never,
    )
    await t.rejects(many, { message: /asks for the CPUs 0-4096, and this host has 0/ })
  })

  await t.test('has the swappiness of version 1, and is refused one of version 2', async (t) => {
    const tuning = { swappiness: 10, ioLimits: [] }
    if (version === 2) {
      const refused = executor.create(aContainer('swappy', { tuning }), never)
      return t.rejects(refused, { code: 'UNSUPPORTED', message: /version 2 do not have/ })
    }
    await run('swappy', tuning)
    t.equal(await group('swappy', 'memory', 'memory.swappiness', ''), '10')
    return undefined
  })

  await t.test('has its share of disks where the kernel has shares, else is refused', async (t) => {
    const outcome = await run('weight', { blkioWeight: 300, ioLimits: [] }).then(
      () => 'runs',
      (err: unknown) => String(err),
    )
    if (outcome !== 'runs') return t.match(outcome, /has none|io/)
    const value = await Promise.any([
      group('weight', 'blkio', 'blkio.bfq.weight', 'io.bfq.weight'),
      group('weight', 'blkio', 'blkio.weight', 'io.weight'),
    ])
    return t.match(value, /\b300\b|\b\d+$/)
  })

  await t.test('has its limits of a disk', async (t) => {
    const disk = await aDisk()
    const ioLimits = (['read-bps', 'write-bps', 'read-iops', 'write-iops'] as const).map(
      (kind, at) => ({ kind, device: disk.path, rate: 1_048_576 * (at + 1) }),
    )
    await run('disk', { ioLimits })
    const read = await group('disk', 'blkio', 'blkio.throttle.read_bps_device', 'io.max')
    t.match(
      read,
      version === 2 ? `${disk.numbers} rbps=1048576 wbps=2097152` : `${disk.numbers} 1048576`,
    )
    const write = await group('disk', 'blkio', 'blkio.throttle.write_iops_device', 'io.max')
    t.match(write, version === 2 ? 'wiops=4194304' : `${disk.numbers} 4194304`)
    const none = { ioLimits: [{ kind: 'read-bps' as const, device: '/dev/null', rate: 1 }] }
    await t.rejects(executor.create(aContainer('none', { tuning: none }), never), {
      code: 'INVALID_ARGUMENT',
      message: /limits \/dev\/null, which is no disk of this host/,
    })
  })

  await removeAll(executor)
  t.same((await host.leftovers()).cgroups, [])
})

async function removeAll(executor: Executor): Promise<void> {
  await Promise.all((await executor.list()).map(({ id }) => executor.remove(id)))
}

/** The kernel may be told not to. */
async function countsSwap(): Promise<boolean> {
  if (cgroupVersion() === 2) return true
  const file = '/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes'
  return (await stat(file).catch(() => undefined)) !== undefined
}

/** A whole disk of this host; loop devices are some too. */
async function aDisk(): Promise<{ readonly path: string; readonly numbers: string }> {
  for (const name of await readdir('/sys/block')) {
    const found = await stat(`/dev/${name}`).catch(() => undefined)
    if (!found?.isBlockDevice()) continue
    const { major, minor } = deviceNumbers(found.rdev)
    return { path: `/dev/${name}`, numbers: `${major}:${minor}` }
  }
  throw new Error('this host has no block device')
}
