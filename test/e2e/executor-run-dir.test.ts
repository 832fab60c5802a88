// A host whose run folder is on a disk: the executor mounts a tmpfs on it, once, and takes it away in the end.
import { readdir, readFile, rmdir, statfs, writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { releaseRunDir } from '../../worker/executor/container/run-dir.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aScript } from '../support/container-configs.ts'
import { aDaemon, killDaemon } from '../support/executor-daemons.ts'
import {
  createExecutorHost,
  type ExecutorHost,
  hasLogged,
  loadImage,
  logLines,
  never,
  nothingLeft,
  runToEnd,
} from '../support/executor-host.ts'
import { eventually } from '../support/netns.ts'

t.setTimeout(120_000)

const tmpfsMagic = 0x01021994

async function aHostOnDisk(t: Test): Promise<ExecutorHost> {
  const host = await createExecutorHost({ runRoot: '/var/tmp' })
  t.teardown(() => host.dispose())
  const { executor, images } = await host.open()
  await loadImage(images, await busyboxImage())
  await executor.close()
  return host
}

/** Mounts the host sees on the run folder, with their options. */
async function mountsOn({ dirs }: ExecutorHost): Promise<readonly string[]> {
  const lines = (await readFile('/proc/self/mounts', 'utf8')).split('\n')
  return lines.filter((line) => line.includes(dirs.runDir))
}

const ticking = 'i=0; while true; do i=$((i+1)); cat /etc/hostname; sleep 0.05; done'

t.test('bundles are in memory, and a daemon that is killed leaves them there', async (t) => {
  const host = await aHostOnDisk(t)
  const [mount = '', ...more] = await mountsOn(host)
  t.same(more, [])
  for (const option of ['nosuid', 'nodev', 'mode=711', 'size=']) t.match(mount, option)

  const env = ['SECRET=hidden']
  const daemon = await aDaemon(host, [aScript('runs', ticking, { env, user: 'app' })])
  await killDaemon(daemon)
  const config = `${host.dirs.runDir}/containers/runs/config.json`
  t.match(await readFile(config, 'utf8'), 'SECRET=hidden')
  t.equal((await statfs(config)).type, tmpfsMagic)

  const { executor } = await host.open()
  t.equal((await mountsOn(host)).length, 1, 'mounted once')
  t.match(await executor.inspect('runs'), { state: { kind: 'running' } })
  const before = (await logLines(executor, 'runs')).length
  await eventually(
    async () => (await logLines(executor, 'runs')).length > before,
    'it goes on, and reads what is bound from there',
  )
  const run = await runToEnd(executor, aScript('new', 'cat /etc/hosts; grep " /etc/" /proc/mounts'))
  for (const text of ['localhost', ' /etc/hosts ']) t.match(run.output, text)
  t.notMatch(run.output, 'tmpfs', 'a container can write nothing that lies in memory')
  await executor.close()

  await host.purge()
  await eventually(
    async () => JSON.stringify(await host.leftovers()) === JSON.stringify(nothingLeft),
    'neither mount nor process is left',
  )
  await t.rejects(readdir(host.dirs.runDir), { code: 'ENOENT' })
})

t.test('after a restart of the host it is mounted again, and what ended is known', async (t) => {
  const host = await aHostOnDisk(t)
  const { executor } = await host.open()
  await runToEnd(executor, aScript('had-ended', 'echo said; exit 4'))
  await executor.create(aScript('was-running', ticking), never)
  await executor.start('was-running', never)
  await hasLogged(executor, 'was-running', 'was-running')
  await executor.close()
  // As if: the mount is gone with the kernel, and the record is of another start of it.
  const path = `${host.dirs.stateDir}/containers/was-running/record.json`
  const record = JSON.parse(await readFile(path, 'utf8'))
  process.kill(record.monitor.pid, 'SIGKILL')
  process.kill(record.process.pid, 'SIGKILL')
  await writeFile(path, JSON.stringify({ ...record, bootId: 'another' }))
  await releaseRunDir(host.dirs.runDir)
  t.same(await readdir(host.dirs.runDir), [], 'nothing lies on the disk')

  const again = await host.open()
  t.equal((await mountsOn(host)).length, 1)
  const state = async (id: string) => (await again.executor.inspect(id)).state
  t.match(await state('had-ended'), { kind: 'exited', exit: { exitCode: 4 } })
  t.match(await state('was-running'), { exit: { error: 'the host was restarted' } })
  for (const { id } of await again.executor.list()) await again.executor.remove(id)
  await again.executor.close()
})

t.test('a folder nobody uses any more is given back', async (t) => {
  const host = await aHostOnDisk(t)
  await releaseRunDir(host.dirs.runDir)
  t.same(await mountsOn(host), [])
  await rmdir(host.dirs.runDir)
})
