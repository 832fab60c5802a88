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

t.test('a limit and a working directory that cannot be are told with what to do', async (t) => {
  for (const text of [
    'setrlimit `RLIMIT_NOFILE`: Operation not permitted',
    'level=error msg="container init: error setting rlimit type 7: operation not permitted"',
  ]) {
    t.match(said(text), {
      code: 'UNSUPPORTED',
      message: /^creation of container c failed: a ulimit is above the hard limit of the daemon/,
    })
  }
  const init = 'unable to start container process: error during container init: '
  for (const text of [
    'chdir `/etc/passwd`: Not a directory',
    `level=error msg="${init}mkdir /etc/passwd: not a directory"`,
    `level=error msg="${init}chdir to cwd (\\"/etc/passwd\\") set in config.json failed: not a directory"`,
  ]) {
    t.match(said(text), {
      code: 'INVALID_ARGUMENT',
      message:
        /: its working directory \/etc\/passwd cannot be entered: not a directory: name a folder/,
    })
  }
  const mount = 'error mounting "/a" to rootfs at "/b": mkdir /r/b: not a directory'
  t.match(said(`level=error msg="${init}${mount}"`), { code: 'INTERNAL' })
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
