// What a container cannot do to its host and to others, tried from inside on a real kernel.
import { createHash } from 'node:crypto'
import { copyFile, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import t from 'tap'
import { busyboxPath } from '../../cli/lab/busybox-files.ts'
import { deviceNumbers } from '../../worker/executor/container/devices.ts'
import type { Executor } from '../../worker/executor/executor.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aContainer, aJoinedScript } from '../support/container-configs.ts'
import {
  createExecutorHost,
  hasLogged,
  loadImage,
  logLines,
  never,
  runToEnd,
} from '../support/executor-host.ts'
import { hijackFiles } from '../support/runtime-hijack.ts'

t.setTimeout(120_000)

const secret = 'what is only on the host'

t.test('a container', async (t) => {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const runtimePath = `${host.scratchDir}/crun`
  await copyFile('/usr/bin/crun', runtimePath)
  const { executor, images } = await host.open({ runtimePath })
  const su = {
    kind: 'file',
    path: 'suid/su',
    mode: 0o4755,
    data: await readFile(busyboxPath),
  } as const
  await loadImage(images, await busyboxImage({ files: [su] }))
  await writeFile(`${host.scratchDir}/secret`, secret)

  await t.test('writes to no masked and no read-only path', async (t) => {
    const paths = ['/proc/sys/kernel/panic', '/proc/sysrq-trigger', '/proc/irq/x', '/sys/x']
    const script = [
      ...paths.map((path) => `(echo 1 > ${path}) 2>/dev/null && echo WROTE ${path}`),
      // Of version 1 the folder of the trees is not one itself.
      'for d in /sys/fs/cgroup /sys/fs/cgroup/*; do [ -e $d/cgroup.procs ] && mkdir $d/x && echo WROTE $d; done 2>/dev/null',
      // Masked files are /dev/null, masked folders empty and read-only. Kernels differ in which they have.
      'for f in kcore keys timer_list interrupts; do [ -e /proc/$f ] && wc -c < /proc/$f; done | sort | uniq',
      'ls /sys/firmware | wc -l',
      'mount -o remount,rw /proc/sys 2>/dev/null && echo REMOUNTED',
      'umount /proc/interrupts 2>/dev/null && echo UNMOUNTED',
      'echo end',
    ]
    const { output } = await runToEnd(executor, aJoinedScript('masked', script.join('; ')))
    t.equal(output, '0\n0\nend')
  })

  await t.test('gains no capability that was dropped', async (t) => {
    const script =
      'grep -E "Cap(Bnd|Eff|Prm)" /proc/self/status; chown app /tmp 2>/dev/null && echo CHOWNED; ' +
      'chroot / true 2>/dev/null && echo CHROOTED; mknod /x c 1 3 2>/dev/null && echo MADE; true'
    const { output } = await runToEnd(
      executor,
      aJoinedScript('dropped', script, { capDrop: ['ALL'] }),
    )
    t.match(output, /CapPrm:\t0+\nCapEff:\t0+\nCapBnd:\t0+$/)
    for (const noNewPrivileges of [false, true]) {
      const id = `bit-${noNewPrivileges}`
      const user = aJoinedScript(id, '/suid/su -Z; true', { user: 'app', noNewPrivileges })
      const refused = /must be suid/.test((await runToEnd(executor, user)).output)
      t.equal(refused, noNewPrivileges, 'with no-new-privileges the bit gives nothing')
    }
  })

  await t.test('sees and signals no process but its own', async (t) => {
    await executor.create(aJoinedScript('other', 'echo up; sleep 4321'), never)
    const { state } = await executor.start('other', never)
    if (state.kind !== 'running') throw new Error('it does not run')
    const script = `ls /proc | grep -c '^[0-9]'; ps | grep -c '[4]321'; kill -9 ${state.pid} 2>&1; ipcs -m 2>/dev/null; true`
    const { output } = await runToEnd(executor, aJoinedScript('alone', script))
    t.match(output, /^[1-4]\n0\n.*No such process/)
    t.equal((await executor.inspect('other')).state.kind, 'running')
  })

  await t.test('opens no device that it was not given', async (t) => {
    const { major, minor } = await aDisk()
    // It may make nodes, as under Docker, and the control group lets it open none of them.
    const script =
      `mknod /disk b ${major} ${minor} && echo made; head -c 1 /disk; mknod /kmsg c 1 11; echo x > /kmsg; ` +
      'mknod /null2 c 1 3 && echo x > /null2 && echo null'
    const { output } = await runToEnd(executor, aJoinedScript('devices', script))
    t.match(
      output,
      /^made\nhead: \/disk: Operation not permitted\n.*\/kmsg: Operation not permitted\nnull$/,
    )
  })

  await t.test('exceeds neither its memory nor its number of processes', async (t) => {
    const resources = { memoryBytes: 16 << 20, pids: 5 }
    const eats = aJoinedScript('eats', 'x=aaaaaaaa; while true; do x=$x$x; done', { resources })
    t.match(await runToEnd(executor, eats), { exitCode: 137, oomKilled: true })
    const bomb = aJoinedScript('bomb', 'b() { b | b & }; b; wait; true', { resources })
    await executor.create(bomb, never)
    await executor.start('bomb', never)
    await hasLogged(executor, 'bomb', 'fork')
    t.ok((await executor.stats('bomb').catch(() => ({ pids: 0 }))).pids <= resources.pids)
    await executor.remove('bomb')
  })

  await t.test('has no open file of the host, and no working directory there', async (t) => {
    await executor.create(aJoinedScript('files', 'echo up; sleep 1000'), never)
    await executor.start('files', never)
    const list = ['/bin/sh', '-c', 'ls /proc/self/fd; ls -l /proc/1/fd']
    const asked = await executor.probe('files', { argv: list, timeoutMs: 10_000 }, never)
    t.match(asked.output, /^0\n1\n2\n3\n/, 'standard streams, and the folder that ls reads')
    t.notMatch(asked.output, /-> \/(?!dev\/)/)
    const descriptors = [3, 4, 5, 6, 7, 8, 9, 10]
    const leaks = await Promise.all(
      descriptors.map((at) => workdirAt(executor, at, host.scratchDir)),
    )
    t.strictSame(
      leaks.filter((output) => output.includes(secret)),
      [],
      'Source: CVE-2024-21626',
    )
  })

  await t.test('does not reach its runtime by /proc/self/exe', async (t) => {
    if (process.arch !== 'x64') {
      t.pass('the loader of this test is for x86-64')
      return
    }
    const name = 'test/hijack:latest'
    await loadImage(images, await busyboxImage({ name, files: hijackFiles() }))
    const before = await hashOf(runtimePath)
    const config = aContainer('hijack', { image: 'test/hijack', entrypoint: ['/evil/sh'] })
    const { output, exitCode } = await runToEnd(executor, config)
    if (output === '') {
      // Seen with Linux 6.1: the runtime is not run at all.
      t.not(exitCode, 0, 'the kernel does not start the runtime with this loader')
    } else {
      t.match(output, /^fd 3: /, 'the runtime ran with it, and its file is open')
      t.match(output, /Read-only file system|not permitted|Permission denied/)
    }
    t.notMatch(output, 'WROTE')
    t.equal(await hashOf(runtimePath), before)
  })
})

/** What a container sees by the relative path to the host's file, when its working directory is one of its runtime's descriptors. */
async function workdirAt(executor: Executor, at: number, scratchDir: string): Promise<string> {
  const id = `workdir-${at}`
  const up = '../'.repeat(12)
  const config = aJoinedScript(id, `cat ${up}${scratchDir}/secret 2>&1; pwd`, {
    workdir: `/proc/self/fd/${at}`,
  })
  try {
    return (await runToEnd(executor, config)).output
  } catch (err) {
    // Not made, or not started: nothing was seen.
    const made = (await executor.list()).some((one) => one.id === id)
    return `${String(err)} ${made ? (await logLines(executor, id)).join('\n') : ''}`
  }
}

/** Of a disk of this host; where it shows none, of the first SCSI disk: the control group is asked before the driver. */
async function aDisk(): Promise<{ readonly major: number; readonly minor: number }> {
  for (const name of await readdir('/sys/block')) {
    const found = await stat(`/dev/${name}`).catch(() => undefined)
    if (found?.isBlockDevice()) return deviceNumbers(found.rdev)
  }
  return { major: 8, minor: 0 }
}

async function hashOf(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
}
