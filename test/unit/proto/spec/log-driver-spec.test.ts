// Log drivers of services. Source: swarm-semantics 2 (TaskSpec.LogDriver) and 3.1 (logging); Docker's options of json-file and local.
import t from 'tap'
import { logAttributes, logDriverSpec, logKeeping } from '../../../../proto/spec/log-driver-spec.ts'
import { limitsOf } from '../../../../worker/executor/container/log-rotation.ts'

const ofNode = { bytesMax: 10_000_000, filesMax: 3 }

/** What the node keeps. */
function kept(name: string, options: Readonly<Record<string, string>> = {}) {
  return limitsOf(logKeeping(logDriverSpec.parse({ name, options })), ofNode)
}

t.test('how much is kept, by driver and options', async (t) => {
  t.strictSame(limitsOf(undefined, ofNode), ofNode, 'nothing said')
  t.strictSame(kept('json-file'), ofNode, 'never without bound')
  t.strictSame(kept('json-file', { 'max-size': '10m' }), { bytesMax: 10_000_000, filesMax: 1 })
  t.strictSame(kept('json-file', { 'max-file': '5' }), { bytesMax: 10_000_000, filesMax: 5 })
  t.strictSame(kept('json-file', { 'max-size': '1.5k', 'max-file': '2' }), {
    bytesMax: 1_500,
    filesMax: 2,
  })
  t.strictSame(kept('local'), { bytesMax: 20_000_000, filesMax: 5 })
  t.strictSame(kept('local', { 'max-size': '1g' }), { bytesMax: 1_000_000_000, filesMax: 5 })
  t.strictSame(logKeeping(logDriverSpec.parse({ name: 'none' })), { kind: 'none' })
  t.strictSame(kept('journald'), { bytesMax: 20_000_000, filesMax: 5 }, 'beside the journal')
  t.match(logKeeping(logDriverSpec.parse({ name: 'journald' })), { kind: 'files', journal: true })
  for (const size of ['512', '512b', '512 B'])
    t.equal(kept('local', { 'max-size': size }).bytesMax, 512)
  for (const size of ['2k', '2K', '2kb', '2KiB']) {
    t.equal(kept('local', { 'max-size': size }).bytesMax, 2_000, size)
  }
})

t.test('labels and env name what is told of each line', async (t) => {
  const told = (options: Readonly<Record<string, string>>) =>
    logAttributes(logDriverSpec.parse({ name: 'json-file', options }), { tier: 'front', b: '' }, [
      'Z=1=2',
      'A=',
      'bare',
      'A=last',
    ])
  t.strictSame(told({ labels: 'tier,b,none', env: 'Z,A,bare,tier' }), {
    ...{ A: 'last', Z: '1=2', b: '', bare: '', tier: 'front' },
  })
  t.strictSame(Object.keys(told({ env: 'Z,A', labels: 'b' })), ['A', 'Z', 'b'], 'sorted')
  t.strictSame(told({}), {})
  t.strictSame(told({ labels: '', env: ',' }), {})
})

t.test('what is not there is refused by its name, with what is', async (t) => {
  const refused = (
    name: string,
    options: Readonly<Record<string, string>>,
    words: RegExp,
  ): void => {
    const { success, error } = logDriverSpec.safeParse({ name, options })
    t.notOk(success)
    t.match(error?.issues[0]?.message, words)
  }
  refused(
    'syslog',
    {},
    /^"syslog" is not available: output is kept .* json-file, local, journald, none$/,
  )
  refused('', {}, /^"" is not available/)
  refused(
    'json-file',
    { tag: 'x' },
    /option "tag", which is not available: .* max-size, max-file, labels and env$/,
  )
  for (const name of ['local', 'journald']) {
    refused(
      name,
      { labels: 'x' },
      /option "labels", which is not available: .* max-size and max-file$/,
    )
  }
  refused('none', { 'max-size': '1m' }, /none keeps nothing, and has no option "max-size"/)
  for (const size of ['', '0', '-1', 'many', '1x', '9999999999g']) {
    refused('local', { 'max-size': size }, /"max-size" with ".*": it must be a size such as 10m/)
  }
  for (const files of ['', '0', '-1', '1.5', '1001']) {
    refused('local', { 'max-file': files }, /"max-file" with ".*": it must be a number from 1 to/)
  }
})
