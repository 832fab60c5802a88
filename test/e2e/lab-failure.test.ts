// A lab that cannot come up says why, leaves nothing and does not linger.
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { labUp } from '../../cli/lab/lab.ts'
import { topologyExists } from '../../cli/lab/topology.ts'
import { systemClock } from '../../proto/lib/clock.ts'
import { runCommand } from '../../proto/lib/command.ts'
import { systemRandom } from '../../proto/lib/random.ts'
import { labNameHere, TestLab } from '../support/test-lab.ts'

const lab = labNameHere('e2e-fails')
const base = `/tmp/tsswarm-test-labs/${lab}`
const runRoot = `/run/tsswarm-test-labs/${lab}`

t.teardown(() => {
  for (const directory of [base, runRoot]) rmSync(directory, { recursive: true, force: true })
})

t.test('the error holds what the daemon said, for its log is removed', async (t) => {
  const wish = { managers: 1, workers: 0, daemonEnv: { TSSWARM_LOG_LEVEL: 'loud' } }
  await t.rejects(TestLab.up('e2e-fails', wish), {
    code: 'UNAVAILABLE',
    message: /^the daemon of m1 ended at its start:\n.*logLevel.*must be one of trace, debug/,
  })
  t.notOk(topologyExists(lab))
  t.notOk(existsSync(join(base, 'state', lab)))
})

t.test('one host that fails ends the wait for the others', async (t) => {
  const program = [process.execPath, 'build/test/support/failing-lab.js', lab, base, runRoot]
  const result = await runCommand(program, { timeoutMs: 120_000 })
  t.same(result, { code: 0, stdout: 'the daemon of m1 ended at its start:\nno luck', stderr: '' })
  t.notOk(topologyExists(lab))
})

t.test('Ctrl-C is no failure, and leaves nothing either', async (t) => {
  const interrupt = new AbortController()
  const lines: string[] = []
  const deps = {
    roots: { stateRoot: base, runRoot },
    clock: systemClock,
    random: systemRandom,
    signal: interrupt.signal,
    program: ['sh', '-c', 'exec sleep 600'],
    progress: (line: string) => {
      lines.push(line)
      if (line.startsWith('daemons:')) interrupt.abort()
    },
  }
  const wish = { name: lab, managers: 1, workers: 0 }
  await t.rejects(labUp(deps, wish), { code: 'CANCELLED', message: 'interrupted' })
  t.equal(lines.at(-1), 'lab up interrupted: removing what was made')
  t.notOk(topologyExists(lab))
  t.notOk(existsSync(join(base, lab)))
})
