import * as fc from 'fast-check'
import t from 'tap'
import {
  LogDecoder,
  parseLogPart,
  timestampOf,
  utcTimestamp,
} from '../../../../../worker/executor/container/log-format.ts'

const stamp = '2026-01-02T03:04:05.123456789+00:00'

function decode(text: string | Buffer, cut = 1 << 20): readonly string[] {
  const decoder = new LogDecoder()
  const bytes = Buffer.from(text)
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += cut) {
    for (const line of decoder.push(bytes.subarray(at, at + cut))) {
      lines.push(`${line.stream}:${Buffer.from(line.data).toString()}`)
    }
  }
  for (const line of decoder.rest()) lines.push(`rest:${Buffer.from(line.data).toString()}`)
  return lines
}

t.test('lines, parts of lines, and streams that mix', async (t) => {
  const log = [
    `${stamp} stdout F one`,
    `${stamp} stdout P be`,
    `${stamp} stderr F oops`,
    `${stamp} stdout P gin`,
    `${stamp} stdout F ning`,
    `${stamp} stdout F `,
    `${stamp} stderr P open`,
    '',
  ].join('\n')
  const expected = ['stdout:one', 'stderr:oops', 'stdout:beginning', 'stdout:', 'rest:open']
  t.same(decode(log), expected)
  for (const cut of [1, 3, 7, 50]) t.same(decode(log, cut), expected, `cut in ${cut}`)
})

t.test('what was written comes out, however the file is read', async () => {
  const line = fc.tuple(
    fc.constantFrom('stdout', 'stderr'),
    fc.constantFrom('F', 'P'),
    fc.string({ unit: 'binary', maxLength: 20 }).map((text) => text.replaceAll('\n', '')),
  )
  fc.assert(
    fc.property(
      fc.array(line, { maxLength: 20 }),
      fc.integer({ min: 1, max: 200 }),
      (rows, cut) => {
        const text = rows
          .map(([stream, tag, data]) => `${stamp} ${stream} ${tag} ${data}\n`)
          .join('')
        return JSON.stringify(decode(text, cut)) === JSON.stringify(decode(text))
      },
    ),
  )
})

t.test('damaged lines are left out', async (t) => {
  const bad = [
    '',
    'x',
    `${stamp} stdout`,
    `${stamp} stdin F x`,
    `${stamp} stdout X x`,
    'when stdout F x',
  ]
  for (const line of bad) t.equal(parseLogPart(Buffer.from(line)), undefined, line)
  t.same(decode(`\0\0\0\n${stamp} stdout F good\n`), ['stdout:good'])
})

t.test('a line without end is given out in pieces', async (t) => {
  const part = `${stamp} stdout P ${'x'.repeat(8_000)}\n`
  const lines = decode(part.repeat(40))
  t.ok(lines.length > 1)
  t.equal(lines.map((line) => line.replace(/^.*?:/, '')).join('').length, 320_000)
})

t.test('timestamps are UTC with nine digits', async (t) => {
  t.equal(utcTimestamp(stamp), '2026-01-02T03:04:05.123456789Z')
  t.equal(utcTimestamp('2026-01-02T03:04:05.5Z'), '2026-01-02T03:04:05.500000000Z')
  t.equal(utcTimestamp('2026-01-02T03:04:05.1+05:30'), '2026-01-01T21:34:05.100000000Z')
  t.equal(utcTimestamp('2026-01-02T03:04:05.1-01:00'), '2026-01-02T04:04:05.100000000Z')
  t.equal(utcTimestamp('2026-13-99T99:04:05.1+01:00'), undefined)
  t.equal(utcTimestamp('yesterday'), undefined)
  t.equal(timestampOf(0), '1970-01-01T00:00:00.000000000Z')
})
