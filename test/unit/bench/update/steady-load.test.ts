import t from 'tap'
import { SteadyLoad } from '../../../bench/update/steady-load.ts'
import { settle, VirtualClock } from '../../../support/virtual-clock.ts'

t.test('requests go out at their times, answered or not', async (t) => {
  const clock = new VirtualClock()
  const sentAtMs: number[] = []
  let answer = (): void => {}
  const answered = new Promise<void>((resolve) => {
    answer = resolve
  })
  const load = new SteadyLoad(clock, 10, () => {
    sentAtMs.push(clock.monotonicMs())
    return answered
  })
  await clock.advance(350)
  t.strictSame(sentAtMs, [0, 100, 200, 300])
  const ending = load.end()
  await settle()
  answer()
  t.strictSame(await ending, { sent: 4, lost: {} })
})

t.test('after a stall the load catches up: as many as the time says', async (t) => {
  const clock = new VirtualClock()
  const load = new SteadyLoad(clock, 10, async () => {})
  await clock.advance(100)
  await clock.stall(500)
  await clock.advance(50)
  t.equal((await load.end()).sent, 7)
})

t.test('what is lost is counted by its reason', async (t) => {
  const clock = new VirtualClock()
  const load = new SteadyLoad(clock, 10, async (number) => {
    if (number === 1) throw new Error('ECONNREFUSED')
    if (number > 1) throw new Error('status 500')
  })
  await clock.advance(399)
  t.strictSame(await load.end(), { sent: 4, lost: { ECONNREFUSED: 1, 'status 500': 2 } })
})
