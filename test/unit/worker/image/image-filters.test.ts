// Filters of a list of images, as Docker has them.
import t from 'tap'
import { filteredImages, namedByFilters } from '../../../../worker/image/image-filters.ts'

const web = {
  names: ['web:1', 'r.lan:5000/team/web:2'],
  digests: ['web@sha256:aa'],
  createdAtMs: 300,
  labels: { stage: 'test', team: '' },
}
const db = { names: ['team/db:latest'], digests: [], createdAtMs: 200, labels: {} }
const old = { names: [], digests: ['web@sha256:bb'], createdAtMs: 100, labels: { stage: 'prod' } }
const all = [web, db, old]
const createdAt = (name: string): number => (name === 'db' ? 200 : 100)

const left = (key: string, ...values: readonly string[]) =>
  filteredImages(all, [{ key, values }], createdAt).map(({ createdAtMs }) => createdAtMs)

t.test('each filter', async (t) => {
  t.same(left('dangling', 'true'), [100])
  t.same(left('dangling', '0'), [300, 200])
  t.same(left('label', 'stage'), [300, 100])
  t.same(left('label', 'stage', 'team'), [300], 'of labels all')
  t.same(left('label', 'stage=prod'), [100])
  t.same(left('label', 'team='), [300])
  t.same(left('before', 'db'), [100])
  t.same(left('since', 'db'), [300])
  t.same(left('until', '300'), [200, 100])
  t.same(filteredImages(all, [], createdAt), all)
  const both = [
    { key: 'dangling', values: ['false'] },
    { key: 'until', values: ['250'] },
  ]
  t.same(filteredImages(all, both, createdAt), [db], 'all of them hold')
  t.same(namedByFilters([{ key: 'since', values: ['a', 'b'] }, ...both]), ['a', 'b'])
})

t.test('patterns of names leave those that they mean', async (t) => {
  const names = (...values: readonly string[]) =>
    filteredImages(all, [{ key: 'reference', values }], createdAt).map((one) => one.names)
  t.same(names('web'), [['web:1'], []], 'without a tag, and of a digest')
  t.same(names('web:*'), [['web:1']])
  t.same(names('*'), [['web:1'], []], 'a star ends at a slash')
  t.same(names('*/db'), [['team/db:latest']])
  t.same(names('*/*/web'), [['r.lan:5000/team/web:2']])
  t.same(names('web:[0-9]', 'team/?b'), [['web:1'], ['team/db:latest']], 'any of them')
  t.same(names('web:[^1]'), [])
  t.same(names('w\\eb:1'), [['web:1']])
  t.same(names('(web|db).*'), [], 'nothing else means anything')
})

t.test('what is no filter is told', async (t) => {
  for (const [key, value, message] of [
    ['name', 'x', /invalid filter 'name': the filters are dangling, label, reference/],
    ['dangling', 'maybe', /'dangling=maybe': it is true or false/],
    ['reference', 'web[', /'reference=web\[': no pattern/],
    ['reference', '[z-a]', /no pattern/],
    ['until', 'soon', /'until=soon'/],
  ] as const) {
    t.throws(() => left(key, value), { code: 'INVALID_ARGUMENT', message }, `${key}=${value}`)
  }
})
