import { chmodSync, mkdirSync, statSync } from 'node:fs'
import t from 'tap'
import { type LabRecord, labRunDir, readLab, writeLab } from '../../../../cli/lab/lab-record.ts'

const modeOf = (dir: string): number => statSync(dir).mode & 0o7777

t.test('others may pass the run folders of labs, and may not list them', async (t) => {
  const dir = t.testdir()
  const roots = { stateRoot: `${dir}/state`, runRoot: `${dir}/run` }
  // As an earlier version made it.
  mkdirSync(roots.runRoot, { mode: 0o700 })
  const record: LabRecord = {
    ...{ name: 'one', managers: 1, workers: 0 },
    subnet: [1, 2],
    createdAtMs: 1,
  }
  writeLab(roots, record)
  t.match(readLab(roots, 'one'), record)
  t.equal(modeOf(roots.runRoot), 0o711)
  t.equal(modeOf(labRunDir(roots, 'one')), 0o711)
  t.equal(modeOf(`${roots.stateRoot}/one`), 0o700)
  chmodSync(roots.runRoot, 0o1777)
  writeLab(roots, record)
  t.equal(modeOf(roots.runRoot), 0o1777, 'one that is open stays as it is')
})
