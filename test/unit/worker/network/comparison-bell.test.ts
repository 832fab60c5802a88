import t from 'tap'
import { ComparisonBell } from '../../../../worker/network/comparison-bell.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'

function aBell(): {
  readonly clock: VirtualClock
  readonly bell: ComparisonBell
  readonly waits: () => { readonly isDue: () => boolean; readonly stop: () => void }
} {
  const clock = new VirtualClock()
  const bell = new ComparisonBell(clock)
  const waits = () => {
    let isDue = false
    const stopping = new AbortController()
    bell.wait(stopping.signal).then(() => {
      isDue = true
    })
    return { isDue: () => isDue, stop: () => stopping.abort() }
  }
  return { clock, bell, waits }
}

t.test('a foreign change is compared when it has settled, else a minute passes', async (t) => {
  const { clock, bell, waits } = aBell()
  const first = waits()
  await clock.advance(59_999)
  t.notOk(first.isDue())
  await clock.advance(1)
  t.ok(first.isDue())
  const second = waits()
  bell.onChange(300)('foreign')
  bell.onChange(100)('foreign')
  await clock.advance(299)
  t.notOk(second.isDue(), 'the longer one counts')
  await clock.advance(1)
  t.ok(second.isDue())
  bell.ring(100)
  const third = waits()
  await clock.advance(100)
  t.ok(third.isDue(), 'what rang before the wait')
})

t.test('what may be our own echo is compared later, once for all of them', async (t) => {
  const { clock, bell, waits } = aBell()
  const doubt = bell.onChange(100)
  const first = waits()
  doubt('doubtful')
  await clock.advance(1_000)
  doubt('doubtful')
  t.notOk(first.isDue())
  await clock.advance(500)
  t.ok(first.isDue(), 'the first one counts')
  const second = waits()
  await clock.advance(59_000)
  t.notOk(second.isDue(), 'and nothing is left of it')
  second.stop()
})

t.test('a comparison that takes long is made less often when in doubt', async (t) => {
  const { clock, bell, waits } = aBell()
  const stopping = new AbortController()
  const paused = bell.pause(clock.monotonicMs() - 500, stopping.signal)
  await clock.advance(500)
  await paused
  const first = waits()
  bell.onChange(100)('doubtful')
  await clock.advance(9_999)
  t.notOk(first.isDue())
  await clock.advance(1)
  t.ok(first.isDue())
})

t.test('a comparison for another reason answers the doubt before it', async (t) => {
  const { clock, bell, waits } = aBell()
  const first = waits()
  bell.onChange(100)('doubtful')
  bell.onChange(100)('foreign')
  await clock.advance(100)
  t.ok(first.isDue())
  const second = waits()
  await clock.advance(30_000)
  t.notOk(second.isDue())
  second.stop()
})
