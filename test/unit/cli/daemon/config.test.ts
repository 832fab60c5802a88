// Settings: precedence and refusals.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { command } from '../../../../cli/commands/daemon.ts'
import {
  flagOf,
  loadDaemonConfig,
  loadDaemonSettings,
  settingNames,
} from '../../../../cli/daemon/config.ts'
import { describeHost } from '../../../../cli/daemon/describe-host.ts'
import { LiveSettings } from '../../../../cli/daemon/live-settings.ts'
import { configText } from '../../../../cli/daemon/print-config.ts'
import { reloadSettings } from '../../../../cli/daemon/reload.ts'
import type { LogLevel } from '../../../../proto/lib/log.ts'

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

t.test('a value of a wrong kind is told in words, with what it may be', async (t) => {
  const file = join(t.testdir(), 'tsswarm.yml')
  for (const [text, message] of [
    [
      'labels: { zone: 1 }',
      /tsswarm\.yml: setting labels\.zone \(1\): must be text: write "1", in quotes$/,
    ],
    ['labels: [a]', /setting labels \(\["a"\]\): must be names with values, such as \{ zone: a/],
    [
      'insecureRegistries: a:5000',
      /setting insecureRegistries \("a:5000"\): must be a list, such as/,
    ],
    [
      'insecureRegistries: [true]',
      /setting insecureRegistries\.0 \(true\): must be text: write "true"/,
    ],
    ['logLevel: loud', /setting logLevel \("loud"\): must be one of trace, debug, info, /],
    ['imageGcRevisions: many', /setting imageGcRevisions \("many"\): must be a whole number$/],
    ['imageGcRevisions: -1', /setting imageGcRevisions \(-1\): must be at least 0$/],
    ['imageGcRevisions: 101', /setting imageGcRevisions \(101\): must be at most 100$/],
    ['nanoCpus: 1.5', /setting nanoCpus \(1\.5\): must be a whole number$/],
    ['memoryBytes: 0', /setting memoryBytes \(0\): must be above 0$/],
    ['stateDir: { a: b }', /setting stateDir \(\{"a":"b"\}\): must be text$/],
    ['localSubnet: 10.0.0.0/33', /setting localSubnet \("10\.0\.0\.0\/33"\): /],
  ] as const) {
    writeFileSync(file, `${text}\n`)
    t.throws(() => loadDaemonConfig({}, {}, file), { code: 'INVALID_ARGUMENT', message }, text)
  }
  t.match(loadDaemonConfig({ localSubnet: '10.9.0.0/16' }, {}), { localSubnet: '10.9.0.0/16' })
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

t.test('mirrors of registries are a list, and each is checked', async (t) => {
  const env = { TSSWARM_REGISTRY_MIRRORS: 'https://a.lan,r.lan=http://b.lan:5000' }
  t.same(loadDaemonConfig({}, env).registryMirrors, ['https://a.lan', 'r.lan=http://b.lan:5000'])
  t.same(loadDaemonConfig({ registryMirrors: ['a.lan'] }, env).registryMirrors, ['a.lan'])
  t.same(loadDaemonConfig({}, {}).registryMirrors, [])
  t.throws(() => loadDaemonConfig({ registryMirrors: ['ftp://a.lan'] }, {}), {
    code: 'INVALID_ARGUMENT',
    message: /registryMirrors .*must be \[REGISTRY=\]URL/,
  })
})

t.test('limits for images fit each other', async (t) => {
  const { imageGcHigh, imageGcLow, imageGcRevisions } = loadDaemonConfig({}, {})
  t.same([imageGcHigh, imageGcLow, imageGcRevisions], ['85%', '80%', 2])
  const env = { TSSWARM_IMAGE_GC_REVISIONS: '5', TSSWARM_IMAGE_GC_HIGH: 'off' }
  t.match(loadDaemonConfig({}, env), { imageGcHigh: 'off', imageGcRevisions: 5 })
  t.match(loadDaemonConfig({ imageGcHigh: '20GB', imageGcLow: '15GB' }, {}), { imageGcLow: '15GB' })
  for (const wrong of [{ imageGcHigh: '70%' }, { imageGcHigh: '20GB' }, { imageGcLow: 'few' }]) {
    t.throws(() => loadDaemonConfig(wrong, {}), { code: 'INVALID_ARGUMENT', message: /imageGc/ })
  }
})

t.test("users of containers are the host's unless a range is named", async (t) => {
  t.equal(loadDaemonConfig({}, {}).usernsRemap, 'off')
  const env = { TSSWARM_USERNS_REMAP: 'auto' }
  t.equal(loadDaemonConfig({}, env).usernsRemap, 'auto')
  t.equal(
    loadDaemonConfig({ usernsRemap: '200000:300000:65536' }, env).usernsRemap,
    '200000:300000:65536',
  )
  t.throws(() => loadDaemonConfig({ usernsRemap: 'dockremap' }, {}), {
    code: 'INVALID_ARGUMENT',
    message:
      /flag --userns-remap: setting usernsRemap \("dockremap"\): must be off, auto or UID:GID:SIZE/,
  })
})

t.test('every flag of the daemon is a setting that a file may name', async (t) => {
  const notSettings = ['config', 'print-config', 'purge', 'keep-volumes']
  const flags = Object.keys(command.flags).filter((name) => !notSettings.includes(name))
  const known = settingNames.map(flagOf)
  t.same(
    flags.filter((name) => !known.includes(name)),
    [],
  )
})

t.test('each setting knows where it is from, and errors say so', async (t) => {
  const file = join(t.testdir(), 'daemon.yaml')
  writeFileSync(file, 'labels: {a: b}\ninsecureRegistries: [r.lan]\nlogLevel: debug\n')
  const env = { TSSWARM_LOG_LEVEL: 'warn', TSSWARM_GROUP: 'docker' }
  const { config, sources } = loadDaemonSettings({ labels: ['c=d'] }, env, file)
  t.match(config, { labels: { c: 'd' }, insecureRegistries: ['r.lan'], logLevel: 'warn' })
  t.same(config.labels, { c: 'd' }, 'a map of a flag replaces that of the file')
  t.match(sources, {
    labels: 'flag --label',
    insecureRegistries: file,
    logLevel: 'TSSWARM_LOG_LEVEL',
    group: 'TSSWARM_GROUP',
    stateDir: 'default',
  })
  const message = (text: string) => {
    writeFileSync(file, text)
    try {
      return loadDaemonConfig({}, {}, file) && ''
    } catch (err) {
      return err instanceof Error ? err.message : ''
    }
  }
  t.match(message('logLevel: loud\n'), `${file}: setting logLevel ("loud"): `)
  t.match(
    message('loglevel: info\n'),
    `${file} has no such setting: loglevel (did you mean logLevel?)`,
  )
  t.match(message('labels: [a]\n'), `${file}: setting labels (["a"]): `)
  t.match(message('group: a\ngroup: b\n'), /daemon\.yaml cannot be read: .*unique/)
  t.throws(() => loadDaemonConfig({}, { TSSWARM_STATE_DIR: 'x' }, undefined), {
    message: /TSSWARM_STATE_DIR: setting stateDir \("x"\)/,
  })
  t.throws(() => loadDaemonConfig({ cgroupParent: 'x' }, {}, undefined), {
    message: /flag --cgroup-parent: setting cgroupParent/,
  })
})

t.test('what is printed is a file of the same settings', async (t) => {
  const given = { labels: ['a=b c'], nodeGenericResources: ['gpu=2'], hostname: 'true' }
  const settings = loadDaemonSettings(given, { TSSWARM_MEMORY_BYTES: '1024' })
  const text = configText(settings)
  t.match(text, /^stateDir: \/var\/lib\/tsswarm +# default$/m)
  t.match(text, /^socket: \/run\/tsswarm\/tsswarm\.sock +# default: in runDir$/m)
  t.match(text, /^labels: \{"a":"b c"\} +# flag --label$/m)
  t.match(text, /^memoryBytes: 1024 +# TSSWARM_MEMORY_BYTES$/m)
  t.match(text, /^# localSubnet: +# not set$/m)
  const file = join(t.testdir(), 'daemon.yaml')
  writeFileSync(file, text)
  t.same(loadDaemonConfig({}, {}, file), settings.config)
  t.equal(parse(text).hostname, 'true', 'a word that YAML would take for something else is quoted')
})

t.test(
  'read again, settings that a running daemon can change are followed, others refused by name',
  async (t) => {
    const said: object[] = []
    const levels: LogLevel[] = []
    const say = (fields: object) => said.push(fields)
    const none = () => {}
    const log = {
      ...{ trace: none, debug: none, fatal: none, info: say, warn: say, error: say },
      child: () => log,
      setLevel: (level: LogLevel) => levels.push(level),
    }
    const before = loadDaemonConfig({ labels: ['a=b'] }, {})
    const wishes = { labels: ['a=c'], logLevel: 'debug', group: 'x', imageGcHigh: '90%' }
    const after = loadDaemonConfig({ ...wishes, nodeGenericResources: ['gpu=2'] }, {})
    const current = reloadSettings(before, () => after, log)
    t.same(current, { ...after, group: 'tsswarm' })
    t.same(levels, ['debug'])
    const followed = ['logLevel', 'labels', 'nodeGenericResources', 'imageGcHigh']
    t.same(said, [{ settings: ['group'] }, { settings: followed }])
    said.length = 0
    t.equal(
      reloadSettings(
        current,
        () => {
          throw new Error('no file')
        },
        log,
      ),
      current,
    )
    t.match(said, [{ err: { message: 'no file' } }])
    said.length = 0
    t.same(
      reloadSettings(current, () => current, log),
      current,
    )
    t.same([levels, said], [['debug'], [{ settings: [] }]])
  },
)

t.test('what a node offers follows the settings in force, at once', async (t) => {
  const live = new LiveSettings(loadDaemonConfig({ labels: ['zone=a'] }, {}))
  let told = 0
  const end = live.onChange(() => {
    told += 1
  })
  live.replace(loadDaemonConfig({ labels: ['zone=b'] }, { TSSWARM_MEMORY_BYTES: '1024' }))
  t.match(describeHost(live.current(), ''), {
    engineLabels: { zone: 'b' },
    resources: { memoryBytes: 1024 },
  })
  end()
  live.replace(loadDaemonConfig({}, {}))
  t.equal(told, 1)
})
