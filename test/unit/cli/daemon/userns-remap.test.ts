// The numbers themselves are tested where they are chosen (id-mapping.test.ts).
import { chmodSync, statSync } from 'node:fs'
import t from 'tap'
import { remapOf } from '../../../../cli/daemon/userns-remap.ts'
import { silentLogger } from '../../../../proto/lib/log.ts'

const modeOf = (dir: string): number => statSync(dir).mode & 0o7777

t.test('a run folder lets others pass only where containers have users of their own', async (t) => {
  const runDir = t.testdir()
  chmodSync(runDir, 0o750)
  t.equal(await remapOf({ usernsRemap: 'off', runDir }, silentLogger), undefined)
  t.equal(modeOf(runDir), 0o750)
  const usernsRemap = '4000000000:4000100000:65536'
  const range = { uid: 4_000_000_000, gid: 4_000_100_000, size: 65_536 }
  t.strictSame(await remapOf({ usernsRemap, runDir }, silentLogger), range)
  t.equal(modeOf(runDir), 0o751)
  t.equal(await remapOf({ usernsRemap: 'off', runDir }, silentLogger), undefined)
  t.equal(modeOf(runDir), 0o750, 'turned off again, it is closed again')
  chmodSync(runDir, 0o755)
  await remapOf({ usernsRemap: 'off', runDir }, silentLogger)
  t.equal(modeOf(runDir), 0o755, 'one that somebody opened stays open')
})
