import t from 'tap'
import { hostUnfit, renderChecks } from '../../../../cli/host/render-checks.ts'
import { checkHost, type HostProbes, systemProbes } from '../../../../cli/host/requirements.ts'
import type { CommandResult } from '../../../../proto/lib/command.ts'

const answer = (stdout: string): CommandResult => ({ code: 0, stdout, stderr: '' })
const refusal = (stderr: string): CommandResult => ({ code: 1, stdout: '', stderr })

const versions: Readonly<Record<string, string>> = {
  crun: 'crun version 1.8.1\ncommit: abc',
  conmon: 'conmon version 2.1.6',
  skopeo: 'skopeo version 1.9.3',
  ip: 'ip utility, iproute2-6.1.0, libbpf 1.1.2',
  nft: 'nftables v1.0.6 (Lester Gooch #5)',
}

const files: Readonly<Record<string, string>> = {
  '/proc/sys/kernel/osrelease': '6.1.0-18-amd64\n',
  '/proc/filesystems': 'nodev\ttmpfs\nnodev\toverlay\n\text4\n',
  '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory pids\n',
  '/usr/share/containers/seccomp.json': '{}',
  '/proc/sys/kernel/seccomp/actions_avail': 'kill_process errno allow',
  '/etc/containers/policy.json': '{}',
}

interface Host {
  readonly probes?: Partial<HostProbes>
  readonly files?: Readonly<Record<string, string | undefined>>
  readonly versions?: Readonly<Record<string, string>>
  readonly missing?: readonly string[]
  readonly commands?: Readonly<Record<string, CommandResult>>
}

/** A Debian 12 with everything, but for what is said. */
function aHost(host: Host = {}): HostProbes {
  const allFiles: Readonly<Record<string, string | undefined>> = { ...files, ...host.files }
  return {
    platform: 'linux',
    nodeVersion: '20.19.0',
    userId: 0,
    read: async (file) => allFiles[file],
    find: async (name) => (host.missing?.includes(name) ? undefined : `/usr/bin/${name}`),
    run: async (argv) => {
      const text = argv.join(' ')
      for (const [start, result] of Object.entries(host.commands ?? {})) {
        if (text.startsWith(start)) return result
      }
      const name = (argv[0] ?? '').replace('/usr/bin/', '')
      return answer({ ...versions, ...host.versions }[name] ?? '')
    },
    ...host.probes,
  }
}

async function unmet(host: Host): Promise<readonly (readonly [string, string, string])[]> {
  const results = await checkHost(aHost(host))
  return results.filter(({ ok }) => !ok).map(({ name, found, remedy }) => [name, found, remedy])
}

t.test('a host with everything meets every check', async (t) => {
  const results = await checkHost(aHost())
  t.same(
    results.filter(({ ok }) => !ok),
    [],
  )
  t.equal(hostUnfit(results), undefined)
  t.ok(results.length >= 20)
  t.same(results.find(({ name }) => name === 'nft')?.found, '1.0.6')
})

t.test('each missing program names its package', async (t) => {
  for (const [name, wanted] of [
    ['crun', 'crun'],
    ['conmon', 'conmon'],
    ['skopeo', 'skopeo'],
    ['containers-storage', 'containers-storage'],
    ['ip', 'iproute2'],
    ['nft', 'nftables'],
    ['conntrack', 'conntrack'],
    ['perl', 'perl-base'],
    ['nsenter', 'util-linux'],
    ['unshare', 'util-linux'],
    ['setpriv', 'util-linux'],
    ['mount', 'mount'],
  ] as const) {
    const [first, ...others] = await unmet({ missing: [name] })
    t.match(first, [name, /^not installed: /, `apt-get install ${wanted}`])
    t.same(others, [])
  }
})

t.test('a version just too old is refused, just new enough is not', async (t) => {
  t.match(await unmet({ versions: { nft: 'nftables v1.0.5' } }), [
    ['nft', '1.0.5 is too old, 1.0.6 is needed', /apt-get install nftables/],
  ])
  t.same(await unmet({ versions: { nft: 'nftables v1.0.6' } }), [])
  t.same(await unmet({ versions: { nft: 'nftables v1.1' } }), [])
  t.match(await unmet({ versions: { crun: 'hello' } }), [['crun', /does not tell its version/]])
  t.match(await unmet({ probes: { nodeVersion: '20.18.9' } }), [
    ['Node.js', '20.18.9', /20\.19\.0/],
  ])
  const kernel = (release: string) => unmet({ files: { '/proc/sys/kernel/osrelease': release } })
  t.match(await kernel('5.11.22'), [['kernel', /5\.11\.22 is too old/]])
  t.same(await kernel('5.12.0-rc1'), [])
  t.match(await unmet({ files: { '/proc/sys/kernel/osrelease': undefined } }), [
    ['kernel', /^unknown/],
  ])
})

t.test('only root on Linux', async (t) => {
  t.match(await unmet({ probes: { userId: 1000 } }), [['root', 'user id 1000', /sudo/]])
  t.match(await unmet({ probes: { platform: 'darwin' } }), [['Linux', 'darwin']])
})

t.test('control groups of version 1 will do with all three controllers', async (t) => {
  const v1 = (...lines: readonly string[]) =>
    unmet({
      files: {
        '/sys/fs/cgroup/cgroup.controllers': undefined,
        '/proc/self/mounts': lines.join('\n'),
      },
    })
  const memory = 'cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0'
  const cpu = 'cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0'
  const pids = 'cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0'
  t.same(await v1(memory, cpu, pids), [])
  t.match(await v1(memory, cpu), [['control groups', 'version 1 without pids', /mount -t cgroup/]])
  const v2 = { '/sys/fs/cgroup/cgroup.controllers': 'cpu pids\n' }
  t.match(await unmet({ files: v2 }), [
    ['control groups', 'version 2 without memory', /cgroup_enable=memory/],
  ])
})

t.test('overlay is asked for as a module when it is not there', async (t) => {
  let loaded = false
  const base = aHost()
  const results = await checkHost({
    ...base,
    run: async (argv, options) => {
      if (argv[0] === 'modprobe') loaded = true
      return await base.run(argv, options)
    },
    read: async (file) =>
      file === '/proc/filesystems' && !loaded ? 'nodev\ttmpfs\n' : await base.read(file),
  })
  t.match(
    results.find(({ name }) => name === 'overlay file system'),
    {
      ok: true,
      found: 'available (module loaded)',
    },
  )
  t.match(await unmet({ files: { '/proc/filesystems': 'nodev\ttmpfs\n' } }), [
    ['overlay file system'],
  ])
})

t.test('missing files of packages name them', async (t) => {
  t.match(await unmet({ files: { '/usr/share/containers/seccomp.json': undefined } }), [
    ['seccomp profile', /is missing/, 'apt-get install golang-github-containers-common'],
  ])
  t.match(await unmet({ files: { '/etc/containers/policy.json': undefined } }), [
    ['image policy', /is missing/, 'apt-get install golang-github-containers-image'],
  ])
  t.match(await unmet({ files: { '/proc/sys/kernel/seccomp/actions_avail': undefined } }), [
    ['seccomp profile', 'the kernel has no seccomp filters'],
  ])
})

t.test('a kernel that refuses is quoted', async (t) => {
  const commands = {
    'unshare --net -- ip': refusal('unshare: unshare failed: Operation not permitted\n'),
    'unshare --net -- sh -c cat | nft': refusal(''),
  }
  t.match(await unmet({ commands }), [
    ['network namespaces', 'unshare: unshare failed: Operation not permitted', /CAP_SYS_ADMIN/],
    ['nftables', 'it failed without a word', /nf_tables/],
  ])
})

t.test('a check that breaks is one not met, and the others go on', async (t) => {
  const find = async (): Promise<string | undefined> => {
    throw new Error('boom')
  }
  const names = (await unmet({ probes: { find } })).map(([name, found]) => `${name}: ${found}`)
  t.ok(names.includes('crun: boom'))
  t.notOk(names.some((text) => text.startsWith('kernel')))
})

t.test('the error lists all that is missing and one command for all packages', async (t) => {
  const results = await checkHost(aHost({ missing: ['crun', 'nft'], probes: { userId: 5 } }))
  const err = hostUnfit(results)
  t.match(err, { code: 'HOST_UNFIT', details: { unmet: 'root,crun,nft' } })
  t.equal(
    err?.message,
    `this host lacks what the daemon needs:
FAIL  root  user id 5
            -> start it as root: \`sudo tsswarm daemon\`, or as a systemd service
FAIL  crun  not installed: runs containers
            -> apt-get install crun
FAIL  nft   not installed: publishes ports
            -> apt-get install nftables

install what is missing: apt-get install crun nftables`,
  )
  t.match(renderChecks(results), /^ok {4}Linux {16}linux$/m)
  t.equal(renderChecks([]), '')
})

t.test('this very host is looked at without a change', async (t) => {
  const results = await checkHost(systemProbes())
  t.equal(results.find(({ name }) => name === 'Linux')?.ok, process.platform === 'linux')
  t.equal(results.find(({ name }) => name === 'Node.js')?.found, process.versions.node)
  t.equal(results.find(({ name }) => name === 'mount')?.ok, true)
})
