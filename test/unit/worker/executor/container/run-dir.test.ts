import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import type { ExecutorDirs } from '../../../../../worker/executor/container/paths.ts'
import { prepareRunDir, releaseRunDir } from '../../../../../worker/executor/container/run-dir.ts'

interface World {
  readonly dirs: ExecutorDirs
  /** Commands that were run. */
  readonly commands: string[][]
  readonly run: Parameters<typeof prepareRunDir>[1]
}

/** Folders on a disk, where `mount` only writes down that it was called. */
async function aWorld(t: Test, stderr = ''): Promise<World> {
  const root = await mkdtemp('/var/tmp/tsswarm-run-dir-')
  t.teardown(() => rm(root, { recursive: true }))
  const commands: string[][] = []
  return {
    dirs: { stateDir: `${root}/state`, runDir: `${root}/run`, cgroupParent: '/x' },
    commands,
    run: async (argv) => {
      commands.push([...argv])
      return { code: stderr === '' ? 0 : 32, stdout: '', stderr }
    },
  }
}

async function aBundle({ runDir }: ExecutorDirs, id: string, record: object): Promise<void> {
  await mkdir(`${runDir}/containers/${id}`, { recursive: true })
  await writeFile(`${runDir}/containers/${id}/record.json`, JSON.stringify(record))
}

t.test('a run folder on a disk gets a bounded tmpfs', async (t) => {
  const { dirs, commands, run } = await aWorld(t)
  t.same(await prepareRunDir(dirs, run), { kind: 'in memory' })
  t.equal(commands.length, 1)
  t.match(commands[0], ['mount', '-t', 'tmpfs', '-o', /^mode=0711,nosuid,nodev,size=\d+%/])
  t.equal(commands[0]?.at(-1), dirs.runDir)
})

t.test('one in memory already is left as it is', async (t) => {
  const { dirs, commands, run } = await aWorld(t)
  const runDir = await mkdtemp('/dev/shm/tsswarm-run-dir-')
  t.teardown(() => rm(runDir, { recursive: true }))
  t.same(await prepareRunDir({ ...dirs, runDir }, run), { kind: 'in memory' })
  await releaseRunDir(runDir, run)
  t.same(commands, [], 'and not unmounted: it is not ours')
})

t.test('what an earlier start of the host left on the disk does not stay there', async (t) => {
  const { dirs, commands, run } = await aWorld(t)
  await aBundle(dirs, 'old', { format: 1, bootId: 'another' })
  await mkdir(`${dirs.runDir}/images/auth-1`, { recursive: true })
  await prepareRunDir(dirs, run)
  t.equal(commands.length, 1)
  t.same(await readdir(dirs.runDir), [])
})

t.test('containers of this start of the host keep their folder', async (t) => {
  const bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
  for (const record of [{ format: 1, bootId }, { half: 'made' }]) {
    const { dirs, commands, run } = await aWorld(t)
    await aBundle(dirs, 'old', { format: 1, bootId: 'another' })
    await aBundle(dirs, 'now', record)
    t.match(await prepareRunDir(dirs, run), { kind: 'on disk', why: /containers.*live in it/ })
    t.same(commands, [])
    t.same(await readdir(`${dirs.runDir}/containers`), ['now', 'old'])
  }
})

t.test('a host that mounts nothing says why', async (t) => {
  const { dirs, run } = await aWorld(t, 'mount: permission denied\n')
  const place = await prepareRunDir(dirs, run)
  t.same(place, { kind: 'on disk', why: 'mount: permission denied' })
})
