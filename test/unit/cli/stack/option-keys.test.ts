// Rights and control groups in compose files: security_opt of the format, and x- keys for what Swarm ignores (decision 0072).
import t from 'tap'
import { loadCompose } from '../../../../cli/stack/load-compose.ts'
import { stackSpec } from '../../../../cli/stack/stack-spec.ts'
import { hasCode } from '../../../../proto/errors.ts'
import type { TaskSpec } from '../../../../proto/spec/service-spec.ts'

function stackOf(lines: readonly string[]) {
  const text = `services:\n  a:\n    image: i\n${lines.map((line) => `    ${line}\n`).join('')}`
  const project = loadCompose([{ name: 'f.yml', text }], {
    variables: new Map(),
    workingDir: '/',
    interpolates: true,
    readText: () => '',
  })
  return stackSpec('s', project)
}

function taskOf(...lines: readonly string[]): TaskSpec {
  const [service] = stackOf(lines).services
  if (service === undefined) throw new Error('no service')
  return service.spec.task
}

/** What is wrong with such a file, a line a fault; empty: nothing. */
function faultsOf(...lines: readonly string[]): string {
  try {
    taskOf(...lines)
    return ''
  } catch (err) {
    if (!hasCode(err, 'INVALID_ARGUMENT')) throw err
    return err.message
  }
}

t.test('security_opt is followed, with a colon or an equals sign', async (t) => {
  const { container } = taskOf(
    'security_opt: ["no-new-privileges:true", "seccomp=unconfined", "apparmor:web"]',
  )
  t.equal(container.noNewPrivileges, true)
  t.strictSame(container.security, { seccomp: 'unconfined', appArmor: 'web', devices: [] })
  t.notOk('security' in taskOf('security_opt: ["label=disable"]').container, 'left out, and said')
  t.match(faultsOf('security_opt: ["sandbox=on"]'), /f\.yml:4:.*"sandbox=on" is none of/)
})

t.test('a runtime is one that there is', async (t) => {
  t.equal(taskOf('runtime: runc').container.runtime, 'runc')
  t.notOk('runtime' in taskOf('init: true').container)
  t.match(faultsOf('runtime: nvidia'), /f\.yml:4:.*must be one of crun, runc/)
})

t.test('userns_mode is followed where it says host', async (t) => {
  t.strictSame(taskOf('userns_mode: host').container.security, { devices: [], hostUsers: true })
  t.notOk('security' in taskOf('userns_mode: private').container)
  t.notOk('security' in taskOf('userns_mode: ""').container)
})

t.test('privileged and devices have no effect, as under Swarm, but under x- keys', async (t) => {
  t.notOk('security' in taskOf('privileged: true', 'devices: ["/dev/fuse"]').container)
  t.strictSame(taskOf('x-privileged: true').container.security, { devices: [], privileged: true })
  t.notOk('security' in taskOf('x-privileged: false').container)
  t.strictSame(taskOf('x-devices: ["/dev/fuse", "/dev/a:/dev/b:r"]').container.security?.devices, [
    { source: '/dev/fuse', target: '/dev/fuse', access: 'rwm' },
    { source: '/dev/a', target: '/dev/b', access: 'r' },
  ])
  t.match(faultsOf('x-devices: [fuse]'), /f\.yml:4:.*must be PATH/)
  t.match(faultsOf('x-devices: ["/dev/a:/b:rr"]'), /some of r, w and m/)
  t.match(faultsOf('x-privileged: maybe'), /must be true or false/)
})

t.test('x-tuning has the names of docker run', async (t) => {
  const said =
    '{memory_swap: 8m, memory_swappiness: 0, cpuset_cpus: "0", cpuset_mems: "0", cpu_shares: 512, blkio_weight: 300, ' +
    'device_read_bps: "/dev/sda:1m", device_write_iops: ["/dev/sda:5"]}'
  t.strictSame(taskOf(`x-tuning: ${said}`).tuning, {
    ioLimits: [
      { kind: 'read-bps', device: '/dev/sda', rate: 2 ** 20 },
      { kind: 'write-iops', device: '/dev/sda', rate: 5 },
    ],
    swapBytes: 2 ** 23,
    swappiness: 0,
    cpus: '0',
    memoryNodes: '0',
    cpuShares: 512,
    blkioWeight: 300,
  })
  t.equal(taskOf('x-tuning: {}').tuning, undefined)
  t.match(
    faultsOf('x-tuning: {cpu: 1}'),
    /f\.yml:4:21: .*x-tuning\.cpu: is not known here: there are memory_swap/,
  )
  t.match(faultsOf('x-tuning: {memory_swap: much}'), /size such as/)
  t.match(faultsOf('x-tuning: {cpuset_cpus: 2-1}'), /numbers and ranges/)
})
