import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { checkParts, volumePart } from '../../../../../worker/executor/container/volume-parts.ts'

/** A volume with a folder, and the same as this process, in whose root it lies, sees it. */
async function aPart(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), 'tsswarm-parts-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  mkdirSync(join(dir, 'app'))
  const target = join(dir, 'app')
  const part = await volumePart(dir, { volume: 'data', subpath: 'app', target })
  return { dir, part }
}

t.test('what is mounted is what the path led to', async (t) => {
  const { part } = await aPart(t)
  await t.resolves(checkParts(process.pid, [part]))
})

t.test('another folder, a link or nothing in its place is refused', async (t) => {
  const refusal = { code: 'FAILED_PRECONDITION', message: /volume data: app was replaced/ }
  const replaced = await aPart(t)
  renameSync(join(replaced.dir, 'app'), join(replaced.dir, 'old'))
  await t.rejects(checkParts(process.pid, [replaced.part]), refusal)
  mkdirSync(join(replaced.dir, 'app'))
  await t.rejects(checkParts(process.pid, [replaced.part]), refusal)
  rmSync(join(replaced.dir, 'app'), { recursive: true })
  symlinkSync('/etc', join(replaced.dir, 'app'))
  await t.rejects(checkParts(process.pid, [replaced.part]), refusal)
})

t.test('a link is followed within the volume and never out of it', async (t) => {
  const { dir, part } = await aPart(t)
  symlinkSync('/app', join(dir, 'inside'))
  symlinkSync('/etc', join(dir, 'outside'))
  const facts = { volume: 'data', target: '/data' }
  t.equal((await volumePart(dir, { ...facts, subpath: 'inside' })).identity, part.identity)
  await t.rejects(volumePart(dir, { ...facts, subpath: 'outside' }), { code: 'ENOENT' })
})
