// Bind mounts as containers see them: what is mounted below, before and after they began, and whether it can be written.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import t from 'tap'
import { runCommand } from '../../proto/lib/command.ts'
import type { BindMount } from '../../worker/executor/executor.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aJoinedScript, aScript } from '../support/container-configs.ts'
import {
  createExecutorHost,
  hasLogged,
  loadImage,
  logLines,
  never,
  nothingLeft,
  runToEnd,
} from '../support/executor-host.ts'

t.setTimeout(120_000)

async function ran(...argv: readonly string[]): Promise<void> {
  const { code, stderr } = await runCommand(argv)
  if (code !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`)
}

t.test('a bind mount', async (t) => {
  const host = await createExecutorHost()
  // Not in the host's folder: what is mounted there counts as left behind.
  const source = `/dev/shm/tsswarm-binds-${process.pid}`
  t.teardown(async () => {
    await runCommand(['umount', '--lazy', '--recursive', source])
    await ran('rmdir', source)
    await host.dispose()
  })
  await mkdir(source)
  await ran('mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', source)
  await ran('mount', '--make-shared', source)
  await mkdir(`${source}/below`)
  await mkdir(`${source}/late`)
  await ran('mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', `${source}/below`)
  await writeFile(`${source}/top-file`, 'top')
  await writeFile(`${source}/below/file`, 'below')
  const { executor, images } = await host.open()
  await loadImage(images, await busyboxImage())

  const bind = (over: Partial<BindMount>) => ({
    mounts: [{ kind: 'bind', source, target: '/b', ...over } as const],
  })
  const look =
    'cat /b/top-file; cat /b/below/file 2>/dev/null && echo; ' +
    'for at in /b /b/below; do touch $at/new 2>/dev/null && echo "$at written"; rm -f $at/new 2>/dev/null; done; true'
  const both = '/b written\n/b/below written'
  const cases: readonly (readonly [string, Partial<BindMount>, string])[] = [
    ['usual', {}, `topbelow\n${both}`],
    ['read-only', { readOnly: true }, 'topbelow\n'],
    ['writable', { readOnly: true, readOnlyRecursion: 'none' }, 'topbelow\n/b/below written'],
    ['required', { readOnly: true, readOnlyRecursion: 'required' }, 'topbelow\n'],
    ['alone', { nonRecursive: true }, `top${both}`],
    ['alone-ro', { nonRecursive: true, readOnly: true }, 'top'],
  ]
  for (const runtime of ['crun', 'runc'] as const) {
    for (const [name, over, seen] of cases) {
      await t.test(`${name}: what is mounted below, with ${runtime}`, async (t) => {
        const config = { runtime, ...bind(over) }
        const { output } = await runToEnd(
          executor,
          aJoinedScript(`${name}-${runtime}`, look, config),
        )
        t.equal(output, seen.trimEnd())
        t.equal(await readFile(`${source}/below/file`, 'utf8'), 'below')
      })
    }
  }

  await t.test('shows what the host mounts below later only as a slave', async (t) => {
    const waiting =
      'echo up; trap "cat /b/late/file; exit 0" TERM; while :; do sleep 1000 & wait $!; done'
    const kinds = ['rslave', 'slave', 'rprivate', 'private', undefined] as const
    const ids = kinds.map((kind) => `late-${kind ?? 'usual'}`)
    for (const [at, propagation] of kinds.entries()) {
      const id = ids[at] ?? ''
      await executor.create(
        aScript(id, waiting, bind(propagation === undefined ? {} : { propagation })),
        never,
      )
      await executor.start(id, never)
      await hasLogged(executor, id, 'up')
    }
    await ran('mount', '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', `${source}/late`)
    await writeFile(`${source}/late/file`, 'late')
    const seen: string[] = []
    for (const id of ids) {
      await executor.stop(id, {})
      if ((await logLines(executor, id)).includes('late')) seen.push(id)
    }
    t.same(seen, ['late-rslave', 'late-slave'])
  })

  await t.test('never shows the host what a container mounts', async (t) => {
    const security = { devices: [], privileged: true } as const
    const script = 'mkdir -p /b/own && mount -t tmpfs own /b/own && touch /b/own/file && ls /b/own'
    for (const propagation of ['rslave', 'rprivate'] as const) {
      const config = { security, ...bind({ propagation }) }
      const { output } = await runToEnd(
        executor,
        aJoinedScript(`own-${propagation}`, script, config),
      )
      t.equal(output, 'file')
      t.notMatch(await readFile('/proc/self/mountinfo', 'utf8'), `${source}/own`)
    }
    const shared = executor.create(
      aScript('shared', 'true', bind({ propagation: 'rshared' })),
      never,
    )
    await t.rejects(shared, { code: 'INVALID_ARGUMENT', message: /use rslave/ })
  })

  for (const { id } of await executor.list()) await executor.remove(id)
  await executor.close()
  t.same(await host.leftovers(), nothingLeft)
})
