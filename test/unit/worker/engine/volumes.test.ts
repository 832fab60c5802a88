import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import type { PruneVolumes, VolumeRequest } from '../../../../proto/gen/tsswarm/v1/volume.ts'
import { systemClock } from '../../../../proto/lib/clock.ts'
import { systemRandom } from '../../../../proto/lib/random.ts'
import { createVolumesEngine } from '../../../../worker/engine/volumes.ts'
import { createSpawnHelper } from '../../../../worker/executor/spawn/spawn-helper.ts'
import { VolumeStore } from '../../../../worker/volume/volume-store.ts'

async function anEngine(t: Test) {
  const dir = await mkdtemp('/tmp/tsswarm-volumes-')
  const helper = createSpawnHelper()
  t.teardown(async () => {
    await helper.close()
    await rm(dir, { recursive: true, force: true })
  })
  const store = new VolumeStore({ dir, helper, clock: systemClock, random: systemRandom })
  await store.open()
  return { store, ...createVolumesEngine(store, systemRandom) }
}

function create(name: string, more: object = {}): VolumeRequest {
  return {
    kind: { $case: 'create', value: { name, driver: '', options: {}, labels: {}, ...more } },
  }
}

const list: VolumeRequest = { kind: { $case: 'list', value: {} } }
const everything: PruneVolumes = { all: true, labels: [], otherLabels: [] }

t.test('volumes are made, listed, inspected and removed', async (t) => {
  const { handle, store } = await anEngine(t)
  const { volumes } = await handle(create('data', { labels: { stage: 'test' }, driver: 'local' }))
  t.match(volumes, [{ name: 'data', driver: 'local', labels: { stage: 'test' }, anonymous: false }])
  store.setUsage((name) =>
    name === 'data' ? [{ containerId: 'c', name: 'web.1.c', isLive: true }] : [],
  )
  t.match((await handle(list)).volumes, [{ name: 'data', usedBy: ['web.1.c'] }])
  const inspect = (names: string[]): VolumeRequest => ({
    kind: { $case: 'inspect', value: { names } },
  })
  t.match((await handle(inspect(['data']))).volumes, [{ mountpoint: /data\/_data$/ }])
  await t.rejects(handle(inspect(['data', 'x'])), { code: 'NOT_FOUND' })
  const remove = (name: string, force = false): VolumeRequest => ({
    kind: { $case: 'remove', value: { name, force } },
  })
  await t.rejects(handle(remove('data', true)), { code: 'IN_USE' })
  store.setUsage(() => [])
  t.match((await handle(remove('data'))).volumes, [{ name: 'data' }])
  await t.rejects(handle(remove('data')), { code: 'NOT_FOUND' })
  t.strictSame((await handle(remove('data', true))).volumes, [])
})

t.test('one without a name is anonymous; another driver is refused', async (t) => {
  const { handle, answer } = await anEngine(t)
  t.match((await handle(create(''))).volumes, [{ name: /^[a-z0-9]{20,}$/, anonymous: true }])
  t.match(await answer(create('x', { driver: 'rexray' })), {
    volumes: [],
    error: /volume driver "rexray" is not there: use "local"/,
    errorCode: 'UNSUPPORTED',
  })
  await t.rejects(handle({ kind: undefined }), { code: 'UNSUPPORTED' })
})

t.test('prune takes what nothing uses: anonymous ones, or all, by label', async (t) => {
  const { handle, store } = await anEngine(t)
  await handle(create('keep', { labels: { keep: 'yes' } }))
  await handle(create('old', { labels: { stage: 'test' } }))
  await handle(create('used'))
  const { volumes } = await handle(create(''))
  const { path } = await store.find('old')
  await writeFile(`${path}/big`, 'x'.repeat(100_000))
  store.setUsage((name) =>
    name === 'used' ? [{ containerId: 'c', name: 'c', isLive: false }] : [],
  )
  const prune = async (value: PruneVolumes) => {
    const reply = await handle({ kind: { $case: 'prune', value } })
    return { names: reply.volumes.map(({ name }) => name), bytes: reply.reclaimedBytes }
  }
  t.strictSame((await prune({ ...everything, all: false })).names, [volumes[0]?.name])
  t.strictSame((await prune({ ...everything, labels: ['stage=prod'] })).names, [])
  const { names, bytes } = await prune({ ...everything, otherLabels: ['keep'] })
  t.strictSame(names, ['old'])
  t.ok(bytes >= 100_000, 'what it held is counted')
  t.strictSame(
    (await handle(list)).volumes.map(({ name }) => name),
    ['keep', 'used'],
  )
})
