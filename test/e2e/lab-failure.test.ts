// A lab that cannot come up says why and leaves nothing.
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { topologyExists } from '../../cli/lab/topology.ts'
import { TestLab } from '../support/test-lab.ts'

const lab = 'e2e-fails'
const base = `/tmp/tsswarm-test-labs/${lab}`
const runRoot = `/run/tsswarm-test-labs/${lab}`

t.teardown(() => {
  for (const directory of [base, runRoot]) rmSync(directory, { recursive: true, force: true })
})

t.test('the error holds what the daemon said, for its log is removed', async (t) => {
  const wish = { managers: 1, workers: 0, daemonEnv: { TSSWARM_LOG_LEVEL: 'loud' } }
  await t.rejects(TestLab.up(lab, wish), {
    code: 'UNAVAILABLE',
    message: /^the daemon of m1 ended at its start:\n.*logLevel: Invalid option/,
  })
  t.notOk(topologyExists(lab))
  t.notOk(existsSync(join(base, 'state', lab)))
})
