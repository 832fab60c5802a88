// The disk that images are kept on is full: a pull says so and leaves nothing, what was there goes on, and with room it succeeds.
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rm, statfs } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { runCommand } from '../../proto/lib/command.ts'
import type { Images } from '../../worker/image/images.ts'
import { busyboxImage } from '../support/busybox-image.ts'
import { aContainer, aScript } from '../support/container-configs.ts'
import {
  createExecutorHost,
  type ExecutorHost,
  loadImage,
  never,
  nothingLeft,
  runToEnd,
} from '../support/executor-host.ts'
import { startRegistry, type TestRegistry } from '../support/registry.ts'

t.setTimeout(120_000)

const smallMb = 16
const largeMb = 40

async function aRegistry(t: Test): Promise<TestRegistry> {
  const registry = await startRegistry()
  t.teardown(() => registry.close())
  const data = randomBytes(largeMb * 1_000_000)
  const files = [{ kind: 'file' as const, path: 'large', data }]
  await registry.push(await busyboxImage({ name: 'x/y:1', files }), 'large:1')
  return registry
}

/** A host whose images and containers are on a small disk of their own. */
async function onSmallDisk(t: Test): Promise<ExecutorHost> {
  const host = await createExecutorHost()
  await mkdir(host.dirs.stateDir)
  await mount(['-t', 'tmpfs', '-o', `size=${smallMb}m`, 'tmpfs', host.dirs.stateDir])
  t.teardown(async () => {
    await runCommand(['umount', '--lazy', host.dirs.stateDir])
    await host.dispose()
  })
  return host
}

async function mount(args: readonly string[]): Promise<void> {
  const { code, stderr } = await runCommand(['mount', ...args])
  if (code !== 0) throw new Error(`mount ${args.join(' ')}: ${stderr}`)
}

/** What pulls keep beside the store, and the layers in it. */
async function remains({ dirs }: ExecutorHost): Promise<readonly string[]> {
  const { stateDir, runDir } = dirs
  const state = ['tmp', 'transfers'].map((name) => `${stateDir}/image-state/${name}`)
  const found = await Promise.all(
    [...state, `${stateDir}/images/overlay/l`].map(async (dir) =>
      (await readdir(dir)).map((name) => `${dir}/${name}`),
    ),
  )
  const auth = (await readdir(runDir, { recursive: true })).filter((one) => /auth-\w+$/.test(one))
  return [...found.flat(), ...auth].toSorted()
}

async function refused(t: Test, images: Images, reference: string): Promise<void> {
  await t.rejects(images.pull(reference, {}), {
    code: 'RESOURCE_EXHAUSTED',
    message: /cannot pull .*large:1.*no space left on this host's disk/,
  })
}

t.test('a disk that is full amid a pull, and before one', async (t) => {
  const registry = await aRegistry(t)
  const host = await onSmallDisk(t)
  const { executor, images } = await host.open({ insecureRegistries: [registry.address] })
  await loadImage(images, await busyboxImage())
  const reference = `${registry.address}/large:1`
  const before = await remains(host)
  const { bavail } = await statfs(host.dirs.stateDir)

  await refused(t, images, reference)
  t.same(await remains(host), before, 'nothing of it is left')
  const after = await statfs(host.dirs.stateDir)
  t.ok(after.bavail > bavail * 0.95, `blocks free: ${bavail} before, ${after.bavail} after`)
  await t.rejects(executor.create(aContainer('half', { image: reference }), never), {
    code: 'IMAGE_NOT_FOUND',
  })

  const filler = `${host.dirs.stateDir}/filler`
  const filled = await runCommand(['dd', 'if=/dev/zero', `of=${filler}`, 'bs=64k'])
  t.match(filled.stderr, /No space left on device/)
  await refused(t, images, reference)
  t.same(await remains(host), before, 'nothing of it is left')
  await rm(filler)

  const run = await runToEnd(executor, aScript('small', 'echo here'))
  t.equal(run.output, 'here', 'what was there goes on')
  await mount(['-o', `remount,size=${smallMb + 4 * largeMb}m`, host.dirs.stateDir])
  await images.pull(reference, {})
  const large = await runToEnd(executor, aScript('large', 'wc -c </large', { image: reference }))
  t.equal(large.output, `${largeMb * 1_000_000}`, 'with room it is whole')
  for (const { id } of await executor.list()) await executor.remove(id)
  await executor.close()
  const left = await host.leftovers()
  const mounts = left.mounts.filter((line) => !line.includes(' - tmpfs '))
  t.same({ ...left, mounts }, nothingLeft)
})
