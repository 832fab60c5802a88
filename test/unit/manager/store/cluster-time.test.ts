import t from 'tap'
import { ClusterTime } from '../../../../manager/store/cluster-time.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

t.test('a term begins at wall time and then follows the monotonic clock', async (t) => {
  const clock = new VirtualClock()
  const time = new ClusterTime(clock)
  time.startTerm()
  t.equal(time.nowMs(), clock.wallMs())
  clock.wallOffsetMs += 3_600_000
  await clock.advance(1_500)
  t.equal(time.nowMs(), clock.wallMs() - 3_600_000, 'a jump of the wall clock is not seen')
})

t.test('a leader whose wall clock is behind starts from the last stamp', async (t) => {
  const clock = new VirtualClock()
  const time = new ClusterTime(clock)
  const ahead = clock.wallMs() + 60_000
  time.committed(ahead, false)
  time.startTerm()
  t.equal(time.nowMs(), ahead)
  await clock.advance(10)
  t.equal(time.nowMs(), ahead + 10)
})

t.test('a follower runs on from the last stamp and never back', async (t) => {
  const clock = new VirtualClock()
  const time = new ClusterTime(clock)
  time.committed(1_000, false)
  await clock.advance(500)
  t.equal(time.nowMs(), 1_500)
  time.committed(900, false)
  t.equal(time.nowMs(), 1_000)
})

t.test('own stamps do not hold up the clock', async (t) => {
  const clock = new VirtualClock()
  const time = new ClusterTime(clock)
  time.startTerm()
  const startMs = time.nowMs()
  await clock.advance(100)
  time.committed(startMs, true)
  t.equal(time.nowMs(), startMs + 100)
})
