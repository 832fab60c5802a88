import t from 'tap'
import {
  ago,
  binarySize,
  cpuCount,
  decimalSize,
  goDuration,
  humanDuration,
  isoTime,
  shortId,
} from '../../../../cli/render/human.ts'
import { familiarImage } from '../../../../cli/render/image-name.ts'
import { naturalCompare } from '../../../../cli/render/natural.ts'

const s = 1_000
const m = 60 * s
const h = 60 * m
const d = 24 * h

t.test("durations are worded as docker's", async (t) => {
  const cases: readonly (readonly [number, string])[] = [
    [0, 'Less than a second'],
    [999, 'Less than a second'],
    [s, '1 second'],
    [59 * s, '59 seconds'],
    [m, 'About a minute'],
    [119 * s, 'About a minute'],
    [2 * m, '2 minutes'],
    [59 * m, '59 minutes'],
    [h, 'About an hour'],
    [89 * m, 'About an hour'],
    [91 * m, '2 hours'],
    [47 * h, '47 hours'],
    [2 * d, '2 days'],
    [13 * d, '13 days'],
    [14 * d, '2 weeks'],
    [60 * d, '2 months'],
    [700 * d, '23 months'],
    [730 * d, '2 years'],
  ]
  for (const [ms, text] of cases) t.equal(humanDuration(ms), text, String(ms))
  t.equal(ago(1_000, 121_000), '2 minutes ago')
  t.equal(ago(5_000, 1_000), 'Less than a second ago')
})

t.test('sizes', async (t) => {
  t.equal(decimalSize(0), '0B')
  t.equal(decimalSize(999), '999B')
  t.equal(decimalSize(7_804_321), '7.8MB')
  t.equal(decimalSize(1_234_000_000), '1.23GB')
  t.equal(binarySize(64 * 2 ** 20), '64MiB')
  t.equal(binarySize(1.5 * 2 ** 30), '1.5GiB')
  t.equal(cpuCount(5e8), '0.5')
})

t.test('durations as Go prints them', async (t) => {
  t.equal(goDuration(0), '0s')
  t.equal(goDuration(500), '500ms')
  t.equal(goDuration(5_000), '5s')
  t.equal(goDuration(1_500), '1.5s')
  t.equal(goDuration(90_000), '1m30s')
  t.equal(goDuration(2160 * h), '2160h0m0s')
})

t.test('ids, times, images, names', async (t) => {
  t.equal(shortId('abcdefghijklmnop'), 'abcdefghijkl')
  t.equal(isoTime(0), '1970-01-01T00:00:00.000Z')
  t.equal(familiarImage('docker.io/library/nginx:1', true), 'nginx:1')
  t.equal(familiarImage('nginx:1@sha256:abc', true), 'nginx:1')
  t.equal(familiarImage('nginx:1@sha256:abc', false), 'nginx:1@sha256:abc')
  t.equal(familiarImage('nginx@sha256:abc', true), 'nginx@sha256:abc')
  t.equal(familiarImage('host:5000/a@sha256:abc', true), 'host:5000/a@sha256:abc')
  const names = ['web10', 'web2', 'api', 'web2a', 'web']
  t.strictSame(names.sort(naturalCompare), ['api', 'web', 'web2', 'web2a', 'web10'])
  t.equal(naturalCompare('a', 'a'), 0)
})
