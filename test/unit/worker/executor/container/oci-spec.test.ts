import t from 'tap'
import { effectiveCapabilities } from '../../../../../worker/executor/container/capabilities.ts'
import { runtimeError } from '../../../../../worker/executor/container/oci-errors.ts'
import { cpuQuota } from '../../../../../worker/executor/container/oci-resources.ts'
import {
  buildOciSpec,
  type OciSpecInput,
  ociText,
} from '../../../../../worker/executor/container/oci-spec.ts'
import { imageHealth } from '../../../../../worker/image/image-health.ts'
import type { ImageConfig } from '../../../../../worker/image/store-index.ts'
import { aContainer } from '../../../../support/container-configs.ts'
import { golden } from '../../../../support/golden.ts'

const image: ImageConfig = {
  env: ['PATH=/bin', 'LANG=C'],
  entrypoint: ['/entry'],
  command: ['serve'],
  workdir: '/srv',
  user: '',
  stopSignal: '',
  volumes: [],
  labels: {},
  health: imageHealth({}, []),
  ports: [],
}

function anInput(over: Partial<OciSpecInput> = {}): OciSpecInput {
  const { capAdd = [], capDrop = [] } = over.config ?? {}
  return {
    config: aContainer('abcdefghijklmnop'),
    capabilities: effectiveCapabilities(capAdd, capDrop),
    image,
    user: { uid: 0, gid: 0, additionalGids: [0], home: '/root' },
    mounts: [],
    etcDir: '/run/b',
    cgroupsPath: '/parent/id',
    seccomp: { kind: 'compiled', bpf: 'AAAA' },
    hostSwaps: false,
    initPath: '',
    ...over,
  }
}

const text = (input: OciSpecInput): string =>
  `${JSON.stringify(buildOciSpec(input), undefined, 2)}\n`

t.test('a plain container', async (t) => {
  golden(t, 'test/golden/oci-spec/plain.golden', text(anInput()))
})

t.test('a container that asks for everything', async (t) => {
  const config = aContainer('abcdefghijklmnop', {
    entrypoint: ['/own'],
    args: ['a', 'b'],
    env: ['LANG=de', 'X=1'],
    workdir: '/work',
    hostname: 'web',
    readOnly: true,
    tty: true,
    init: true,
    resources: { nanoCpus: 1_500_000_000, memoryBytes: 64 << 20, pids: 10 },
    capAdd: ['NET_ADMIN'],
    capDrop: ['MKNOD'],
    sysctls: { 'net.core.somaxconn': '1024' },
    ulimits: [{ name: 'nofile', soft: 1024, hard: 2048 }],
    oomScoreAdj: 100,
    noNewPrivileges: true,
  })
  const input = anInput({
    config,
    user: { uid: 1000, gid: 1001, additionalGids: [1001, 29], home: '/home/app' },
    mounts: [
      { kind: 'volume', target: '/data/deep', path: '/volumes/v/_data', readOnly: true },
      {
        kind: 'bind',
        mount: { kind: 'bind', source: '/host', target: '/data', propagation: 'rslave' },
        isFolder: true,
      },
      {
        kind: 'bind',
        mount: { kind: 'bind', source: '/h', target: '/etc/hosts', readOnly: true },
        isFolder: true,
      },
      { kind: 'tmpfs', mount: { kind: 'tmpfs', target: '/tmp', sizeBytes: 1024, mode: 0o700 } },
    ],
    seccomp: {
      kind: 'profile',
      profile: { defaultAction: 'SCMP_ACT_ERRNO', architectures: [], syscalls: [] },
    },
    hostSwaps: true,
    initPath: '/usr/bin/catatonit',
  })
  golden(t, 'test/golden/oci-spec/everything.golden', text(input))
})

t.test('a privileged container, and one with devices and a tuned control group', async (t) => {
  const device = { path: '/dev/fuse', type: 'c', major: 10, minor: 229, access: 'rw' } as const
  const kmsg = { ...device, fileMode: 0o666, uid: 0, gid: 0 }
  const privileged = aContainer('abcdefghijklmnop', {
    security: { devices: [], privileged: true },
  })
  const open = JSON.parse(
    text(anInput({ config: privileged, devices: [kmsg], seccomp: { kind: 'none' } })),
  )
  t.strictSame(open.linux.resources.devices, [{ allow: true, access: 'rwm' }])
  t.strictSame(open.linux.maskedPaths, [])
  t.strictSame(open.linux.readonlyPaths, [])
  t.notOk('seccomp' in open.linux)
  t.strictSame(open.annotations, {})
  t.notMatch(JSON.stringify(open.mounts), /"ro"/)
  t.match(open.linux.devices, [{ path: '/dev/fuse', type: 'c', major: 10, minor: 229 }])
  const tuned = aContainer('abcdefghijklmnop', {
    resources: { memoryBytes: 1 << 24 },
    security: { devices: [], systemPathsUnconfined: true },
    ulimits: [{ name: 'memlock', soft: -1, hard: -1 }],
  })
  const input = anInput({
    config: tuned,
    devices: [kmsg],
    hostSwaps: true,
    appArmor: 'web',
    tuning: {
      memorySwapBytes: -1,
      swappiness: 0,
      cpus: '0',
      memoryNodes: '0',
      cpuShares: 2,
      blkioWeight: 10,
      ioLimits: [
        { kind: 'read-bps', major: 8, minor: 0, rate: 1 },
        { kind: 'write-iops', major: 8, minor: 0, rate: 2 },
      ],
    },
  })
  golden(t, 'test/golden/oci-spec/tuned.golden', text(input))
  t.match(ociText(buildOciSpec(input)), '"soft":18446744073709551615,"hard":18446744073709551615')
})

t.test('settings of the whole host are refused also here', async (t) => {
  const message = /sysctl "vm.swappiness" of test.1.x is one of the whole host/
  const config = aContainer('x', { sysctls: { 'vm.swappiness': '1' } })
  t.throws(() => buildOciSpec(anInput({ config })), { code: 'INVALID_ARGUMENT', message })
})

t.test(
  "a container on the host's network has no network namespace and no sysctls of one",
  async (t) => {
    const input = anInput({ config: aContainer('x', { network: { kind: 'host' } }) })
    t.notMatch(text(input), /"network"|net\.ipv4/)
  },
)

t.test("the runtime's complaints", async (t) => {
  const mendable = [
    'executable file `nope` not found in $PATH: No such file or directory',
    'open executable: Permission denied',
    'time="t" level=error msg="runc create failed: exec: \\"nope\\": executable file not found in $PATH"',
    'time="t" level=error msg="exec: \\"/x\\": stat /x: no such file or directory"',
    'level=error msg="exec: \\"/etc/passwd\\": permission denied"',
    'the path `/etc/passwd` exists but it is not executable: Operation not permitted',
  ]
  for (const text of mendable) t.equal(runtimeError('it', text).code, 'INVALID_ARGUMENT', text)
  t.match(runtimeError('it', 'time="t" level=error msg="a \\"b\\""\n'), {
    code: 'INTERNAL',
    message: 'it failed: a "b"',
  })
  t.match(runtimeError('it', ' \n'), { message: /gave no reason/ })
})

t.test('shares of a processor the kernel would refuse get a longer period', async (t) => {
  t.same(cpuQuota(500_000_000), { quota: 50_000, period: 100_000 })
  t.same(cpuQuota(10_000_000), { quota: 1_000, period: 100_000 })
  t.same(cpuQuota(1_000_000), { quota: 1_000, period: 1_000_000 })
  t.same(cpuQuota(1), { quota: 1_000, period: 1_000_000 })
})

t.test(
  'a user namespace is the first, with its numbers and no more groups that may ping',
  async (t) => {
    const made = (over: Partial<OciSpecInput>) => JSON.parse(text(anInput(over))).linux
    const linux = made({ userns: { uid: 200_000, gid: 300_000, size: 65_536 } })
    t.strictSame(linux.namespaces[0], { type: 'user' })
    t.strictSame(linux.uidMappings, [{ containerID: 0, hostID: 200_000, size: 65_536 }])
    t.strictSame(linux.gidMappings, [{ containerID: 0, hostID: 300_000, size: 65_536 }])
    t.equal(linux.sysctl['net.ipv4.ping_group_range'], '0 65535')
    const { namespaces, uidMappings, gidMappings, sysctl, ...same } = linux
    const usual = made({})
    t.strictSame({ ...usual, ...same }, usual, 'the rest is as without')
  },
)
