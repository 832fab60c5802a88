import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openOverlayFile } from '../../../../worker/network/overlay-file.ts'
import { anOverlay } from '../../../support/overlay-builders.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

const stored = (index: number): Parameters<ReturnType<typeof openOverlayFile>['writeSoon']>[0] => ({
  stamp: { epoch: 1, index },
  state: anOverlay([]),
  held: [`tcp/${index}/`],
})

t.test('a burst is written once, within a second, and the rest on closing', async (t) => {
  const path = join(t.testdir(), 'network/overlay.json')
  const clock = new VirtualClock()
  const file = openOverlayFile(path, clock, (err) => t.fail(String(err)))
  t.equal(file.read(), undefined)
  file.writeSoon(stored(1))
  file.writeSoon(stored(2))
  t.equal(file.read(), undefined)
  await clock.advance(1_000)
  t.same(file.read(), stored(2))
  file.writeSoon(stored(3))
  file.close()
  t.same(file.read(), stored(3))
})

t.test('what cannot be read is as nothing, what cannot be written is told', async (t) => {
  const dir = t.testdir({ file: 'x' })
  const clock = new VirtualClock()
  const broken = join(dir, 'file')
  t.equal(openOverlayFile(broken, clock, () => {}).read(), undefined)
  const errors: unknown[] = []
  const below = openOverlayFile(join(broken, 'overlay.json'), clock, (err) => errors.push(err))
  below.writeSoon(stored(1))
  below.close()
  t.match(errors, [{ code: 'EEXIST' }])
  writeFileSync(broken, 'y')
  t.equal(readFileSync(broken, 'utf8'), 'y')
})
