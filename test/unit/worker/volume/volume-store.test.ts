import { execFileSync, spawn } from 'node:child_process'
import {
  chmod,
  chown,
  lchown,
  link,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { systemRandom } from '../../../../proto/lib/random.ts'
import { createSpawnHelper } from '../../../../worker/executor/spawn/spawn-helper.ts'
import { VolumeStore } from '../../../../worker/volume/volume-store.ts'

/** Puts a link in the place of each `folder` that appears, and takes it away again, until a file tells that it is enough. */
const swapper = `my ($data, $victim, $enough) = @ARGV; chdir $data or die;
my $n = 0;
until (-e $enough) {
  next unless rename 'folder', ".gone-" . $n++;
  symlink $victim, 'folder';
  select undef, undef, undef, 0.002;
  unlink 'folder';
}`

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
  const open = async () => {
    const options = { dir: `${dir}/volumes`, helper, clock: systemClock, random: systemRandom }
    const store = new VolumeStore(options)
    await store.open()
    return store
  }
  const fillFrom = <T>(work: (path: string | undefined) => Promise<T>): Promise<T> => work(image)
  return { dir: `${dir}/volumes`, image, fillFrom, store: await open(), open, helper }
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
  t.match(await store.list(), [{ name: 'data', labels: { a: 'b' }, options: {}, path }])
  t.ok((await store.find('data')).createdAtMs > 0)
  t.ok((await store.size('data')) > 0)
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

t.test('one that was made before and is empty is filled at its first use', async (t) => {
  const { store, fillFrom } = await aStore(t)
  await store.create({ name: 'data', labels: { a: 'b' } })
  const path = await store.ensure({ name: 'data', labels: {}, fillFrom })
  t.same(await readdir(path), ['file'])
  t.match(await store.find('data'), { labels: { a: 'b' } }, 'its own labels stay')
})

t.test('what a crash left half-filled is filled anew', async (t) => {
  const { store, dir, fillFrom } = await aStore(t)
  await mkdir(`${dir}/data/_data`, { recursive: true })
  await writeFile(`${dir}/data/_data/half`, '')
  await writeFile(`${dir}/data/filling`, '')
  const path = await store.ensure({ name: 'data', labels: {}, fillFrom })
  t.same(await readdir(path), ['file'])
  t.same((await readdir(`${dir}/data`)).toSorted(), ['_data'])
  t.match(await store.list(), [{ name: 'data', labels: {} }], 'it is one of an earlier version')
})

t.test(
  'half-filled and wanted empty, it is emptied; used by others, it is filled over',
  async (t) => {
    const { store, dir, fillFrom } = await aStore(t)
    await store.create({ name: 'data', labels: {} })
    const data = `${dir}/data/_data`
    await writeFile(`${data}/file`, 'fr')
    await writeFile(`${data}/other`, 'of another')
    await writeFile(`${dir}/data/filling`, '')
    store.setUsage(() => [{ containerId: 'c1', name: 'web.1', isLive: true }])
    await store.ensure({ name: 'data', labels: {}, fillFrom, containerId: 'c2' })
    t.equal(await readFile(`${data}/file`, 'utf8'), 'from the image')
    t.equal(await readFile(`${data}/other`, 'utf8'), 'of another')
    await writeFile(`${dir}/data/filling`, '')
    store.setUsage(() => [])
    await store.ensure({ name: 'data', labels: {}, fillFrom: undefined })
    t.same(await readdir(data), [])
    t.same(await readdir(`${dir}/data`), ['_data', 'volume.json'])
  },
)

t.test('what others lay where a volume is being filled leads nowhere', async (t) => {
  const { store, dir, image, fillFrom } = await aStore(t)
  const victim = `${dir}/../victim`
  await mkdir(victim)
  for (const name of ['linked', 'inside']) await writeFile(`${victim}/${name}`, 'of the host')
  await mkdir(`${image}/folder`)
  for (const name of ['linked', 'pipe', 'disk', 'folder/inside'])
    await writeFile(`${image}/${name}`, 'from the image')
  await store.create({ name: 'data', labels: {} })
  const data = `${dir}/data/_data`
  store.setUsage(() => [{ containerId: 'c1', name: 'web.1', isLive: true }])
  const request = { name: 'data', labels: {}, fillFrom, containerId: 'c2' }

  await symlink(`${victim}/linked`, `${data}/linked`)
  execFileSync('mkfifo', [`${data}/pipe`])
  // Reads as nothing and swallows what is written: what the copy did with it is seen by what is there afterwards.
  execFileSync('mknod', [`${data}/disk`, 'c', '1', '3'])
  await writeFile(`${dir}/data/filling`, '')
  await store.ensure(request)
  t.equal(await readFile(`${victim}/linked`, 'utf8'), 'of the host')
  for (const name of ['linked', 'pipe', 'disk']) {
    t.ok((await lstat(`${data}/${name}`)).isFile(), `${name} is a file of the volume now`)
    t.equal(await readFile(`${data}/${name}`, 'utf8'), 'from the image')
  }

  await rm(`${data}/folder`, { recursive: true })
  await symlink(victim, `${data}/folder`)
  await writeFile(`${dir}/data/filling`, '')
  await t.rejects(store.ensure(request), { code: 'INTERNAL', message: /fill it with the image's/ })
  t.equal(await readFile(`${victim}/inside`, 'utf8'), 'of the host')
})

t.test('a folder that is swapped for a link while it is filled leads nowhere', async (t) => {
  const { store, dir, image, helper, fillFrom } = await aStore(t)
  const victim = `${dir}/../victim`
  await mkdir(victim)
  await mkdir(`${image}/folder`)
  await writeFile(`${image}/folder/inside`, 'from the image')
  await store.create({ name: 'data', labels: {} })
  const swapped = helper.spawn(
    ['perl', '-e', swapper, `${dir}/data/_data`, victim, `${dir}/../enough`],
    { timeoutMs: 60_000 },
  )
  let refused = 0
  for (let i = 0; i < 60; i++) {
    await writeFile(`${dir}/data/filling`, '')
    store.setUsage(() => [])
    await store.ensure({ name: 'data', labels: {}, fillFrom }).catch(() => {
      refused += 1
    })
  }
  await writeFile(`${dir}/../enough`, '')
  t.equal((await swapped).code, 0)
  t.same(await readdir(victim), [], `nothing left the volume; ${refused} of 60 were refused`)
})

t.test('owners, modes, times, links and attributes are those of the image', async (t) => {
  const { store, dir, image, fillFrom } = await aStore(t)
  await writeFile(`${image}/own`, 'x')
  await symlink('/absent', `${image}/away`)
  await link(`${image}/own`, `${image}/twin`)
  await chown(`${image}/own`, 1234, 5678)
  await lchown(`${image}/away`, 1234, 5678)
  await chmod(`${image}/own`, 0o4710)
  execFileSync('setcap', ['cap_net_raw+ep', `${image}/file`])
  for (const name of ['made', 'new']) {
    if (name === 'made') await store.create({ name, labels: {} })
    const path = await store.ensure({ name, labels: {}, fillFrom })
    const own = await lstat(`${path}/own`)
    const from = await lstat(`${image}/own`)
    t.match(own, { uid: 1234, gid: 5678, mode: from.mode, mtimeMs: from.mtimeMs, nlink: 2 })
    t.equal((await lstat(`${path}/twin`)).ino, own.ino)
    t.match(await lstat(`${path}/away`), { uid: 1234, gid: 5678 })
    t.equal(await readlink(`${path}/away`), '/absent')
    t.match(execFileSync('getcap', [`${path}/file`], { encoding: 'utf8' }), /cap_net_raw=ep/)
    t.equal((await stat(path)).mode, (await stat(image)).mode)
  }
  t.same((await readdir(dir)).toSorted(), ['made', 'new'])
})

t.test('a copy that fails is told, leaves nothing, and is tried again', async (t) => {
  const { store, dir, fillFrom } = await aStore(t)
  const broken = { name: 'x', labels: {}, fillFrom: () => Promise.reject(new Error('no view')) }
  await t.rejects(store.ensure(broken), /no view/)
  t.same(await readdir(dir), [])
  const path = await store.ensure({ name: 'x', labels: {}, fillFrom })
  t.same(await readdir(path), ['file'])
})

t.test('removal, and names that could do harm', async (t) => {
  const { store, fillFrom, dir } = await aStore(t)
  await store.ensure({ name: 'data', labels: {}, fillFrom })
  await store.remove('data')
  await store.remove('data')
  t.same(await readdir(dir), [])
  for (const name of ['', '.', '../x', 'a/b', '-rf', 'a'.repeat(256)]) {
    t.throws(() => store.ensure({ name, labels: {}, fillFrom }), { code: 'INVALID_ARGUMENT' }, name)
    t.throws(() => store.remove(name), { code: 'INVALID_ARGUMENT' }, name)
  }
})

t.test('one that a container uses is not removed by hand', async (t) => {
  const { store } = await aStore(t)
  await store.create({ name: 'data', labels: {} })
  store.setUsage(() => [{ containerId: 'c1', name: 'web.1.c1', isLive: false }])
  await t.rejects(store.removeUnused('data'), {
    code: 'IN_USE',
    message: /in use - \[web\.1\.c1\]/,
  })
  store.setUsage(() => [])
  const near = { code: 'NOT_FOUND', message: 'get dat: no such volume (did you mean data?)' }
  await t.rejects(store.removeUnused('dat'), near)
  await t.rejects(store.find('dat'), near)
  await store.removeUnused('data')
  await t.rejects(store.removeUnused('data'), { code: 'NOT_FOUND', message: /no such volume/ })
  await t.rejects(store.find('data'), { code: 'NOT_FOUND' })
})

t.test('those of containers that are gone go too; of slots it is told', async (t) => {
  const { store, open } = await aStore(t)
  let changes = 0
  const end = store.onSlotVolumes(() => {
    changes += 1
  })
  const request = { labels: {}, fillFrom: undefined }
  await store.ensure({ ...request, name: 'own', containerId: 'c1' })
  await store.ensure({ ...request, name: 'db-2', isSlots: true })
  await store.ensure({ ...request, name: 'db-1', isSlots: true })
  t.equal(changes, 2)
  t.same(store.slotVolumes(), ['db-1', 'db-2'])
  const later = await open()
  t.same(later.slotVolumes(), ['db-1', 'db-2'], 'also after a restart')
  later.setUsage((name) =>
    name === 'own' ? [{ containerId: 'c1', name: 'c1', isLive: true }] : [],
  )
  await later.removeOrphans()
  t.equal((await later.list()).length, 3)
  later.setUsage(() => [])
  await later.removeOrphans()
  t.same(
    (await later.list()).map(({ name }) => name),
    ['db-1', 'db-2'],
  )
  await store.remove('db-1')
  t.same(store.slotVolumes(), ['db-2'])
  end()
})

t.test(
  'driver options: checked, mounted where containers are made, unmounted when unused',
  async (t) => {
    const { store, dir, image, helper, fillFrom } = await aStore(t)
    const bad: readonly (readonly [Record<string, string>, RegExp])[] = [
      [{ size: '1g' }, /invalid option: "size"/],
      [{ type: 'nfs' }, /missing required option: "device"/],
      [{ device: ':/x' }, /missing required option: "type"/],
    ]
    for (const [options, message] of bad) {
      const request = { name: 'v', labels: {}, options, fillFrom: undefined }
      t.throws(() => store.ensure(request), { code: 'INVALID_ARGUMENT', message })
    }
    const options = { type: 'tmpfs', device: 'tmpfs', o: 'size=1m' }
    const path = await store.ensure({ name: 'mem', labels: {}, options, fillFrom })
    t.same(await readdir(path), [], 'the host sees nothing of it')
    t.equal((await helper.spawn(['cat', `${path}/file`])).stdout, 'from the image')
    t.match((await helper.spawn(['stat', '-f', '-c', '%T', path])).stdout, 'tmpfs')
    await store.ensure({ name: 'mem', labels: {}, options, fillFrom })
    const other = { ...options, o: 'size=2m' }
    await t.rejects(store.ensure({ name: 'mem', labels: {}, options: other, fillFrom }), {
      code: 'ALREADY_EXISTS',
      message: /with other options/,
    })
    store.setUsage(() => [{ containerId: 'c', name: 'c', isLive: true }])
    await store.release(['mem'])
    t.equal((await helper.spawn(['mountpoint', '-q', path])).code, 0, 'somebody uses it')
    store.setUsage(() => [])
    await store.release(['mem', 'absent'])
    t.not((await helper.spawn(['mountpoint', '-q', path])).code, 0)
    const bind = { type: 'none', device: image, o: 'bind' }
    const bound = await store.ensure({
      name: 'dir',
      labels: {},
      options: bind,
      fillFrom: undefined,
    })
    t.equal((await helper.spawn(['cat', `${bound}/file`])).stdout, 'from the image')
    await store.remove('dir')
    t.same(await readdir(image), ['file'], 'what was mounted stays')
    const missing = { ...bind, device: `${dir}/absent` }
    await t.rejects(store.ensure({ name: 'no', labels: {}, options: missing, fillFrom }), {
      code: 'INVALID_ARGUMENT',
      message: /error while mounting volume 'no': failed to mount local volume: none .*absent/,
    })
    const nowhere = { type: 'nfs', device: ':/x', o: 'addr=host.invalid,rw' }
    await t.rejects(store.ensure({ name: 'nfs', labels: {}, options: nowhere, fillFrom }), {
      code: 'INVALID_ARGUMENT',
      message: /host "host\.invalid"/,
    })
  },
)

t.test('created again it is the same, with other labels it is refused', async (t) => {
  const { store } = await aStore(t)
  const made = await store.create({ name: 'data', labels: { a: 'b' } })
  t.same(await store.create({ name: 'data', labels: { a: 'b' } }), made)
  await t.rejects(store.create({ name: 'data', labels: {} }), { code: 'ALREADY_EXISTS' })
})

const files = 60
const filler = fileURLToPath(new URL('../../../support/volume-filler.js', import.meta.url))

/** Kills the filler so long after it began; whether it was done before. */
async function killFiller(args: readonly string[], afterMs: number): Promise<boolean> {
  const child = spawn(process.execPath, [filler, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise((resolve) => child.once('close', resolve))
  let output = ''
  await new Promise<void>((resolve) => {
    child.once('close', () => resolve())
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString('utf8')
      if (output.includes('begins')) resolve()
    })
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), afterMs)
  await ended
  clearTimeout(timer)
  return output.includes('done')
}

t.test('killed at any moment, a volume is whole, or none, or known to be half', async (t) => {
  const { dir, image, open, fillFrom } = await aStore(t)
  for (let i = 0; i < files; i++) await writeFile(`${image}/${i}`, 'x'.repeat(10_000))
  let cut = 0
  for (const kind of ['new', 'old']) {
    for (const afterMs of [0, 20, 40]) {
      const name = `${kind}-${afterMs}`
      if (!(await killFiller([dir, image, name, kind], afterMs))) cut += 1
      const isThere = (await readdir(dir)).includes(name)
      const isHalf = isThere && (await readdir(`${dir}/${name}`)).includes('filling')
      if (isThere && !isHalf) {
        const has = await readdir(`${dir}/${name}/_data`)
        t.ok([0, files + 1].includes(has.length), `${name} has ${has.length} files`)
      }
      const store = await open()
      t.notOk(
        (await readdir(dir)).some((one) => one.startsWith('.')),
        'no rubbish is left',
      )
      const path = await store.ensure({ name, labels: {}, fillFrom })
      const filled = (await readdir(path)).filter((file) => file !== 'file')
      const sizes = await Promise.all(
        filled.map(async (one) => (await stat(`${path}/${one}`)).size),
      )
      t.strictSame(
        sizes,
        Array.from({ length: files }, () => 10_000),
        name,
      )
    }
  }
  t.ok(cut > 0, 'some were cut off')
})
