import t from 'tap'
import {
  isTimeZone,
  lastTimeMs,
  nextTimeMs,
  whyNoSchedule,
} from '../../../../proto/spec/cron-schedule.ts'

function times(schedule: string, timeZone: string, from: string, count: number): string[] {
  const found: string[] = []
  let atMs: number | undefined = Date.parse(from)
  for (let i = 0; i < count && atMs !== undefined; i++) {
    atMs = nextTimeMs({ schedule, timeZone }, atMs)
    if (atMs !== undefined) found.push(new Date(atMs).toISOString().slice(0, 16))
  }
  return found
}

t.test('times of schedules', async (t) => {
  t.same(times('30 2 * * *', 'UTC', '2026-01-01T02:30:00Z', 2), [
    '2026-01-02T02:30',
    '2026-01-03T02:30',
  ])
  t.same(times('*/20 8-9 * * mon-fri', 'UTC', '2026-01-02T09:30:00Z', 2), [
    '2026-01-02T09:40',
    '2026-01-05T08:00',
  ])
  t.same(times('0 9 1 * *', 'America/New_York', '2026-01-15T00:00:00Z', 1), ['2026-02-01T14:00'])
  t.same(times('@daily', 'Asia/Kolkata', '2026-01-01T00:00:00Z', 1), ['2026-01-01T18:30'])
  const either = times('0 0 13 * fri', 'UTC', '2026-02-07T00:00:00Z', 3)
  t.same(either, ['2026-02-13T00:00', '2026-02-20T00:00', '2026-02-27T00:00'], 'day or weekday')
})

t.test('clocks that are set forward and back', async (t) => {
  const daily = (from: string) => times('30 2 * * *', 'Europe/Berlin', from, 3)
  t.same(
    daily('2026-03-28T00:00:00Z'),
    ['2026-03-28T01:30', '2026-03-29T01:30', '2026-03-30T00:30'],
    'what does not exist comes after the gap',
  )
  t.same(
    daily('2026-10-24T00:00:00Z'),
    ['2026-10-24T00:30', '2026-10-25T00:30', '2026-10-26T01:30'],
    'a time of day comes once',
  )
  t.same(
    times('0 * * * *', 'Europe/Berlin', '2026-10-24T23:30:00Z', 3),
    ['2026-10-25T00:00', '2026-10-25T01:00', '2026-10-25T02:00'],
    'every hour comes twice',
  )
})

t.test('the last time before', async (t) => {
  const hourly = { schedule: '0 * * * *', timeZone: 'UTC' }
  const at = Date.parse('2026-01-01T05:00:00Z')
  t.equal(lastTimeMs(hourly, at), at)
  t.equal(lastTimeMs(hourly, at - 1), at - 3_600_000)
  t.equal(nextTimeMs(hourly, at), at + 3_600_000)
})

t.test('what is a schedule', async (t) => {
  for (const text of ['* * * * *', '0 0 * * thu', '@hourly', '5,10 0-3/2 1 jan,mar 0']) {
    t.equal(whyNoSchedule(text), undefined, text)
  }
  for (const text of [
    '',
    'daily',
    '* * * *',
    '* * * * * *',
    '61 * * * *',
    'H * * * *',
    '@reboot',
    '0 0 31 2 *',
    'a b c d e',
  ]) {
    t.match(whyNoSchedule(text), /write "MINUTE HOUR/, text)
  }
})

t.test('what is a time zone', async (t) => {
  for (const name of ['UTC', 'Europe/Berlin', 'Asia/Kolkata']) t.ok(isTimeZone(name), name)
  for (const name of ['', 'Mars/Base', '+02:00', 'Berlin']) t.notOk(isTimeZone(name), name)
})
