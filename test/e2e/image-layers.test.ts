// Images of many layers, as real ones are: what lies above hides, changes and takes away what lies below.
import { readFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import type { TarEntry } from '../../proto/lib/tar.ts'
import type { Executor } from '../../worker/executor/executor.ts'
import { type BusyboxRecipe, busyboxImage } from '../support/busybox-image.ts'
import { aScript } from '../support/container-configs.ts'
import {
  createExecutorHost,
  type ExecutorHost,
  loadImage,
  nothingLeft,
  runToEnd,
} from '../support/executor-host.ts'

t.setTimeout(180_000)

/** As many as Docker builds at most. */
const layersMax = 127

function aFile(path: string, text: string): TarEntry {
  return { kind: 'file', path, data: Buffer.from(text) }
}

async function aWorld(
  t: Test,
  recipe: BusyboxRecipe,
): Promise<{ readonly host: ExecutorHost; readonly executor: Executor }> {
  const host = await createExecutorHost()
  t.teardown(() => host.dispose())
  const { executor, images } = await host.open()
  await loadImage(images, await busyboxImage(recipe))
  return { host, executor }
}

t.test('upper layers win, and take away what they mark', async (t) => {
  const { host, executor } = await aWorld(t, {
    files: [aFile('data/kept', 'below'), aFile('data/gone', 'below'), aFile('whole/old', 'below')],
    layersAbove: [
      [aFile('data/kept', 'above'), aFile('data/.wh.gone', ''), aFile('data/new', 'above')],
      [aFile('whole/.wh..wh..opq', ''), aFile('whole/fresh', 'top')],
      [aFile('etc/passwd', 'root:x:0:0::/root:/bin/sh\nlate:x:77:78::/late:/bin/sh\n')],
    ],
  })
  const show = 'cat /data/kept; echo; ls /data /whole; id -u; id -g; echo $HOME'
  const expected = 'above\n/data:\nkept\nnew\n\n/whole:\nfresh\n77\n78\n/late'
  const run = await runToEnd(executor, aScript('plain', show, { user: 'late' }))
  t.equal(run.output, expected)

  const mounts = ['/data', '/whole'].map((target) => ({
    kind: 'volume' as const,
    name: target.slice(1),
    target,
  }))
  const filled = await runToEnd(executor, aScript('filled', show, { user: 'late', mounts }))
  t.equal(filled.output, expected, 'volumes are filled with what a container sees')

  const change = 'rm /data/kept; echo mine >/data/new; ls /data; cat /data/new'
  t.equal((await runToEnd(executor, aScript('change', change))).output, 'new\nmine')
  const other = await runToEnd(executor, aScript('other', 'cat /data/kept /data/new'))
  t.equal(other.output, 'aboveabove', 'each container has its own')

  for (const { id } of await executor.list()) await executor.remove(id)
  await executor.close()
  t.same(await host.leftovers(), nothingLeft)
})

t.test('as many layers as an image may have are mounted', async (t) => {
  const layersAbove = Array.from({ length: layersMax - 1 }, (_, at) => [
    aFile(`layers/${at + 1}`, ''),
    aFile('newest', `${at + 1}`),
  ])
  const { host, executor } = await aWorld(t, { layersAbove })
  const options = { user: 'app', mounts: [{ kind: 'volume' as const, target: '/layers' }] }
  const script = 'ls /layers | wc -l; cat /newest; echo x >/tmp/x'
  const run = await runToEnd(executor, aScript('deep', script, options))
  t.equal(run.output, `${layersMax - 1}\n${layersMax - 1}`)
  t.equal(run.exitCode, 0)
  const mounts = await readFile('/proc/self/mounts', 'utf8')
  t.notMatch(mounts, host.dirs.stateDir, 'the host sees none of it')
})
