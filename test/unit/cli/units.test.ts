import t from 'tap'
import { parseBytes, parseDurationMs, parseNanoCpus, parseTimeMs } from '../../../cli/units.ts'

t.test('durations are Go durations', async (t) => {
  const cases: readonly (readonly [string, number])[] = [
    ['0', 0],
    ['0s', 0],
    ['500ms', 500],
    ['10s', 10_000],
    ['1m30s', 90_000],
    ['1.5h', 5_400_000],
    ['2160h', 7_776_000_000],
    ['1500us', 2],
    ['.5s', 500],
  ]
  for (const [text, ms] of cases) t.equal(parseDurationMs(text), ms, text)
  for (const bad of ['', '10', 's', '10x', '-5s', '5 s', '1m30']) {
    t.throws(() => parseDurationMs(bad), /must be a duration/, bad)
  }
})

t.test('sizes are powers of 1024', async (t) => {
  const cases: readonly (readonly [string, number])[] = [
    ['0', 0],
    ['100', 100],
    ['100b', 100],
    ['4k', 4096],
    ['4KB', 4096],
    ['64M', 64 * 2 ** 20],
    ['64MiB', 64 * 2 ** 20],
    ['1.5g', 1.5 * 2 ** 30],
    ['2T', 2 * 2 ** 40],
  ]
  for (const [text, bytes] of cases) t.equal(parseBytes(text), bytes, text)
  for (const bad of ['', 'M', '-1', '1X', '1,5G']) {
    t.throws(() => parseBytes(bad), /must be a size/, bad)
  }
})

t.test('CPUs are decimals', async (t) => {
  t.equal(parseNanoCpus('2'), 2e9)
  t.equal(parseNanoCpus('0.5'), 5e8)
  t.equal(parseNanoCpus('.25'), 25e7)
  t.equal(parseNanoCpus('0.000000001'), 1)
  for (const bad of ['', 'x', '-1', '1e3', '0.0000000001']) {
    t.throws(() => parseNanoCpus(bad), /must be a number of CPUs/, bad)
  }
})

t.test('points in time are RFC 3339, seconds, or durations that count back', async (t) => {
  const nowMs = 1_700_000_000_000
  t.equal(parseTimeMs('2024-01-02T03:04:05Z', nowMs), Date.UTC(2024, 0, 2, 3, 4, 5))
  t.equal(parseTimeMs('2024-01-02T03:04:05.678+01:00', nowMs), Date.UTC(2024, 0, 2, 2, 4, 5, 678))
  t.equal(parseTimeMs('2024-01-02', nowMs), Date.UTC(2024, 0, 2))
  t.equal(parseTimeMs('1700000000', nowMs), nowMs)
  t.equal(parseTimeMs('1700000000.5', nowMs), nowMs + 500)
  t.equal(parseTimeMs('42m', nowMs), nowMs - 42 * 60_000)
  for (const bad of ['', 'yesterday', '2024-13-99', '12']) {
    t.throws(() => parseTimeMs(bad, nowMs), /must be a time/, bad)
  }
})
