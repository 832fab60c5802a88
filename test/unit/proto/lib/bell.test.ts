import t from 'tap'
import { Bell } from '../../../../proto/lib/bell.ts'
import type { Clock, Timer } from '../../../../proto/lib/clock.ts'

/** Time stands still; timers fire by hand. */
function stillClock(): { clock: Clock; fire: () => void; waiting: () => number } {
  const timers = new Set<() => void>()
  const clock: Clock = {
    wallMs: () => 0,
    monotonicMs: () => 0,
    setTimer: (_delayMs, fn): Timer => {
      timers.add(fn)
      return { cancel: () => void timers.delete(fn) }
    },
  }
  const fire = (): void => {
    for (const fn of [...timers]) fn()
  }
  return { clock, fire, waiting: () => timers.size }
}

const never = new AbortController().signal

t.test('a ring wakes the waiter, and one before the wait is not lost', async (t) => {
  const { clock } = stillClock()
  const bell = new Bell()
  bell.ring()
  bell.ring()
  await bell.wait(clock, undefined, never)
  let woken = false
  const waiting = bell.wait(clock, undefined, never).then(() => {
    woken = true
  })
  await Promise.resolve()
  t.equal(woken, false, 'two rings are one')
  bell.ring()
  await waiting
  t.equal(woken, true)
})

t.test('a wait ends after its delay or with the signal, and leaves no timer', async (t) => {
  const { clock, fire, waiting } = stillClock()
  const bell = new Bell()
  const delayed = bell.wait(clock, 5, never)
  fire()
  await delayed
  t.equal(waiting(), 0)
  const stop = new AbortController()
  const stopped = bell.wait(clock, 5, stop.signal)
  stop.abort()
  await stopped
  t.equal(waiting(), 0)
  await bell.wait(clock, undefined, stop.signal)
})
