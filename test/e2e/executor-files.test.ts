// Files that a container is given, on a real kernel: owner and mode, in memory only, gone with it.
import { execFile } from 'node:child_process'
import { readdir, rm } from 'node:fs/promises'
import { promisify } from 'node:util'
import t from 'tap'
import { writeFiles } from '../../worker/executor/container/files.ts'
import type { FileMount } from '../../worker/executor/executor.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aScript } from '../support/container-configs.ts'
import {
  createExecutorHost,
  loadImage,
  logLines,
  never,
  nothingLeft,
  runToEnd,
} from '../support/executor-host.ts'
import { eventually } from '../support/netns.ts'

t.setTimeout(120_000)
const mark = `secret-${Math.random().toString(36).slice(2)}`

function aFile(target: string, over: Partial<FileMount> = {}): FileMount {
  return { target, uid: 0, gid: 0, mode: 0o444, data: () => Buffer.from(mark), ...over }
}

/** Files below the folder that hold the mark. */
async function holders(folder: string): Promise<readonly string[]> {
  const run = promisify(execFile)
  const found = await run('grep', ['-rlF', mark, folder]).catch((err: unknown) => {
    if (err instanceof Error && 'code' in err && err.code === 1) return { stdout: '' }
    throw err
  })
  return found.stdout.split('\n').filter((line) => line !== '')
}

t.test('files in memory', async (t) => {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const { executor, images } = await host.open()
  await loadImage(images, await busyboxImage())

  await t.test('have their owner and mode, and nobody writes them', async (t) => {
    const script =
      'ls -lnL /run/secrets/db /etc/app/conf; cat /run/secrets/db; echo; id -u; ' +
      'echo x > /run/secrets/db; chmod 777 /run/secrets/db; rm -f /run/secrets/db; grep /secrets/ /proc/mounts'
    const files = [
      aFile('/run/secrets/db', { uid: 1000, gid: 1001, mode: 0o400 }),
      aFile('/etc/app/conf', { mode: 0o640 }),
    ]
    const run = await runToEnd(executor, aScript('owned', script, { files, user: 'app' }))
    t.match(run.output, /-r-------- +1 1000 +1001 .* \/run\/secrets\/db/)
    t.match(run.output, /-rw-r----- +1 0 +0 .* \/etc\/app\/conf/)
    t.match(run.output, mark)
    t.match(run.output, /Read-only file system/)
    t.match(run.output, /tmpfs \/run\/secrets\/db tmpfs ro,nosuid,nodev,noexec/)
    // It wrote what it read into its log.
    await executor.remove('owned')
  })

  await t.test('are in memory only, and gone when the container has ended', async (t) => {
    const files = [aFile('/run/secrets/db'), aFile('/conf')]
    const config = aScript('scan', 'sleep 1000', { files, readOnly: true, stopGraceMs: 100 })
    await executor.create(config, never)
    await executor.start('scan', never)
    t.same(await holders(host.scratchDir), [], 'nothing on disk')
    const inMemory = await holders(host.dirs.runDir)
    t.equal(inMemory.length, 2, inMemory.join())
    t.notMatch(JSON.stringify(await executor.inspect('scan')), mark)

    const { executor: adopted } = await host.open()
    t.match((await adopted.inspect('scan')).state, { kind: 'running' })
    await adopted.stop('scan', {})
    await adopted.remove('scan')
    t.same(await holders(host.dirs.runDir), [])
    t.same(await readdir(`${host.dirs.runDir}/containers`), [])
  })

  await t.test('lie in a tmpfs of the container, and in the place of its own files', async (t) => {
    const { executor } = await host.open()
    const files = [aFile('/run/secrets/db'), aFile('/etc/hosts')]
    const mounts = [{ kind: 'tmpfs' as const, target: '/run' }]
    const config = aScript('nested', 'cat /run/secrets/db /etc/hosts', { files, mounts })
    t.equal((await runToEnd(executor, config)).output, mark + mark)
    await eventually(
      async () => (await holders(host.dirs.runDir)).length === 0,
      'they are gone with its end',
    )
    t.match(await logLines(executor, 'nested'), [mark + mark])
    await executor.remove('nested')
  })
  t.same(await host.leftovers(), nothingLeft)
})

t.test('where the run folder is on disk a container with files is refused', async (t) => {
  const folder = '/var/tmp/tsswarm-files-test'
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await t.rejects(writeFiles(folder, [aFile('/x')]), {
    code: 'FAILED_PRECONDITION',
    message: /kept in memory only, and \/var\/tmp\/tsswarm-files-test is on disk/,
  })
  t.same(await readdir(folder), [])
})
