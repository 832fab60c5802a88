import t from 'tap'
import type { RuntimeName } from '../../../../../proto/spec/runtime-names.ts'
import { placedMounts } from '../../../../../worker/executor/container/mounts.ts'
import { newRecord } from '../../../../../worker/executor/container/record.ts'
import {
  checkUserns,
  hasOwnUsers,
  ownerOfFile,
  raisedLimits,
} from '../../../../../worker/executor/container/user-namespace.ts'
import {
  tryUserns,
  usernsVariables,
} from '../../../../../worker/executor/container/userns-wrapper.ts'
import type { ContainerConfig } from '../../../../../worker/executor/executor.ts'
import type { SpawnOptions } from '../../../../../worker/executor/spawn/spawn-helper.ts'
import { aContainer } from '../../../../support/container-configs.ts'

const mapping = { uid: 200_000, gid: 300_000, size: 65_536 }
const root = { uid: 0, gid: 0, additionalGids: [0], home: '/root' }

t.test('what reaches the host has its users', async (t) => {
  const has = (over: Partial<ContainerConfig>) => hasOwnUsers(aContainer('a', over))
  t.ok(has({}))
  t.ok(has({ security: { devices: [], seccomp: 'unconfined' } }))
  t.notOk(has({ security: { devices: [], hostUsers: true } }))
  t.notOk(has({ security: { devices: [], privileged: true } }))
  t.notOk(has({ network: { kind: 'host' } }))
})

t.test('the record says which users a container has', async (t) => {
  const facts = { runtime: 'crun' as const, createdAtMs: 1, bootId: 'b' }
  t.strictSame(newRecord(aContainer('a'), { ...facts, remap: mapping }).userns, mapping)
  t.notOk('userns' in newRecord(aContainer('a'), { ...facts, remap: undefined }))
  const host = aContainer('a', { network: { kind: 'host' } })
  t.notOk('userns' in newRecord(host, { ...facts, remap: mapping }))
})

t.test('users are of the range', async (t) => {
  const check = (over: Partial<typeof root>) =>
    checkUserns(aContainer('a'), { ...root, ...over }, mapping, 'crun')
  check({ uid: 65_535, gid: 65_535, additionalGids: [65_535] })
  const refused = { code: 'INVALID_ARGUMENT', message: /65536, and .* 0 to 65535 alone/ } as const
  t.throws(() => check({ uid: 65_536 }), refused)
  t.throws(() => check({ gid: 65_536 }), refused)
  t.throws(() => check({ additionalGids: [0, 65_536] }), refused)
})

t.test('runc has no other names for devices', async (t) => {
  const device = { source: '/dev/fuse', target: '/dev/other', access: 'rw' }
  const check = (runtime: RuntimeName, target = device.target) => {
    const security = { devices: [{ ...device, target }] }
    checkUserns(aContainer('a', { security }), root, mapping, runtime)
  }
  check('crun')
  check('runc', device.source)
  t.throws(() => check('runc'), { code: 'UNSUPPORTED', message: /\/dev\/fuse as \/dev\/other/ })
})

t.test('files belong to numbers of the range', async (t) => {
  const file = { target: '/key', uid: 5, gid: 6, mode: 0o400, data: () => new Uint8Array() }
  t.strictSame(ownerOfFile('a', file, mapping), { uid: 200_005, gid: 300_006 })
  t.throws(() => ownerOfFile('a', { ...file, gid: 65_536 }, mapping), {
    code: 'INVALID_ARGUMENT',
    message: /a is given \/key of user 5 and group 65536/,
  })
})

t.test('only limits above those of the daemon are raised', async (t) => {
  const limits = `Limit                     Soft Limit           Hard Limit           Units
Max processes             1000                 2000                 processes
Max open files            1024                 4096                 files
Max core file size        0                    unlimited            bytes
Max nice priority         0                    0
`
  const raised = (name: string, hard: number) =>
    raisedLimits([{ name, soft: 0, hard }], limits).join(' ')
  t.equal(raised('nofile', 4096), '')
  t.equal(raised('nofile', 4097), '--nofile=:4097')
  t.equal(raised('nproc', -1), '--nproc=:unlimited')
  t.equal(raised('core', -1), '')
  t.equal(raised('nice', 1), '--nice=:1')
  t.equal(raised('stack', -1), '', 'of one that is not listed nothing is known')
})

t.test('volumes have a place, in their order, and nothing else has', async (t) => {
  const one = { kind: 'volume', target: '/a', path: '/v/a b', readOnly: false } as const
  const bind = {
    kind: 'bind',
    mount: { kind: 'bind', source: '/s', target: '/s' },
    isFolder: true,
  } as const
  const two = { ...one, target: '/b', path: '/v/b', readOnly: true }
  t.strictSame(placedMounts([one, bind, two], '/place'), {
    mounts: [{ ...one, path: '/place/0' }, bind, { ...two, path: '/place/1' }],
    volumes: ['/v/a b', '/v/b'],
  })
})

t.test('the wrapper is told all of it in variables', async (t) => {
  const creation = { mapping, volumes: ['/v/a b'], limits: ['--a=:1', '--b=:2'], oomScoreAdj: -5 }
  t.match(usernsVariables(creation, '/place'), {
    TSSWARM_MAPPING: '200000 300000 65536',
    TSSWARM_UNSHARE: /^\d+$/,
    TSSWARM_PLACE: '/place',
    TSSWARM_LIMITS: '--a=:1 --b=:2',
    TSSWARM_OOM: '-5',
    TSSWARM_VOLUMES: '1',
    TSSWARM_VOLUME_0: '/v/a b',
  })
})

t.test('a host that cannot do it is told so, with the remedy', async (t) => {
  const asked: (readonly string[])[] = []
  const helper = (code: number, stderr: string) => ({
    spawn: async (argv: readonly string[], _: SpawnOptions = {}) => {
      asked.push(argv)
      return { code, stderr, stdout: '', sync: '' }
    },
  })
  await tryUserns(helper(0, ''), mapping, '/state')
  t.ok(asked[0]?.includes('/state'))
  await t.rejects(tryUserns(helper(1, 'noise\nno user namespace: why\n'), mapping, '/state'), {
    code: 'HOST_UNFIT',
    message:
      /cannot do it: no user namespace: why; it takes Linux 5\.19 .*; or set usernsRemap to off/,
  })
  await t.rejects(tryUserns(helper(127, ''), mapping, '/state'), {
    message: /the trial ended without a word/,
  })
})
