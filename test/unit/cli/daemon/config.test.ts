// Settings: precedence and refusals.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadDaemonConfig } from '../../../../cli/daemon/config.ts'
import { describeHost } from '../../../../cli/daemon/describe-host.ts'

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
    message: /stateDir \("relative"\): must be an absolute path/,
  })
  t.throws(() => loadDaemonConfig({ runDir: '/run/a b' }, {}), {
    message: /runDir \("\/run\/a b"\): must be an absolute path of letters, digits/,
  })
  t.throws(() => loadDaemonConfig({ hostname: 'a b' }, {}), {
    message: /hostname \("a b"\): must be letters, digits/,
  })
  t.throws(() => loadDaemonConfig({ nonsense: 'x' }, {}), { code: 'INVALID_ARGUMENT' })
  t.throws(() => loadDaemonConfig({}, {}, '/nonexistent.yml'), {
    message: /nonexistent\.yml cannot be read/,
  })
})

t.test('a file that is no list of settings, or has one too many, is refused', async (t) => {
  const file = join(t.testdir(), 'tsswarm.yml')
  for (const [text, message] of [
    ['just text', /must hold settings as NAME: VALUE/],
    ['- a\n', /must hold settings as NAME: VALUE/],
    ['foo: 1\n', /tsswarm\.yml has no such setting: foo\. The settings are stateDir, runDir/],
    ['stateDir: [1', /cannot be read/],
  ] as const) {
    writeFileSync(file, text)
    t.throws(() => loadDaemonConfig({}, {}, file), { code: 'INVALID_ARGUMENT', message })
  }
  writeFileSync(file, '')
  t.equal(loadDaemonConfig({}, {}, file).logLevel, 'info', 'an empty one says nothing')
})

t.test('what a node offers of generic resources is checked when the daemon starts', async (t) => {
  const env = { TSSWARM_NODE_GENERIC_RESOURCES: 'gpu=a,gpu=b,lane=4' }
  const { nodeGenericResources } = loadDaemonConfig({}, env)
  t.same(nodeGenericResources, ['gpu=a', 'gpu=b', 'lane=4'])
  t.same(describeHost(loadDaemonConfig({}, env), '').resources.generic, [
    { kind: 'gpu', count: 2, names: ['a', 'b'] },
    { kind: 'lane', count: 4, names: [] },
  ])
  t.equal(describeHost(loadDaemonConfig({}, {}), '').resources.generic, undefined)
  t.throws(() => loadDaemonConfig({ nodeGenericResources: ['gpu=1', 'gpu=a'] }, {}), {
    code: 'INVALID_ARGUMENT',
    message: /nodeGenericResources .*gpu has a number and names/,
  })
})
