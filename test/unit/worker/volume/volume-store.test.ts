import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { createSpawnHelper } from '../../../../worker/executor/spawn/spawn-helper.ts'
import { VolumeStore } from '../../../../worker/volume/volume-store.ts'

async function aStore(t: Test) {
  const dir = await mkdtemp('/tmp/tsswarm-volumes-')
  const helper = createSpawnHelper()
  t.teardown(async () => {
    await helper.close()
    await rm(dir, { recursive: true, force: true })
  })
  const image = `${dir}/image`
  await mkdir(image, { mode: 0o750 })
  await writeFile(`${image}/file`, 'from the image')
  await mkdir(`${dir}/volumes`)
  const fillFrom = <T>(work: (path: string | undefined) => Promise<T>): Promise<T> => work(image)
  return {
    dir: `${dir}/volumes`,
    image,
    fillFrom,
    store: new VolumeStore(`${dir}/volumes`, helper),
  }
}

t.test("a new volume is filled once, with the folder's own mode", async (t) => {
  const { store, fillFrom } = await aStore(t)
  const request = { name: 'data', labels: { a: 'b' }, fillFrom }
  const [path, same] = await Promise.all([store.ensure(request), store.ensure(request)])
  t.equal(path, same)
  t.equal(await readFile(`${path}/file`, 'utf8'), 'from the image')
  t.equal((await stat(path)).mode & 0o777, 0o750)
  await writeFile(`${path}/file`, 'changed')
  await store.ensure(request)
  t.equal(await readFile(`${path}/file`, 'utf8'), 'changed')
  t.same(await store.list(), [{ name: 'data', labels: { a: 'b' }, path }])
})

t.test(
  'without a source, without a folder or with a file in the image it stays empty',
  async (t) => {
    const { store, image } = await aStore(t)
    const none = await store.ensure({ name: 'a', labels: {}, fillFrom: undefined })
    const absent = await store.ensure({
      name: 'b',
      labels: {},
      fillFrom: (work) => work(undefined),
    })
    const file = await store.ensure({
      name: 'c',
      labels: {},
      fillFrom: (work) => work(`${image}/file`),
    })
    for (const path of [none, absent, file]) t.same(await readdir(path), [])
  },
)

t.test('what a crash left half-filled is filled anew', async (t) => {
  const { store, dir, fillFrom } = await aStore(t)
  await mkdir(`${dir}/data/_data`, { recursive: true })
  await writeFile(`${dir}/data/_data/half`, '')
  await writeFile(`${dir}/data/filling`, '')
  const path = await store.ensure({ name: 'data', labels: {}, fillFrom })
  t.same(await readdir(path), ['file'])
  t.same((await readdir(`${dir}/data`)).toSorted(), ['_data'])
  t.match(await store.list(), [{ name: 'data', labels: {} }], 'its labels were lost with the crash')
})

t.test('a copy that fails is told, and tried again', async (t) => {
  const { store, fillFrom } = await aStore(t)
  const broken = { name: 'x', labels: {}, fillFrom: () => Promise.reject(new Error('no view')) }
  await t.rejects(store.ensure(broken), /no view/)
  const path = await store.ensure({ name: 'x', labels: {}, fillFrom })
  t.same(await readdir(path), ['file'])
})

t.test('removal, and names that could do harm', async (t) => {
  const { store, fillFrom } = await aStore(t)
  await store.ensure({ name: 'data', labels: {}, fillFrom })
  await store.remove('data')
  await store.remove('data')
  t.same(await store.list(), [])
  for (const name of ['', '.', '../x', 'a/b', '-rf', 'a'.repeat(256)]) {
    t.throws(() => store.ensure({ name, labels: {}, fillFrom }), { code: 'INVALID_ARGUMENT' }, name)
    t.throws(() => store.remove(name), { code: 'INVALID_ARGUMENT' }, name)
  }
})
