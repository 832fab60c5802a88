// Settings: precedence and refusals.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadDaemonConfig } from '../../../../cli/daemon/config.ts'

t.test(
  'flags come before variables, those before the file, that before the defaults',
  async (t) => {
    const file = join(t.testdir(), 'tsswarm.yml')
    writeFileSync(file, 'stateDir: /file\nrunDir: /file-run\ngroup: file\n')
    const env = { TSSWARM_STATE_DIR: '/env', TSSWARM_RUN_DIR: '/env-run' }
    const config = loadDaemonConfig({ stateDir: '/flag', labels: ['zone=a', 'ssd'] }, env, file)
    t.match(config, { stateDir: '/flag', runDir: '/env-run', group: 'file', logLevel: 'info' })
    t.equal(config.socket, '/env-run/tsswarm.sock')
    t.same(config.labels, { zone: 'a', ssd: '' })
  },
)

t.test('a bad setting is named', async (t) => {
  t.throws(() => loadDaemonConfig({ stateDir: 'relative' }, {}), {
    message: /stateDir: must be an absolute path/,
  })
  t.throws(() => loadDaemonConfig({ nonsense: 'x' }, {}), { code: 'INVALID_ARGUMENT' })
  t.throws(() => loadDaemonConfig({}, {}, '/nonexistent.yml'), {
    message: /nonexistent\.yml cannot be read/,
  })
})
