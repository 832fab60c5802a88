// When images were used last: kept over restarts, bounded, and worth nothing when damaged.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { silentLogger } from '../../../../proto/lib/log.ts'
import { ImageUses } from '../../../../worker/image/image-uses.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

async function aPlace(t: Test) {
  const dir = await mkdtemp(join(tmpdir(), 'tsswarm-uses-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const clock = new VirtualClock()
  const path = join(dir, 'uses.json')
  const opened = async (): Promise<ImageUses> => {
    const uses = new ImageUses(path, clock)
    await uses.open()
    return uses
  }
  return { dir, path, clock, opened, nowMs: () => clock.wallMs() }
}

t.test('a use is kept over a restart, one of an image that is gone is not', async (t) => {
  const { path, clock, opened, nowMs } = await aPlace(t)
  const uses = await opened()
  const firstMs = nowMs()
  const there = { repository: 'r.lan/a', digest: 'sha256:1' }
  uses.notePulled('a', there)
  uses.noteDigest('a', { repository: 'r.lan/b', digest: 'sha256:2' })
  uses.noteDigest('a', { ...there, digest: 'sha256:3' })
  uses.note('a', 'web')
  uses.note('gone')
  await clock.advance(1_000)
  uses.note('a', 'db')
  uses.note('b')
  const services = { web: firstMs, db: nowMs() }
  const digests = { 'r.lan/a': 'sha256:3', 'r.lan/b': 'sha256:2' }
  t.same(uses.of('a'), { usedMs: nowMs(), isPulled: true, services, digests })
  t.equal(uses.known('new'), undefined)
  const fresh = { usedMs: nowMs(), isPulled: false, services: {}, digests: {} }
  t.same(uses.of('new'), fresh, 'seen for the first time')
  uses.keepOnly(new Set(['a', 'b', 'new']))
  await uses.save(silentLogger)
  const text = await readFile(path, 'utf8')
  t.same(Object.keys(JSON.parse(text)).toSorted(), ['a', 'b', 'new'])
  const later = await opened()
  await clock.advance(1_000)
  t.same(later.of('a'), uses.of('a'))
  await rm(path)
  await later.save(silentLogger)
  await t.rejects(readFile(path), { code: 'ENOENT' }, 'nothing has changed')
})

t.test('the services that used an image longest ago are forgotten', async (t) => {
  const { clock, opened } = await aPlace(t)
  const uses = await opened()
  for (let at = 0; at < 70; at += 1) {
    uses.note('a', `s${at}`)
    await clock.advance(1)
  }
  const { services } = uses.of('a')
  t.equal(Object.keys(services).length, 64)
  t.equal(services['s5'], undefined)
  t.type(services['s6'], 'number')
})

t.test(
  'of many repositories the last are known, and files of former versions know none',
  async (t) => {
    const { path, opened } = await aPlace(t)
    await writeFile(path, '{"a": {"usedMs": 1, "isPulled": true, "services": {}}}')
    const uses = await opened()
    t.same(uses.of('a'), { usedMs: 1, isPulled: true, services: {}, digests: {} })
    for (let at = 0; at < 70; at += 1) {
      uses.noteDigest('a', { repository: `r.lan/${at}`, digest: 'sha256:1' })
    }
    const known = Object.keys(uses.of('a').digests)
    t.equal(known.length, 64)
    t.notOk(known.includes('r.lan/5'))
    t.ok(known.includes('r.lan/69'))
  },
)

t.test('a damaged file says nothing, one that cannot be written is tried again', async (t) => {
  const { dir, path, opened, nowMs } = await aPlace(t)
  for (const text of ['{', '[]', '{"a": {"usedMs": "x"}}']) {
    await writeFile(path, text)
    t.same((await opened()).of('a').usedMs, nowMs())
  }
  const uses = await opened()
  uses.note('a')
  await rm(dir, { recursive: true })
  await uses.save(silentLogger)
  await mkdir(dir)
  await uses.save(silentLogger)
  t.same(Object.keys(JSON.parse(await readFile(path, 'utf8'))), ['a'])
})
