// What doctor advises, on hosts that are described, and on this one.
import { readdirSync } from 'node:fs'
import t from 'tap'
import { checkAdvice } from '../../../../cli/host/advice.ts'
import { type CheckResult, levelOf } from '../../../../cli/host/check-result.ts'
import { type DiskFacts, diskTrial } from '../../../../cli/host/disk-trial.ts'
import { checksJson, renderChecks } from '../../../../cli/host/render-checks.ts'
import { type HostProbes, systemProbes } from '../../../../cli/host/requirements.ts'
import type { CommandResult } from '../../../../proto/lib/command.ts'

const gib = 1024 ** 3

const goodDisk: DiskFacts = {
  folder: '/var/lib',
  fileSystem: 0xef53,
  freeBytes: 40 * gib,
  sizeBytes: 100 * gib,
  freeFiles: 900,
  files: 1000,
  flushMs: 1.5,
  overlayError: '',
}

const goodFiles: Readonly<Record<string, string>> = {
  '/proc/self/limits':
    'Limit  Soft Hard Units\nMax open files            1024      1048576      files\n',
  '/proc/sys/fs/inotify/max_user_instances': '128\n',
  '/proc/sys/fs/inotify/max_user_watches': '65536\n',
  '/proc/sys/net/netfilter/nf_conntrack_max': '1000\n',
  '/proc/sys/net/netfilter/nf_conntrack_count': '799\n',
  '/proc/sys/kernel/random/entropy_avail': '256\n',
  '/proc/sys/user/max_user_namespaces': '500\n',
  '/sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory pids\n',
  '/sys/class/net/eth0/mtu': '1500\n',
}

const goodCommands: Readonly<Record<string, string>> = {
  '/usr/bin/buildah --version': 'buildah version 1.28.2 (image-spec 1.1.0-rc2)\n',
  'ip -4 -o route': 'default via 192.0.2.1 dev eth0 proto dhcp\n',
  'nft -j list chains': '{"nftables":[]}',
  'timedatectl show': 'NTP=yes\nNTPSynchronized=yes\n',
}

interface Host {
  readonly files?: Readonly<Record<string, string | undefined>>
  readonly commands?: Readonly<Record<string, string | CommandResult>>
  readonly missing?: readonly string[]
  readonly disk?: Partial<DiskFacts> | Error
}

const noChrony = ['chronyc']

function probesOf({ files = {}, commands = {}, missing = noChrony }: Host): HostProbes {
  const allFiles: Readonly<Record<string, string | undefined>> = { ...goodFiles, ...files }
  const answers: Readonly<Record<string, string | CommandResult>> = { ...goodCommands, ...commands }
  return {
    platform: 'linux',
    nodeVersion: '20.19.0',
    userId: 0,
    read: async (file) => allFiles[file],
    find: async (name) => (missing.includes(name) ? undefined : `/usr/bin/${name}`),
    run: async (argv) => {
      const text = argv.join(' ')
      const [, found = ''] = Object.entries(answers).find(([start]) => text.startsWith(start)) ?? []
      return typeof found === 'string' ? { code: 0, stdout: found, stderr: '' } : found
    },
  }
}

async function advice(host: Host): Promise<readonly CheckResult[]> {
  const trial = async (): Promise<DiskFacts> => {
    if (host.disk instanceof Error) throw host.disk
    return { ...goodDisk, ...host.disk }
  }
  return await checkAdvice(probesOf(host), { trial, folder: '/var/lib/tsswarm' })
}

/** Only what is not as it should be: level, name, what was found, remedy. */
async function troubles(host: Host): Promise<readonly (readonly string[])[]> {
  const found = await advice(host)
  return found
    .filter((result) => levelOf(result) !== 'ok')
    .map((result) => [levelOf(result), result.name, result.found, result.remedy])
}

const refusal = (stderr: string): CommandResult => ({ code: 1, stdout: '', stderr })

t.test('a host with everything has nothing to be told', async (t) => {
  t.same(await troubles({}), [])
  t.ok((await advice({})).length >= 18)
})

t.test('programs of single commands are advised, not demanded', async (t) => {
  t.match(await troubles({ missing: [...noChrony, 'buildah'] }), [
    ['warning', 'buildah', /^not installed: `image build` here/, 'apt-get install buildah'],
  ])
  t.match(await troubles({ missing: [...noChrony, 'socat'] }), [
    ['warning', 'socat', /^not installed: `port-forward`/, 'apt-get install socat'],
  ])
})

t.test('an init for services is looked for under all its names', async (t) => {
  const inits = ['catatonit', 'tini-static', 'docker-init']
  t.match(await troubles({ missing: [...noChrony, ...inits] }), [
    ['warning', 'init', /^not installed: services with `--init`/, 'apt-get install catatonit'],
  ])
  t.same(await troubles({ missing: [...noChrony, ...inits.slice(0, 2)] }), [])
  const files = { '/usr/libexec/podman/catatonit': 'ELF' }
  t.same(await troubles({ missing: [...noChrony, ...inits], files }), [])
})

t.test('shifted owners are tried on the disk of the state folder', async (t) => {
  const tried: string[] = []
  const probes = probesOf({})
  const run: HostProbes['run'] = async (argv) => {
    if (argv[0] === 'env') tried.push(argv.join(' '))
    return await probes.run(argv)
  }
  const stateDir = t.testdir()
  const trial = async () => goodDisk
  await checkAdvice({ ...probes, run }, { trial, folder: `${stateDir}/not/there` })
  t.equal(tried.length, 1)
  t.ok(tried[0]?.includes(` trial ${stateDir} `), `tried: ${tried}`)
})

t.test('what the kernel refuses is an error, of user namespaces a warning', async (t) => {
  const commands = {
    'unshare --pid': refusal('no'),
    'unshare --user': refusal('unshare: unshare failed: No space left on device\n'),
    'unshare --mount --propagation': refusal('mount: unknown filesystem type\n'),
    'unshare --net': refusal(''),
  }
  t.match(await troubles({ commands }), [
    ['error', 'namespaces', 'the kernel refuses pid'],
    ['warning', 'user namespaces', /No space left on device/, /user\.max_user_namespaces/],
    ['error', 'overlay mounts', 'mount: unknown filesystem type', /modprobe overlay/],
    ['error', 'connection tracking', 'it failed without a word', /nf_conntrack_netlink/],
  ])
  const shifts = { env: refusal('no user namespace: overlay does not take layers\n') }
  t.match(await troubles({ commands: shifts }), [
    [
      'warning',
      'users of containers',
      'usernsRemap cannot be set: no user namespace: overlay does not take layers',
      /Linux 5\.19/,
    ],
  ])
  const files = { '/proc/sys/user/max_user_namespaces': '0\n' }
  t.match(await troubles({ commands: { 'unshare --user': refusal('x') }, files }), [
    ['warning', 'user namespaces', 'switched off'],
  ])
})

t.test('limits are told just when they are reached', async (t) => {
  const limits = (files: Readonly<Record<string, string | undefined>>) => troubles({ files })
  t.match(await limits({ '/proc/self/limits': 'Max open files  1024  65535  files\n' }), [
    ['warning', 'open files', '1024, may be raised to 65535', /LimitNOFILE=1048576/],
  ])
  t.same(await limits({ '/proc/self/limits': 'Max open files  1024  65536  files\n' }), [])
  t.same(await limits({ '/proc/self/limits': 'Max open files  1024  unlimited  files\n' }), [])
  t.match(await limits({ '/proc/self/limits': undefined }), [['warning', 'open files']])
  t.match(await limits({ '/proc/sys/fs/inotify/max_user_instances': '127\n' }), [
    ['warning', 'inotify', '127 instances, 65536 watches a user', /^sysctl -w fs\.inotify/],
  ])
  t.match(await limits({ '/proc/sys/net/netfilter/nf_conntrack_count': '800\n' }), [
    ['warning', 'connections', /^800 of at most 1000/, /nf_conntrack_max=4000$/],
  ])
  t.same(await limits({ '/proc/sys/net/netfilter/nf_conntrack_max': undefined }), [])
  t.match(await limits({ '/proc/sys/kernel/random/entropy_avail': '127\n' }), [
    ['warning', 'entropy', /^127 bits/],
  ])
})

t.test('controllers of either version count', async (t) => {
  const legacy = 'cgroup /sys/fs/cgroup/blkio cgroup rw,blkio 0 0\n'
  const files = { '/sys/fs/cgroup/cgroup.controllers': undefined, '/proc/self/mounts': legacy }
  t.match(await troubles({ files }), [
    ['warning', 'more controllers', 'without cpuset (CPUs of its own for a service)'],
  ])
})

t.test('the port of overlays may be the kernel’s, and nobody else’s', async (t) => {
  const own = 'UNCONN 0 0 0.0.0.0:4789 0.0.0.0:*\n'
  t.same(await troubles({ commands: { 'ss -H -lnup': own } }), [])
  const other = 'UNCONN 0 0 0.0.0.0:4789 0.0.0.0:* users:(("vtund",pid=7,fd=3))\n'
  t.match(await troubles({ commands: { 'ss -H -lnup': other } }), [
    ['error', 'port of overlays', '4789/udp is in use by vtund (process 7)', /--data-path-port/],
  ])
})

const forward = (policy: string) =>
  JSON.stringify({
    nftables: [
      {
        chain: {
          family: 'inet',
          table: 'lan',
          name: 'fw',
          type: 'filter',
          hook: 'forward',
          policy,
        },
      },
    ],
  })

t.test('who is not root is told that only root can tell, and installs nothing', async (t) => {
  const commands = { '/usr/bin/buildah --version': refusal('cannot set up a user namespace') }
  const disk = { trial: async () => goodDisk, folder: '/var/lib/tsswarm' }
  const refused = { ...probesOf({ commands }), userId: 1000 }
  const run: HostProbes['run'] = async (argv) =>
    argv[0] === 'unshare' ? refusal('unshare failed: Operation not permitted') : refused.run(argv)
  const found = await checkAdvice({ ...refused, run }, disk)
  const of = (name: string) => found.find((one) => one.name === name)
  const onlyRoot = { remedy: /^only root can tell/, packages: [] }
  for (const name of ['buildah', 'overlay mounts', 'namespaces']) t.match(of(name), onlyRoot, name)
  t.match(of('clock'), { remedy: '' }, 'what is as it should be stays so')
})

t.test('ports are not said to be free when nobody can tell', async (t) => {
  const commands = { 'ss -H': refusal('ss: command not found') }
  t.match(await troubles({ commands }), [
    ['warning', 'port of overlays', /cannot be told: ss: command not found$/, /iproute2/],
  ])
})

t.test('a firewall that drops forwarded packets matters once there is a data plane', async (t) => {
  const commands = { 'nft -j list chains': forward('drop') }
  const found = async (host: Host) =>
    (await advice(host)).find(({ name }) => name === 'forwarding') ?? t.fail()
  t.match(await found({}), { found: 'no firewall drops forwarded packets', remedy: '' })
  t.match(await found({ commands }), {
    found:
      'nft chain inet lan fw drops forwarded packets: the daemon adds accepts for its containers there',
    remedy: '',
  })
  const files = { '/sys/class/net/dp0/mtu': '1500\n' }
  t.match(await found({ commands, files }), {
    found: /drops forwarded packets, those of containers too$/,
    remedy:
      /^the daemon opens it within a minute; by hand: nft insert rule inet lan fw 'iifname "dp0"/,
  })
  const marked = [1, 2, 3, 4, 5].map((handle) => ({
    rule: { handle, comment: 'tsswarm', expr: [] },
  }))
  const open = { ...commands, 'nft -j -a list chain': JSON.stringify({ nftables: marked }) }
  t.match(await found({ commands: open, files }), {
    found: /and lets those of containers through$/,
    remedy: '',
  })
})

t.test('a small MTU, and no way out, are told', async (t) => {
  t.match(await troubles({ files: { '/sys/class/net/eth0/mtu': '1400\n' } }), [
    ['warning', 'MTU', /^1400 on eth0/],
  ])
  t.match(await troubles({ commands: { 'ip -4 -o route': '' } }), [
    ['warning', 'MTU', 'no default route', /--advertise-addr/],
  ])
})

t.test('chrony is asked first, then systemd, then the list of processes', async (t) => {
  const clock = (tracking: string) =>
    troubles({ missing: [], commands: { 'chronyc -n tracking': tracking } })
  const text = (seconds: string, leap = 'Normal') =>
    `System time     : ${seconds} seconds slow of NTP time\nLeap status     : ${leap}\n`
  t.same(await clock(text('0.999')), [])
  t.match(await clock(text('1.001')), [['warning', 'clock', /^1\.001 s off/, 'chronyc makestep']])
  t.match(await clock(text('0', 'Not synchronised')), [['warning', 'clock', /reaches no source/]])
  const silent = { 'chronyc -n tracking': refusal('506 Cannot talk to daemon') }
  t.same(await troubles({ missing: [], commands: silent }), [], 'systemd answers for it')
  const systemd = (show: string) => troubles({ commands: { 'timedatectl show': show } })
  t.match(await systemd('NTP=yes\nNTPSynchronized=no\n'), [
    ['warning', 'clock', 'not synchronised yet', /timesync-status/],
  ])
  t.match(await systemd('NTP=no\nNTPSynchronized=no\n'), [
    ['warning', 'clock', 'nothing synchronises it', 'timedatectl set-ntp true'],
  ])
  const missing = ['chronyc', 'timedatectl']
  t.match(await troubles({ missing, commands: { 'ps -A': 'init\nsh\n' } }), [
    ['warning', 'clock', /^nothing is known/, /apt-get install chrony/],
  ])
  t.same(await troubles({ missing, commands: { 'ps -A': 'init\n ntpd\n' } }), [])
})

t.test('a disk is judged by room, files, speed and kind', async (t) => {
  const disk = (facts: Partial<DiskFacts> | Error) => troubles({ disk: facts })
  t.match(await disk({ freeBytes: 1.9 * gib, sizeBytes: 10 * gib }), [
    ['warning', 'disk', 'only 1.9 of 10.0 GiB free in /var/lib', /--state-dir/],
  ])
  t.match(await disk({ freeBytes: 4.9 * gib }), [['warning', 'disk']])
  t.same(await disk({ freeBytes: 5 * gib, freeFiles: 50 }), [])
  t.match(await disk({ freeFiles: 49 }), [['warning', 'disk', /only 49 of 1000 files/]])
  t.same(await disk({ freeFiles: 0, files: 0 }), [], 'a file system without a fixed number')
  t.match(await disk({ flushMs: 25.1 }), [['warning', 'flushes', /^25\.1 ms/]])
  t.match(await disk({ overlayError: 'wrong fs type', fileSystem: 0x794c7630 }), [
    ['error', 'layers of images', '/var/lib (overlay) takes no overlays: wrong fs type', /ext4/],
  ])
  t.match(await disk({ overlayError: 'x', fileSystem: 0x1234 }), [
    ['error', 'layers of images', /\(type 0x1234\)/],
  ])
  const full = Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
  t.match(await disk(full), [['error', 'disk', /^cannot be written: ENOSPC/, /^make room there/]])
  t.match(await disk(new Error('EROFS: read-only')), [
    ['error', 'disk', 'cannot be written: EROFS: read-only', /^make \/var\/lib\/tsswarm a folder/],
  ])
})

t.test('warnings have a word of their own, and programs get a list', async (t) => {
  const results = await advice({ disk: { flushMs: 99, overlayError: 'x' } })
  const shown = renderChecks(results.slice(-3), (word) => `<${word}>`)
  t.match(shown, /^<ok {2}> {2}disk .*\n<FAIL> {2}layers of images .*\n +-> .*\n<WARN> {2}flushes/)
  t.match(JSON.parse(checksJson(results.slice(-1))), [
    { name: 'flushes', level: 'warning', found: /^99\.0 ms/, remedy: /quicker/, packages: [] },
  ])
})

t.test('the disk of this host is tried, and nothing is left behind', async (t) => {
  const folder = t.testdir()
  const facts = await diskTrial(systemProbes().run)(`${folder}/not/there`)
  t.match(facts, { folder, flushMs: Number, freeBytes: Number })
  t.ok(facts.flushMs >= 0 && facts.sizeBytes >= facts.freeBytes && facts.sizeBytes > 0)
  t.same(readdirSync(folder), [])
})
