// What `service update` makes of rights and control groups: what no flag names stays, and every setting can be taken back.
import t from 'tap'
import { defineCommand } from '../../../../cli/command.ts'
import { parseCommand } from '../../../../cli/parse-args.ts'
import { splitWords } from '../../../../cli/service/csv.ts'
import { type UpdateFlags, updateFlags, updateSpec } from '../../../../cli/service/update-spec.ts'
import { serviceSpec } from '../../../../proto/spec/service-spec.ts'

const command = defineCommand({
  summary: '',
  examples: [],
  run: async () => 0,
  name: 'service update',
  args: { usage: 'SERVICE', min: 1, max: 1 },
  flags: updateFlags,
})

const fuse = { source: '/dev/fuse', target: '/dev/fuse', access: 'rwm' }
const full = serviceSpec.parse({
  name: 'web',
  task: {
    container: {
      image: 'hello',
      noNewPrivileges: true,
      runtime: 'runc',
      security: {
        seccomp: 'unconfined',
        appArmor: 'web',
        systemPathsUnconfined: true,
        devices: [fuse],
      },
    },
    limits: { memoryBytes: 2 ** 26 },
    tuning: {
      swapBytes: 0,
      swappiness: 5,
      cpus: '0',
      memoryNodes: '0',
      cpuShares: 512,
      blkioWeight: 300,
      ioLimits: [{ kind: 'read-bps', device: '/dev/sda', rate: 100 }],
    },
  },
})

function update(line: string) {
  const parsed = parseCommand(command, [...splitWords(line), 'web'])
  if (parsed.kind === 'help') throw new Error('help')
  return updateSpec(full, parsed.flags as UpdateFlags, {}).task
}

t.test('nothing said: nothing changes', async (t) => {
  t.strictSame(update(''), full.task)
})

t.test('a runtime is changed, and taken back', async (t) => {
  t.equal(update('--runtime crun').container.runtime, 'crun')
  t.notOk('runtime' in update('--runtime default').container)
  t.throws(() => update('--runtime youki'), { message: /must be one of crun, runc, default/ })
})

t.test('one option is changed, the others stay', async (t) => {
  const { security } = full.task.container
  t.strictSame(update('--security-opt seccomp=default').container.security, {
    appArmor: 'web',
    systemPathsUnconfined: true,
    devices: [fuse],
  })
  t.strictSame(update('--security-opt apparmor=db').container.security, {
    ...security,
    appArmor: 'db',
  })
  t.strictSame(update('--device-add /dev/kvm:/dev/fuse:r').container.security?.devices, [
    { source: '/dev/kvm', target: '/dev/fuse', access: 'r' },
  ])
  t.equal(update('--privileged').container.security?.privileged, true)
  t.strictSame(update('--userns host').container.security, { ...security, hostUsers: true })
  t.strictSame(update('--userns private').container.security, security)
  t.strictSame(update('--device-read-bps /dev/sda:200').tuning?.ioLimits, [
    { kind: 'read-bps', device: '/dev/sda', rate: 200 },
  ])
})

t.test('all can be taken back, and then the spec says nothing of it', async (t) => {
  const { container, tuning } = update(
    '--security-opt seccomp=default --security-opt apparmor=default --security-opt systempaths=default ' +
      '--security-opt no-new-privileges=false --device-rm /dev/fuse ' +
      '--memory-swap "" --memory-swappiness -1 --cpuset-cpus "" --cpuset-mems "" --cpu-shares 0 ' +
      '--blkio-weight 0 --device-read-bps /dev/sda:0',
  )
  t.notOk('security' in container)
  t.notOk('noNewPrivileges' in container)
  t.equal(tuning, undefined)
})
