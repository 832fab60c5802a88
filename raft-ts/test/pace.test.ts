import t from 'tap'
import { Pace } from '../build/driver/pace.js'

/** 10 ticks of 50 ms: an election time-out of 500 ms. */
function aPace(): Pace {
  return new Pace({ electionTicks: 10, tickMs: 50 })
}

t.test('time-outs are as configured as long as all is fast', async (t) => {
  const pace = aPace()
  pace.flushTook(2)
  pace.roundTripTook(5)
  pace.silenceTook(100)
  t.equal(pace.electionTicks(), 10)
})

t.test('slow flushes and round trips stretch them, up to five times', async (t) => {
  const pace = aPace()
  pace.flushTook(200)
  t.equal(pace.electionTicks(), 15)
  pace.roundTripTook(300)
  t.equal(pace.electionTicks(), 30)
  pace.flushTook(10_000)
  t.equal(pace.electionTicks(), 50)
})

t.test('a leader that is often silent is given twice its silence', async (t) => {
  const pace = aPace()
  pace.silenceTook(450)
  t.equal(pace.electionTicks(), 20)
})

t.test('an outage is not slowness', async (t) => {
  const pace = aPace()
  pace.silenceTook(2000)
  pace.roundTripTook(3000)
  t.equal(pace.electionTicks(), 10)
})

t.test('they shrink again as fast measurements follow', async (t) => {
  const pace = aPace()
  pace.flushTook(400)
  t.equal(pace.electionTicks(), 25)
  for (let i = 0; i < 100; i++) pace.flushTook(1)
  t.equal(pace.electionTicks(), 10)
})
