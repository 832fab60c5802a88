import t from 'tap'
import { Pace } from '../build/driver/pace.js'
import { RoundTrips } from '../build/driver/round-trips.js'

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

t.test('a round trip longer than the time-out counts, up to the longest time-out', async (t) => {
  const pace = aPace()
  pace.roundTripTook(600)
  t.equal(pace.electionTicks(), 40)
})

const heartbeat = { kind: 'heartbeat', from: 'a', to: 'b', term: 1, commit: 0, round: 1 } as const
const answer = { kind: 'heartbeat-response', from: 'b', to: 'a', term: 1, round: 1 } as const

t.test('an answer counts for its own heartbeat, however many are under way', async (t) => {
  const pace = aPace()
  const trips = new RoundTrips(pace)
  // A heartbeat every 100 ms, an answer 600 ms after each.
  for (let round = 1; round <= 20; round++) {
    const nowMs = round * 100
    trips.sent({ ...heartbeat, round }, nowMs)
    if (round > 6) trips.received({ ...answer, round: round - 6 }, 1, nowMs)
  }
  t.equal(pace.electionTicks(), 40)
})

t.test('a lost heartbeat or answer is not a slow one', async (t) => {
  const pace = aPace()
  const trips = new RoundTrips(pace)
  let nowMs = 0
  for (let round = 1; round <= 100; round++) {
    nowMs += 900
    trips.sent({ ...heartbeat, round }, nowMs)
    // Of every three two are lost.
    if (round % 3 === 0) trips.received({ ...answer, round }, 1, nowMs + 1)
  }
  t.equal(pace.electionTicks(), 10)
})

t.test('a new leadership counts its heartbeats anew', async (t) => {
  const pace = aPace()
  const trips = new RoundTrips(pace)
  trips.sent({ ...heartbeat, round: 500 }, 0)
  for (const round of [1, 2]) {
    trips.sent({ ...heartbeat, term: 3, round }, 1000)
    trips.received({ ...answer, round: 500 }, 1, 1000)
    trips.received({ ...answer, term: 3, round }, 3, 1600)
  }
  t.equal(pace.electionTicks(), 40)
})

t.test(
  'requests for votes count too: without a leader nothing else tells of the network',
  async (t) => {
    const pace = aPace()
    const trips = new RoundTrips(pace)
    const vote = {
      kind: 'vote',
      from: 'a',
      to: 'b',
      lastIndex: 1,
      lastTerm: 1,
      force: false,
    } as const
    const given = { kind: 'vote-response', from: 'b', to: 'a', granted: true } as const
    for (const term of [2, 3]) {
      trips.sent({ ...vote, term }, term * 1000)
      // Answers of another campaign say nothing.
      trips.received({ ...given, term: term - 1 }, term - 1, term * 1000 + 1)
      trips.received({ ...given, term }, term, term * 1000 + 600)
    }
    t.equal(pace.electionTicks(), 40)
    // One that is never answered does not keep heartbeats from being measured.
    trips.sent({ ...vote, term: 4 }, 5000)
    for (let round = 1; round <= 200; round++) {
      trips.sent({ ...heartbeat, term: 4, round }, 5000)
      trips.received({ ...answer, term: 4, round }, 4, 5001)
    }
    t.equal(pace.electionTicks(), 10)
  },
)

t.test('of two round trips in a row to one peer the shorter one counts', async (t) => {
  const pace = aPace()
  const trips = new RoundTrips(pace)
  let nowMs = 0
  const trip = (peer: string, ms: number): number => {
    trips.sent({ ...heartbeat, to: peer }, nowMs)
    nowMs += ms
    trips.received({ ...answer, from: peer }, 1, nowMs)
    return pace.electionTicks()
  }
  t.equal(trip('b', 700), 10, 'of the first one nothing is known')
  t.equal(trip('b', 1), 10)
  t.equal(trip('b', 700), 10, 'a cut')
  t.equal(trip('c', 700), 10, 'to all peers')
  t.equal(trip('b', 700), 45, 'it is slow')
  trips.forget()
  for (let i = 0; i < 200; i++) trip('b', 1)
  t.equal(pace.electionTicks(), 10)
})

t.test('what is of an earlier term is not measured', async (t) => {
  const pace = aPace()
  const trips = new RoundTrips(pace)
  const append = { ...heartbeat, kind: 'append', prevIndex: 0, prevTerm: 0, entries: [] } as const
  trips.received(append, 1, 0)
  trips.received(heartbeat, 2, 450)
  for (const round of [1, 2]) {
    trips.sent({ ...heartbeat, round }, 1000)
    trips.received({ ...answer, round }, 2, 1450)
  }
  t.equal(pace.electionTicks(), 10)
  trips.received(heartbeat, 1, 450)
  t.equal(pace.electionTicks(), 20)
})

t.test('whoever leads forgets how long other leaders were silent', async (t) => {
  const pace = aPace()
  const trips = new RoundTrips(pace)
  trips.received(heartbeat, 1, 0)
  trips.received(heartbeat, 1, 450)
  t.equal(pace.electionTicks(), 20)
  trips.leads()
  t.equal(pace.electionTicks(), 10)
  trips.received(heartbeat, 1, 900)
  t.equal(pace.electionTicks(), 10, 'its own leadership is no silence')
  trips.received(heartbeat, 1, 1350)
  t.equal(pace.electionTicks(), 20, 'following again, it measures again')
})

t.test('they shrink again as fast measurements follow', async (t) => {
  const pace = aPace()
  pace.flushTook(400)
  t.equal(pace.electionTicks(), 25)
  for (let i = 0; i < 100; i++) pace.flushTook(1)
  t.equal(pace.electionTicks(), 10)
})
