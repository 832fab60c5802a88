// What .ci/run-files.mjs says of test files that pass, fail, crash, hang and have no test.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const tap = JSON.stringify(import.meta.resolve('tap'))

function run(t: Test, files: Readonly<Record<string, string>>, ...options: readonly string[]) {
  const texts = Object.entries(files).map(([name, text]) => [`${name}.test.mjs`, text])
  const folder = t.testdir(Object.fromEntries(texts))
  const counts = join(folder, 'counts')
  // Not what this test itself is run with, for coverage: it would be of these files as well.
  const { NODE_OPTIONS: _, ...env } = process.env
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      ...[`${root}.ci/run-files.mjs`, '--name=samples', `--counts=${counts}`, ...options],
      ...Object.keys(files).map((name) => join(folder, `${name}.test.mjs`)),
    ],
    { encoding: 'utf8', env, cwd: root },
  )
  const said = stdout.replaceAll(/[^ ]*\/(\w+\.test\.mjs)/g, '$1')
  return { status, stderr, said, counts: readFileSync(counts, 'utf8') }
}

t.test('files that pass are counted, with the time they took', async (t) => {
  const one = `import t from ${tap}\nt.test('all', async (t) => { t.ok(1); t.ok(2) })`
  const two = `import t from ${tap}\nt.equal(1, 1)`
  const { status, said, counts, stderr } = run(t, { one, two }, '--jobs=2')
  t.same({ status, stderr, counts }, { status: 0, stderr: '', counts: '3 0\n' })
  t.match(said, /^== samples\n {3}slowest: .*one\.test\.mjs \d+\.\d s/)
  t.match(said, /\n {3}3 of 3 passed in \d+ s, \d+ s of CPU\n$/)
})

const failing = `import t from ${tap}
t.test('outer', async (t) => {
  t.ok(true, 'this passes')
  await t.test('inner', async (t) => {
    console.error('said meanwhile')
    t.same({ a: 1, b: [1, 2] }, { a: 1, b: [1, 3] })
    t.match('abc', /x/, 'a name')
  })
  throw new Error('thrown')
})
t.test('late', { timeout: 50 }, async () => { await new Promise((r) => setTimeout(r, 500)) })`

t.test(
  'failed assertions come first, each once, with the subtests around it and its diff',
  async (t) => {
    const { said, counts, status } = run(t, { failing })
    t.equal(status, 0)
    t.match(counts, /^1 [4-9]\n$/)
    const [first = '', rest = ''] = said.split('-- failing.test.mjs')
    t.same(
      [...first.matchAll(/^FAILED (.*)$/gm)].map(([, line]) => line),
      [
        'failing.test.mjs: outer > inner > should be equivalent',
        'failing.test.mjs: outer > inner > a name',
        'failing.test.mjs: outer > thrown',
        'failing.test.mjs: late > timeout!',
      ],
    )
    t.match(first, /\n {4}at .*failing\.test\.mjs:6\n/)
    t.match(first, /\n +- +3,\n +\+ +2,\n/)
    t.match(first, /\n +-\/x\/\n +\+"abc"\n/)
    t.match(rest, /^ ended with code 1 and said, but for what passed:\n/)
    t.match(rest, /\nsaid meanwhile\n/)
    t.notMatch(rest, /^ *ok /m)
  },
)

t.test('one that does not come to its end has failed, whatever it said before', async (t) => {
  const crashing = `import t from ${tap}\nt.ok(1)\nprocess.on('exit', () => process.exit(3))`
  const empty = 'throw new Error("at once")'
  const { said, counts } = run(t, { crashing, empty, none: '' })
  t.match(counts, /^1 3\n$/)
  t.match(said, /FAILED crashing\.test\.mjs: it ended with code 3\n/)
  t.match(said, /FAILED empty\.test\.mjs: it ended with code 1\n/)
  t.match(said, /FAILED none\.test\.mjs: it ended with no counts\n/)
  t.match(said, /-- empty\.test\.mjs ended with code 1 .*\n[^-]*Error: at once\n/)
})

t.test('one that waits too long says for what, and what it printed is kept', async (t) => {
  const slow = `import t from ${tap}\nt.test('waits', async () => { await new Promise((r) => setTimeout(r, 60_000)) })`
  const { said, counts } = run(t, { slow }, '--timeout=1')
  t.match(counts, /^0 \d\n$/)
  t.match(said, /FAILED slow\.test\.mjs: .*timeout!/)
  t.ok(existsSync(`${root}.tap/output`))
})
