import t from 'tap'
import { runtimeError } from '../../../../../worker/executor/container/oci-errors.ts'

const said = (text: string) => {
  const { code, message } = runtimeError('creation of container c', text)
  return { code, message }
}

t.test('the command, and what is unknown', async (t) => {
  t.match(said('executable file `/x` not found in $PATH'), { code: 'INVALID_ARGUMENT' })
  t.match(said('mount `x`: No such device'), { code: 'INTERNAL', message: /No such device$/ })
  for (const text of [
    'write to /proc/self/oom_score_adj: Permission denied',
    'nsexec[32476]: failed to update /proc/self/oom_score_adj: Permission denied',
  ]) {
    t.match(said(text), { code: 'UNSUPPORTED', message: /CAP_SYS_RESOURCE here: choose a higher/ })
  }
  t.match(said(' '), { code: 'INTERNAL', message: /gave no reason/ })
})

t.test('a kernel setting that a container cannot have is named, with what to do', async (t) => {
  const runc =
    'runc create failed: unable to start container process: error during container init: '
  const log = (text: string) => `time="2026-01-01T00:00:00Z" level=error msg="${runc}${text}"`
  for (const text of [
    'open /proc/sys/net/core/rmem_max: Permission denied',
    'open `/proc/sys/net/core/rmem_max`: Permission denied',
    log('open /proc/sys/net/core/rmem_max: permission denied'),
  ]) {
    t.match(said(text), {
      code: 'UNSUPPORTED',
      message:
        /^creation of container c failed: sysctl net\.core\.rmem_max: permission denied: .*whole host: leave it out/,
    })
  }
  t.match(said(log('write /proc/sys/net/ipv4/tcp_rmem: invalid argument')), {
    code: 'INVALID_ARGUMENT',
    message: /sysctl net\.ipv4\.tcp_rmem: invalid argument: the kernel takes no such value/,
  })
  t.match(said('write to /proc/sys/net/ipv4/tcp_rmem: Invalid argument'), {
    code: 'INVALID_ARGUMENT',
  })
  t.match(said('open /proc/sys/net/ipv4/conf/eth0/rp_filter: No such file or directory'), {
    code: 'UNSUPPORTED',
    message: /interfaces after that: .* com\.docker\.network\.endpoint\.sysctls$/,
  })
  t.match(said('open /proc/sys/net/ipv4/conf/all/none: No such file or directory'), {
    message: /leave it out/,
  })
})
