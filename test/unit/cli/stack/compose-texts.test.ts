// The texts of compose files: scalars, numbers, durations, short forms, variables, places of faults.
import * as fc from 'fast-check'
import t from 'tap'
import { emitYaml } from '../../../../cli/stack/emit-yaml.ts'
import { envFileLines } from '../../../../cli/stack/env-file.ts'
import {
  compareKeys,
  goDuration,
  goFloat,
  goFloat32,
  parseDurationNs,
} from '../../../../cli/stack/go-text.ts'
import { substitute } from '../../../../cli/stack/interpolate.ts'
import { loadCompose, projectText } from '../../../../cli/stack/load-compose.ts'
import { type MapNode, mapNode, noticeText, textNode } from '../../../../cli/stack/node.ts'
import { mountOf, shellWords } from '../../../../cli/stack/short-forms.ts'
import { parseYaml } from '../../../../cli/stack/yaml-tree.ts'

/** With dollar signs, which look like mistaken templates in the source. */
const dollars = (text: string): string => text.replaceAll('%', '$')

const at = { file: 'a.yml', line: 1, column: 1 }

const options = {
  variables: new Map<string, string>(),
  workingDir: '/w',
  interpolates: true,
  readText: (path: string): string => {
    throw new Error(`no ${path}`)
  },
}

function loadOne(text: string) {
  return loadCompose([{ name: 'a.yml', text }], options)
}

t.test('numbers are written as Go writes them', async (t) => {
  const cases: readonly (readonly [number, string])[] = [
    [0, '0'],
    [1, '1'],
    [1.5, '1.5'],
    [0.0001, '0.0001'],
    [0.00001, '1e-05'],
    [1.5e-7, '1.5e-07'],
    [1e20, '100000000000000000000'],
    [1e21, '1e+21'],
    [1.25e100, '1.25e+100'],
    [-2.5, '-2.5'],
  ]
  for (const [value, text] of cases) t.equal(goFloat(value), text)
  t.equal(goFloat32(0.1), '0.1')
  t.equal(goFloat32(0.123456789), '0.12345679')
})

t.test('durations are read and written as Go does', async (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['0', '0s'],
    ['90s', '1m30s'],
    ['1.5s', '1.5s'],
    ['1500ms', '1.5s'],
    ['100us', '100µs'],
    ['3ns', '3ns'],
    ['1h', '1h0m0s'],
    ['1h0.5s', '1h0m0.5s'],
    ['-1m', '-1m0s'],
    ['61m', '1h1m0s'],
  ]
  for (const [text, shown] of cases) t.equal(goDuration(parseDurationNs(text) ?? 0), shown, text)
  for (const text of ['', '5', 's', '1 s', '1d']) t.equal(parseDurationNs(text), undefined, text)
})

t.test('keys are ordered by the numbers in them, letters last', async (t) => {
  const keys = ['b', 'a10', 'a2', 'A', 'a-b', 'a01', 'a', '_a', 'ab', '2b', 'a1', 'é']
  const order = ['_a', '2b', 'A', 'a', 'a-b', 'a1', 'a01', 'a2', 'a10', 'ab', 'b', 'é']
  t.same(keys.sort(compareKeys), order)
})

t.test('variables: every form, and a dollar sign that begins none', async (t) => {
  const variables = new Map([
    ['A', 'x'],
    ['E', ''],
  ])
  const cases: readonly (readonly [string, string])[] = [
    [dollars('%A-'), 'x'],
    [dollars('%A.'), 'x.'],
    [dollars('%{A}b'), 'xb'],
    [dollars('%%A'), dollars('%A')],
    [dollars('%{N:-d}%{N-d}'), 'dd'],
    [dollars('%{E:-d}|%{E-d}'), 'd|'],
    [dollars('%{E?no}'), ''],
    [dollars('%{N}'), ''],
    [dollars('%{N:-a:-b}'), 'a:-b'],
  ]
  for (const [text, value] of cases) t.equal(substitute(text, variables), value, text)
  t.throws(() => substitute(dollars('%{N:?say it}'), variables), /required variable N .*: say it/)
  t.throws(
    () => substitute(dollars('%{E:?}'), variables),
    /required variable E is missing a value$/,
  )
  t.throws(() => substitute(dollars('%{N?}'), variables), /required variable N/)
  for (const text of [
    dollars('%'),
    dollars('%{'),
    dollars('%{}'),
    dollars('%{A'),
    dollars('%1'),
    dollars('%{A!}'),
  ]) {
    t.throws(() => substitute(text, variables), /write \$\$/, text)
  }
})

t.test('a command line is split as a simple shell does it', async (t) => {
  t.same(shellWords(`a 'b c' "d \\" e" f\\ g '' # h`), ['a', 'b c', 'd " e', 'f g', ''])
  t.same(shellWords('a#b #c\nd'), ['a#b', 'd'])
  t.throws(() => shellWords('a "b'), /no closing "/)
  t.throws(() => shellWords('a\\'), /backslash/)
})

t.test('the short form of a mount: sections, options, drive letters', async (t) => {
  const shown = (form: string) => emitYaml(mapNode({ m: mountOf(form, at) }, at))
  t.equal(shown('data:/d:ro,rw'), 'm:\n  type: volume\n  source: data\n  target: /d\n')
  t.match(shown('./x:/y:ro,slave'), /type: bind.*read_only: true.*propagation: slave/s)
  t.match(shown('v:/v'), /type: volume.*target: v:\/v/s)
  for (const form of ['', 'ab::c', 'ab:/c:ro:x']) t.throws(() => mountOf(form, at), form)
})

t.test('env files: comments, blanks, bare names', async (t) => {
  const lines = envFileLines('\ufeff# c\n A=1\r\nB\nC\n\nD="x" \n', new Map([['B', 'b']]))
  t.same(lines, [
    { key: 'A', value: '1' },
    { key: 'B', value: 'b' },
    { key: 'D', value: '"x" ' },
  ])
  t.throws(() => envFileLines('A=1\n=2', new Map()), /line 2 has no name/)
  t.throws(() => envFileLines('A B=1', new Map()), /line 1: the name "A B"/)
})

t.test('all faults are told at once, each with its place', async (t) => {
  const text = [
    'services:',
    '  web:',
    '    image: 5',
    '    foo: 1',
    '    ports: [true, "x"]',
    '    deploy: {replicas: -1, resources: {limits: {memory: many}}}',
    '    volumes: [{target: /a}]',
    '    ulimits: {nofile: {soft: 1}, x: y}',
    '    secrets: [[]]',
    '    networks: {n: {priority: 1}}',
    '    healthcheck: []',
    '    environment: 5',
    '  db: text',
    'networks: {n: {external: {x: 1}}, m: {external: 1}}',
  ].join('\n')
  const places = [
    '3:12: services.web.image: must be a string: put it in quotes',
    '4:5: services.web.foo: is no key',
    '5:13: services.web.ports.0: must be a port',
    '5:19: services.web.ports.1',
    '6:24: services.web.deploy.replicas: must be 0 or more',
    '6:57: services.web.deploy.resources.limits.memory: must be a size',
    '7:15: services.web.volumes.0: "type" is required',
    '8:23: services.web.ulimits.nofile: "hard" is required',
    '8:37: services.web.ulimits.x: must be a whole number',
    '9:15: services.web.secrets.0',
    '10:20: services.web.networks.n.priority',
    '11:18: services.web.healthcheck: must be a mapping, not a list',
    '12:18: services.web.environment: must be a mapping or a list',
    '13:7: services.db: must be a mapping, not a string',
    '14:27: networks.n.external.x',
    '14:49: networks.m.external: must be true or false',
  ]
  try {
    loadOne(text)
    t.fail('it was taken')
  } catch (err) {
    const message = err instanceof Error ? err.message : ''
    for (const place of places) t.ok(message.includes(`a.yml:${place}`), `${place} in\n${message}`)
  }
})

t.test('what has no effect is told and does no harm', async (t) => {
  const { notices, unset } = loadOne(
    'services:\n  a:\n    image: "a:$TAG"\n    build: {context: ., foo: 1}\n' +
      '    ports: ["127.0.0.1:80:80"]\n    volumes: ["ab:/b:zz", {type: volume, target: /c, volume: {labels: {}}}]\n',
  )
  t.same(notices.map(noticeText), [
    'a.yml:4:25: services.a.build.foo: is not known and has no effect',
    'a.yml:5:13: services.a.ports.0: the address 127.0.0.1 has no effect, as in Swarm: the port is open on all addresses of every node. x-publish has host_ip=ADDRESS',
    'a.yml:6:15: services.a.volumes.0: option "zz" is not known and has no effect',
    'a.yml:6:63: services.a.volumes.1.volume.labels: is not known and has no effect',
  ])
  t.same([...unset.keys()], ['TAG'])
})

t.test('YAML that is none, or too much, is refused with its place', async (t) => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ['a: [', /^a\.yml:1:5: /],
    ['- a', /^a\.yml:1:1: the top level must be a mapping/],
    ['', /top level/],
    ['1: a', /^a\.yml:1:1: a key must be a string/],
    ['a: 1\na: 2', /^a\.yml:2:1: /],
    ['<<: 5', /"<<" must name a mapping/],
    [`a: ${'['.repeat(200)}${']'.repeat(200)}`, /nested more than/],
  ]
  for (const [text, message] of cases) t.throws(() => parseYaml('a.yml', text), { message }, text)
  const bomb = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
  for (let i = 1; i < 8; i += 1) {
    bomb.push(`a${i}: &a${i} [${Array.from({ length: 10 }, () => `*a${i - 1}`).join(', ')}]`)
  }
  t.throws(() => parseYaml('a.yml', bomb.join('\n')), { message: /more than 200000 values/ })
})

t.test('what is written is read as the same (property)', async () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 12 })
  // A text that begins with a line break is written as Go writes it, which loses it.
  const odd = fc.stringMatching(/^[-?:,[\]{}#&*!|>'"%@`~ \t\n.0-9a-z=]{0,8}$/)
  const map = fc.dictionary(
    fc.stringMatching(/^[a-z~.0-9-]{1,6}$/),
    fc.oneof(text, odd).filter((value) => !value.startsWith('\n')),
    {
      minKeys: 1,
      maxKeys: 6,
    },
  )
  fc.assert(
    fc.property(map, (values) => {
      const pairs = Object.entries(values).map(
        ([key, value]) => [key, textNode(value, at)] as const,
      )
      const back: MapNode = parseYaml('b.yml', emitYaml(mapNode(pairs, at)))
      const read = [...back.entries].map(([key, { value }]) => [
        key,
        value.kind === 'text' ? value.value : value,
      ])
      return JSON.stringify(read) === JSON.stringify(Object.entries(values))
    }),
    { numRuns: 400 },
  )
})

t.test('a normalised project is normal: loading it again changes nothing', async (t) => {
  const first = projectText(
    loadOne(
      'services:\n  a:\n    image: a\n    command: a b\n    ports: ["80:80", 90]\n    environment: [A=1]\n' +
        '    healthcheck: {test: x y}\n    stop_grace_period: 90s\n    volumes: ["ab:/b:ro"]\n    deploy: {replicas: 0}\n',
    ),
  )
  t.equal(projectText(loadOne(first)), first)
})
