import t from 'tap'
import { parseSeccompProfile } from '../../../../../proto/spec/seccomp-profile.ts'
import {
  ociSeccomp,
  ownSeccomp,
  type SeccompProfile,
} from '../../../../../worker/executor/container/seccomp.ts'

const profile: SeccompProfile = {
  defaultAction: 'SCMP_ACT_ERRNO',
  defaultErrnoRet: 38,
  archMap: [
    { architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86', 'SCMP_ARCH_X32'] },
    { architecture: 'SCMP_ARCH_AARCH64' },
  ],
  syscalls: [
    { names: ['read', 'unshare', 'clone'], action: 'SCMP_ACT_ALLOW', args: [], includes: {} },
    { names: ['arch_prctl'], action: 'SCMP_ACT_ALLOW', includes: { arches: ['amd64', 'x32'] } },
    { names: ['not_arm'], action: 'SCMP_ACT_ALLOW', excludes: { arches: ['arm64'] } },
    { names: ['bpf'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_SYS_ADMIN'] } },
    {
      names: ['bpf'],
      action: 'SCMP_ACT_ERRNO',
      errnoRet: 1,
      excludes: { caps: ['CAP_SYS_ADMIN'] },
    },
    { names: ['personality'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0 }] },
  ],
}

type Rule = {
  readonly names: readonly string[]
  readonly action: string
  readonly errnoRet?: number
  readonly args?: readonly object[]
}

function rules(arch: string, caps: readonly string[]): readonly Rule[] {
  return ociSeccomp(profile, arch, caps).syscalls as readonly Rule[]
}

function rulesOf(name: string, list: readonly Rule[]): readonly Rule[] {
  return list.filter((rule) => rule.names.includes(name))
}

t.test('architectures, default action, arguments', async (t) => {
  t.match(ociSeccomp(profile, 'x64', []), {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 38,
    architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  })
  t.same(ociSeccomp(profile, 'arm64', []).architectures, ['SCMP_ARCH_AARCH64'])
  t.same(ociSeccomp(profile, 'unknown', []).architectures, [])
  t.same(rulesOf('personality', rules('x64', []))[0]?.args, [{ index: 0 }])
  t.notOk('args' in (rulesOf('read', rules('x64', []))[0] ?? {}))
})

t.test('rules of other architectures are left out', async (t) => {
  t.equal(rulesOf('arch_prctl', rules('x64', [])).length, 1)
  t.equal(rulesOf('arch_prctl', rules('arm64', [])).length, 0)
  t.equal(rulesOf('not_arm', rules('x64', [])).length, 1)
  t.equal(rulesOf('not_arm', rules('arm64', [])).length, 0)
})

t.test('rules depend on capabilities', async (t) => {
  t.same(rulesOf('bpf', rules('x64', [])), [
    { names: ['bpf'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 },
  ])
  t.same(rulesOf('bpf', rules('x64', ['CAP_SYS_ADMIN'])), [
    { names: ['bpf'], action: 'SCMP_ACT_ALLOW' },
  ])
})

t.test('only CAP_SYS_ADMIN makes namespaces and mounts, whatever the profile says', async (t) => {
  const plain = rules('x64', [])
  t.match(rulesOf('unshare', plain), [{ action: 'SCMP_ACT_ERRNO', errnoRet: 1 }])
  t.match(rulesOf('mount', plain), [{ action: 'SCMP_ACT_ERRNO', errnoRet: 1 }])
  t.match(rulesOf('clone', plain), [
    { action: 'SCMP_ACT_ALLOW', args: [{ index: 0, op: 'SCMP_CMP_MASKED_EQ', valueTwo: 0 }] },
  ])
  t.match(rulesOf('clone3', plain), [{ action: 'SCMP_ACT_ERRNO', errnoRet: 38 }])
  t.match(rulesOf('clone', rules('s390x', [])), [{ args: [{ index: 1 }] }])
  const admin = rules('x64', ['CAP_SYS_ADMIN'])
  t.match(rulesOf('unshare', admin), [{ action: 'SCMP_ACT_ALLOW' }])
  t.equal(rulesOf('clone3', admin).length, 0)
})

t.test("a user's own profile is taken as it says", async (t) => {
  const own = parseSeccompProfile(
    JSON.stringify({
      defaultAction: 'SCMP_ACT_ALLOW',
      archMap: null,
      architectures: ['SCMP_ARCH_X86_64'],
      syscalls: [
        { name: 'unshare', action: 'SCMP_ACT_ALLOW' },
        { names: ['mount'], action: 'SCMP_ACT_ERRNO', errnoRet: 28, args: null },
        { names: ['bpf'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['CAP_BPF'] } },
        {
          names: ['clone'],
          action: 'SCMP_ACT_ALLOW',
          args: [{ index: 0, value: 1, op: 'SCMP_CMP_MASKED_EQ' }],
        },
      ],
    }),
  )
  t.same(ownSeccomp(own, 'x64', []), {
    defaultAction: 'SCMP_ACT_ALLOW',
    architectures: ['SCMP_ARCH_X86_64'],
    syscalls: [
      { names: ['unshare'], action: 'SCMP_ACT_ALLOW' },
      { names: ['mount'], action: 'SCMP_ACT_ERRNO', errnoRet: 28 },
      {
        names: ['clone'],
        action: 'SCMP_ACT_ALLOW',
        args: [{ index: 0, value: 1, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }],
      },
    ],
  })
  t.equal(ownSeccomp(own, 'x64', ['CAP_BPF']).syscalls.length, 4)
})

t.test('what is no profile is told by the place that is wrong', async (t) => {
  const rows: readonly (readonly [string, RegExp])[] = [
    ['nonsense', /must be "unconfined" or a seccomp profile in JSON/],
    ['[]', /is no seccomp profile: it /],
    ['{"defaultAction": "SCMP_ACT_NOTIFY"}', /defaultAction must be one of/],
    [
      '{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"action": "SCMP_ACT_LOG"}]}',
      /syscalls.0 must name its calls/,
    ],
  ]
  for (const [json, message] of rows) t.throws(() => parseSeccompProfile(json), { message })
})
